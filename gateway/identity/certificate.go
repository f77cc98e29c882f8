package identity

import (
	"context"
	"errors"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Seal signs engineers' SSH certificates with an authority of its own, and
// holds one that is shown to what it was signed for.
type Seal interface {
	Login(c gateway.SSHCertificate) (*ssh.Certificate, error)
	CheckLogin(cert *ssh.Certificate, c gateway.SSHCertificate) error
}

// Windows says in which grant's window a person stands now. Its refusals are
// for the person to read.
type Windows interface {
	// Longest is the open grant of that person whose window ends last.
	Longest(ctx context.Context, p gateway.Person) (gateway.Grant, error)
	// Standing is that grant, if it is the person's and open now.
	Standing(ctx context.Context, p gateway.Person, id string) (gateway.Grant, error)
}

const loginNext = "run `portcullis login` for another"

// DraftSSHCertificate draws up the certificate of a terminal that waits behind
// that link: for the rest of the longest window that the person has open, and
// for statement.MaxCertificate at most.
func (s *Service) DraftSSHCertificate(ctx context.Context, p gateway.Person, link string) (*statement.SSHCertIssue, error) {
	t, err := s.terminals.find(s.bare(link))
	if err != nil {
		return nil, err
	}
	who, err := s.stand(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	if s.seal == nil || s.grants == nil {
		return nil, errNoCertificates()
	}
	if err := s.ComesFrom(ctx, who.Person, t.Source); err != nil {
		return nil, err
	}
	grant, err := s.grants.Longest(ctx, who.Person)
	if err != nil {
		return nil, err
	}
	from := gateway.Instant(s.now())
	b := &statement.SSHCertIssue{
		Fingerprint: t.Fingerprint, Key: t.key, Person: who.Name, Grant: grant.ID, From: from, To: earlier(grant.To, from.Add(statement.MaxCertificate)),
		Source: t.Source, Client: t.Client, Code: t.Code, Epochs: who.Epochs,
	}
	if !who.Staff() {
		v, err := s.chain.Vendor(ctx, who.Vendor)
		if err != nil {
			return nil, s.chained("vendor", who.Vendor, err)
		}
		for _, n := range v.Networks {
			b.Networks = append(b.Networks, n.Masked())
		}
	}
	return b, b.Check()
}

func errNoCertificates() error {
	return gateway.Refused("ssh-certificate", "add your key in the browser under Keys", "SSH certificates are not issued here")
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// CommitSSHCertificate issues the certificate of a signed statement and hands
// it to the terminal that waits for it. The event and the row are durable
// before anybody has it.
func (s *Service) CommitSSHCertificate(ctx context.Context, signed statement.Signed) (gateway.SSHCertificate, error) {
	var none gateway.SSHCertificate
	checked, err := s.chain.CheckFresh(ctx, signed)
	if err != nil {
		return none, err
	}
	b, ok := checked.Body.(*statement.SSHCertIssue)
	if !ok {
		return none, wrongKind(checked.Statement.Kind)
	}
	who, err := s.stand(ctx, b.Person)
	if err != nil {
		return none, err
	}
	if b.Epochs != who.Epochs {
		return none, stale(b.Person)
	}
	c := b.Certificate(signed.Digest)
	if err := s.inWindow(ctx, who.Person, c); err != nil {
		return none, err
	}
	if err := s.unknownKey(ctx, c.Fingerprint); err != nil {
		return none, err
	}
	t, ok := s.terminals.take(c.Fingerprint, c.Key, c.Source)
	if !ok {
		return none, gateway.Conflict("ssh-certificate", "the terminal that waited for the certificate has gone or was answered")
	}
	if c, err = s.issue(ctx, signed, who.Person, c); err != nil {
		t.answer(Certified{}, err)
		return none, err
	}
	cert, err := s.seal.Login(c)
	if err != nil {
		err = gateway.Internal(err)
		t.answer(Certified{}, err)
		return none, err
	}
	t.answer(Certified{Certificate: c, Line: canonicalLine(cert)}, nil)
	return c, nil
}

// issue writes what is about to be issued.
func (s *Service) issue(ctx context.Context, signed statement.Signed, who gateway.Person, c gateway.SSHCertificate) (gateway.SSHCertificate, error) {
	c.Issued = gateway.Instant(s.now())
	var taken bool
	err := s.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		if err := tx.PutSSHCertificate(c); err != nil {
			taken = errors.Is(err, gateway.ErrUsed)
			return err
		}
		return tx.Append(audit.Event{Name: audit.SSHCertIssued, Actor: who.Name, Vendor: who.Vendor, Person: who.Name, Grant: c.Grant, Source: c.Source, Statement: signed.Digest,
			Detail: map[string]string{"fingerprint": c.Fingerprint, "until": c.To.UTC().Format(time.RFC3339)}})
	})
	if taken {
		return c, errCertified()
	}
	return c, s.committed(err)
}

func errCertified() error {
	e := gateway.Conflict("ssh-certificate", "this key is on file already, and a certificate is for a key that nobody has seen")
	e.Next = loginNext
	return e
}

// unknownKey refuses to certify a key that was added or certified before.
func (s *Service) unknownKey(ctx context.Context, fingerprint string) error {
	_, err := s.store.SSHKey(ctx, fingerprint)
	if errors.Is(err, gateway.ErrNotFound) {
		_, err = s.store.SSHCertificate(ctx, fingerprint)
	}
	switch {
	case err == nil:
		return errCertified()
	case errors.Is(err, gateway.ErrNotFound):
		return nil
	}
	return stored(err)
}

// inWindow holds a certificate to the window that it was issued in.
func (s *Service) inWindow(ctx context.Context, p gateway.Person, c gateway.SSHCertificate) error {
	if s.seal == nil || s.grants == nil {
		return errNoCertificates()
	}
	g, err := s.grants.Standing(ctx, p, c.Grant)
	if err != nil {
		return err
	}
	if c.To.After(g.To) {
		return gateway.Refused("ssh-certificate", loginNext, "this SSH certificate outlasts the window that it was issued in")
	}
	return nil
}

// certified is Owner for a certificate. The certificate must say what a signed
// statement says, to the letter: neither an edited database nor the authority's
// stolen key makes another. A certificate that is ours comes back with the
// refusal that befalls it, so that its holder can be told why.
func (s *Service) certified(ctx context.Context, cert *ssh.Certificate) (gateway.Person, gateway.SSHKey, error) {
	unknown := gateway.Refused("ssh-certificate", loginNext, "this SSH certificate is not known here")
	var nobody gateway.Person
	by, ok := gateway.ParseCertKeyID(cert.KeyId)
	if !ok || s.seal == nil {
		return nobody, gateway.SSHKey{}, unknown
	}
	c, no := s.chain.SSHCertificate(ctx, by)
	switch {
	case c.Person == "" && missing(no):
		return nobody, gateway.SSHKey{}, unknown
	case c.Person == "":
		return nobody, gateway.SSHKey{}, s.chained("SSH certificate", by.Short(), no)
	}
	if err := s.seal.CheckLogin(cert, c); err != nil {
		s.log.InfoContext(ctx, "an SSH certificate was refused", "person", c.Person, "error", err)
		return nobody, gateway.SSHKey{}, unknown
	}
	k := gateway.SSHKey{Fingerprint: c.Fingerprint, Person: c.Person, Label: "certificate", Key: c.Key, Epochs: c.Epochs, Statement: by, Added: c.From}
	if no != nil {
		return nobody, k, s.chained("SSH certificate", by.Short(), no)
	}
	who, err := s.stand(ctx, c.Person)
	if err != nil {
		return nobody, k, err
	}
	if err := s.present(ctx, who, c); err != nil {
		return nobody, k, err
	}
	return who.Person, k, nil
}

// present holds a certificate to the present: clock, row, epochs and window.
func (s *Service) present(ctx context.Context, who standing, c gateway.SSHCertificate) error {
	row, err := s.store.SSHCertificate(ctx, c.Fingerprint)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return stored(err)
	}
	switch now := s.now(); {
	case err != nil || row.Statement != c.Statement:
		return gateway.Refused("ssh-certificate", loginNext, "this SSH certificate is not on file")
	case !row.Removed.IsZero():
		return gateway.Refused("ssh-certificate", loginNext, "this SSH certificate was revoked")
	case now.Before(c.From.Add(-clockSlack)):
		return gateway.Refused("ssh-certificate", "set the clocks right and try again", "this SSH certificate begins at %s", c.From.UTC().Format("15:04:05 UTC"))
	case !now.Before(c.To):
		return gateway.Refused("ssh-certificate", loginNext, "this SSH certificate ended at %s", c.To.UTC().Format("2006-01-02 15:04 UTC"))
	case c.Epochs != who.Epochs:
		return gateway.Refused("epoch", loginNext, "this SSH certificate was issued before a suspension and is not taken any more")
	}
	return s.inWindow(ctx, who.Person, c)
}

// SSHCertificates lists a person's certificates, newest first, as the rows say.
func (s *Service) SSHCertificates(ctx context.Context, person string) ([]gateway.SSHCertificate, error) {
	list, err := s.store.SSHCertificates(ctx, person)
	return list, stored(err)
}

// RevokeSSHCertificate ends a certificate for good, by its owner or an
// administrator. It only takes away, so that it needs no touch.
func (s *Service) RevokeSSHCertificate(ctx context.Context, by gateway.Person, fingerprint, source string) error {
	c, err := s.store.SSHCertificate(ctx, fingerprint)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return stored(err)
	}
	if err != nil || !mayRemove(by, c.Person) {
		return gateway.NotFound("SSH certificate", fingerprint)
	}
	at, vendor := gateway.Instant(s.now()), ""
	if p, err := s.chain.Person(ctx, c.Person); err == nil {
		vendor = p.Vendor
	}
	err = s.store.Update(ctx, func(tx Tx) error {
		if err := tx.RemoveSSHCertificate(fingerprint, at); err != nil {
			return err
		}
		return tx.Append(audit.Event{Name: audit.SSHCertEnded, Actor: by.Name, Vendor: vendor, Person: c.Person, Grant: c.Grant, Source: source, Statement: c.Statement,
			Detail: map[string]string{"fingerprint": fingerprint}})
	})
	if errors.Is(err, gateway.ErrUsed) {
		return gateway.Conflict("removed", "this SSH certificate was revoked before")
	}
	if err != nil {
		return stored(err)
	}
	if s.floor != nil {
		if err := s.floor.Raise("sshcert-removed:"+fingerprint, uint64(max(1, at.UnixMicro()))); err != nil {
			s.log.ErrorContext(ctx, "the floor does not remember a revoked certificate", "fingerprint", fingerprint, "error", err)
		}
	}
	return nil
}
