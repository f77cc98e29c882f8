package store

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

var sshCertificates = newTable("ssh_certificates", "fingerprint line person grant_id networks starts ends source client vendor_epoch person_epoch statement issued removed", func(c *gateway.SSHCertificate) []any {
	return []any{&c.Fingerprint, &c.Key, &c.Person, &c.Grant, jsonText{&c.Networks}, instant{&c.From}, instant{&c.To}, &c.Source, &c.Client,
		whole{&c.Epochs.Vendor}, whole{&c.Epochs.Person}, digest{&c.Statement}, instant{&c.Issued}, instant{&c.Removed}}
})

func (s identityStore) SSHCertificate(ctx context.Context, fingerprint string) (gateway.SSHCertificate, error) {
	return one(ctx, &s.db.reads, sshCertificates, "WHERE fingerprint = $1", fingerprint)
}

func (s identityStore) SSHCertificates(ctx context.Context, person string) ([]gateway.SSHCertificate, error) {
	return many(ctx, &s.db.reads, sshCertificates, "WHERE person = $1 ORDER BY issued DESC, fingerprint LIMIT 200", person)
}

// PutSSHCertificate implements identity.Tx.
func (tx *Tx) PutSSHCertificate(c gateway.SSHCertificate) error {
	return create(tx, sshCertificates, &c, gateway.ErrUsed)
}

// RemoveSSHCertificate implements identity.Tx, as RemoveSSHKey does.
func (tx *Tx) RemoveSSHCertificate(fingerprint string, at time.Time) error {
	err := tx.touch(gateway.ErrUsed, "UPDATE ssh_certificates SET removed = $1 WHERE fingerprint = $2 AND removed = 0", micros(at), fingerprint)
	return tx.tell(err, gateway.ErrUsed, "SELECT 1 FROM ssh_certificates WHERE fingerprint = $1", fingerprint)
}
