package trust

import (
	"bytes"
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Subjects of the floor for what was removed.
const (
	keyRemoved    = "key-removed:"
	sshKeyRemoved = "sshkey-removed:"
)

// Authenticator returns an enrolled key that may be used now: its enrolment
// holds back to the roots, it was not removed, its epochs are the present
// ones, and its person and vendor are active. Counter and Enrolled are the
// row's own. gateway.CodeNotFound if it was never enrolled.
func (c *Chain) Authenticator(ctx context.Context, credential string) (gateway.Authenticator, error) {
	w := c.walk(ctx)
	row, err := w.store.Authenticator(ctx, credential)
	if err != nil {
		return gateway.Authenticator{}, missing(notFoundOr(err), "key", credential)
	}
	p, err := w.person(row.Person)
	if err != nil {
		return gateway.Authenticator{}, absentPerson(err, row.Person)
	}
	epochs, err := w.active(p)
	if err != nil {
		return gateway.Authenticator{}, err
	}
	key, err := w.usable(credential, epochs)
	if err != nil {
		return gateway.Authenticator{}, err
	}
	if err := w.settle(); err != nil {
		return gateway.Authenticator{}, err
	}
	return key, nil
}

// usable holds a key's row to its enrolment and to the present.
func (w *walk) usable(credential string, epochs gateway.Epochs) (gateway.Authenticator, error) {
	row, err := w.key(credential)
	if err != nil {
		return gateway.Authenticator{}, err
	}
	f, err := w.need(row.Statement)
	if err != nil {
		return gateway.Authenticator{}, err
	}
	e, ok := f.body.(*statement.Enrol)
	if !ok || e.Credential != credential {
		return gateway.Authenticator{}, broken("the row of key %s names a statement about %s", gateway.Quote(row.Label), gateway.Quote(f.body.Subject()))
	}
	field := differs(
		diff{"id", row.ID == e.Credential}, diff{"person", row.Person == e.Person}, diff{"label", row.Label == e.Label},
		diff{"public key", bytes.Equal(row.PublicKey, e.PublicKey)}, diff{"model", row.AAGUID == e.AAGUID}, diff{"format", row.Format == e.Format},
		diff{"attestation", row.Attestation == e.Attestation}, diff{"backup flag", row.BackupEligible == e.BackupEligible}, diff{"epochs", row.Epochs == e.Epochs},
	)
	switch {
	case field != "":
		return gateway.Authenticator{}, broken("the row of key %s was changed: its %s is not what was signed", gateway.Quote(row.Label), field)
	case !row.Removed.IsZero():
		return gateway.Authenticator{}, gateway.Refused(Rule, "use another key, or enrol one anew", "key %s was removed", gateway.Quote(row.Label))
	case row.Epochs != epochs:
		return gateway.Authenticator{}, stale("key " + gateway.Quote(row.Label))
	}
	return row, nil
}

// SSHKey returns an SSH public key that may say who connects now: signed for
// by its person, not removed, of the present epochs, person and vendor active.
// gateway.CodeNotFound if it was never added.
// A key that holds and is refused only because its person or vendor is not
// active, or was suspended since, comes back with the refusal: whoever proves
// to hold it can be told why.
func (c *Chain) SSHKey(ctx context.Context, fingerprint string) (gateway.SSHKey, error) {
	row, _, err := c.SSHKeyHolder(ctx, fingerprint)
	return row, err
}

// SSHKeyHolder is SSHKey with the person whose key it is, who is active.
func (c *Chain) SSHKeyHolder(ctx context.Context, fingerprint string) (gateway.SSHKey, gateway.Person, error) {
	var nobody gateway.Person
	w := c.walk(ctx)
	row, err := w.sshKey(fingerprint)
	if err != nil {
		return gateway.SSHKey{}, nobody, missing(err, "SSH key", fingerprint)
	}
	if !row.Removed.IsZero() {
		return gateway.SSHKey{}, nobody, removedSSH(row)
	}
	p, err := w.person(row.Person)
	if err != nil {
		return gateway.SSHKey{}, nobody, absentPerson(err, row.Person)
	}
	epochs, err := w.active(p)
	if err != nil {
		return row, nobody, err
	}
	if row.Epochs != epochs {
		return row, nobody, stale("SSH key " + gateway.Quote(row.Label))
	}
	if err := w.settle(); err != nil {
		return gateway.SSHKey{}, nobody, err
	}
	return row, p.row, nil
}

// Invitation returns an invitation that holds: signed by whom it must be, for
// a person who is active, of the present epochs. Whether it was used or has
// expired is for the caller to look at. gateway.CodeNotFound if there is none.
func (c *Chain) Invitation(ctx context.Context, id string) (gateway.Invitation, error) {
	w := c.walk(ctx)
	row, err := w.store.Invitation(ctx, id)
	if err != nil {
		return gateway.Invitation{}, missing(notFoundOr(err), "invitation", id)
	}
	f, err := w.need(row.Statement)
	if err != nil {
		return gateway.Invitation{}, err
	}
	b, ok := f.body.(*statement.Invite)
	if !ok || b.ID != id {
		return gateway.Invitation{}, broken("the row of invitation %s names a statement about %s", id, gateway.Quote(f.body.Subject()))
	}
	if field := differs(
		diff{"id", row.ID == b.ID}, diff{"person", row.Person == b.Person}, diff{"public key", bytes.Equal(row.PublicKey, b.PublicKey)},
		diff{"epochs", row.Epochs == b.Epochs}, diff{"end", row.Expires.Equal(b.Expires)},
	); field != "" {
		return gateway.Invitation{}, broken("the row of invitation %s was changed: its %s is not what was signed", id, field)
	}
	p, err := w.person(b.Person)
	if err != nil {
		return gateway.Invitation{}, absentPerson(err, b.Person)
	}
	epochs, err := w.active(p)
	if err != nil {
		return gateway.Invitation{}, err
	}
	if row.Epochs != epochs {
		return gateway.Invitation{}, stale("the invitation")
	}
	if err := w.settle(); err != nil {
		return gateway.Invitation{}, err
	}
	return row, nil
}

// keyOf is the key that an enrolment enrols, as its row will be.
func keyOf(f *fact, e *statement.Enrol) gateway.Authenticator {
	return gateway.Authenticator{
		ID: e.Credential, Person: e.Person, Label: e.Label, PublicKey: e.PublicKey, AAGUID: e.AAGUID, Format: e.Format,
		Attestation: e.Attestation, BackupEligible: e.BackupEligible, Epochs: e.Epochs, Statement: f.s.Digest, Enrolled: f.st.At,
	}
}
