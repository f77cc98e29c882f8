package trust

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// sshCertRemoved is the floor's subject of a certificate that was revoked.
const sshCertRemoved = "sshcert-removed:"

// SSHCertificate returns what a signed statement lets an engineer's SSH
// certificate say: it was touched by the person himself, who is active, with a
// key that was not removed, all of the present epochs, and this machine has
// seen no revocation of it. The window is for the caller to look at, and so is
// the row. gateway.CodeNotFound if no such statement is on file. Where the
// statement reads, what it says comes back beside a refusal, unverified, so
// that whoever proves to hold the certificate can be told why.
func (c *Chain) SSHCertificate(ctx context.Context, by gateway.Digest) (gateway.SSHCertificate, error) {
	w := c.walk(ctx)
	if _, err := w.store.Statement(ctx, by); err != nil {
		return gateway.SSHCertificate{}, missing(notFoundOr(err), "SSH certificate", by.Short())
	}
	f, err := w.need(by)
	if err != nil {
		return gateway.SSHCertificate{}, err
	}
	b, ok := f.body.(*statement.SSHCertIssue)
	if !ok {
		return gateway.SSHCertificate{}, broken("an SSH certificate names a statement about %s", gateway.Quote(f.body.Subject()))
	}
	cert := b.Certificate(by)
	if err := w.settle(); err != nil {
		return cert, err
	}
	var now Checked
	if err := w.current(f, &now); err != nil {
		return cert, err
	}
	switch early := b.From.Sub(f.st.At); {
	case early < -slack || early > slack:
		return cert, f.broken("it lets the certificate begin at another time than it was drawn up at")
	case b.Epochs != now.Key.Epochs:
		return cert, stale("the SSH certificate")
	case c.floor.At(sshCertRemoved+b.Fingerprint) > 0:
		return cert, gateway.Refused(Rule, "run `portcullis login` for another", "the SSH certificate %s was revoked", gateway.Quote(b.Fingerprint))
	}
	return cert, w.settle()
}
