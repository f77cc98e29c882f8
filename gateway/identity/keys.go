package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// MaxSSHKeys bounds the SSH keys that one person has in use.
const MaxSSHKeys = 32

// Keys lists a person's FIDO2 keys and SSH keys, removed ones too, oldest
// first, as the rows say.
func (s *Service) Keys(ctx context.Context, person string) ([]gateway.Authenticator, []gateway.SSHKey, error) {
	a, err := s.store.Authenticators(ctx, person)
	if err != nil {
		return nil, nil, stored(err)
	}
	k, err := s.store.SSHKeys(ctx, person)
	if err != nil {
		return nil, nil, stored(err)
	}
	s.tellAttested(ctx, k)
	return a, k, nil
}

// DraftSSHKey draws up the addition of an SSH public key, given as the line
// of a .pub file.
func (s *Service) DraftSSHKey(ctx context.Context, p gateway.Person, line, label string) (*statement.SSHKeyAdd, error) {
	return s.DraftAttestedSSHKey(ctx, p, line, label, Attested{})
}

// DraftAttestedSSHKey is DraftSSHKey with what `ssh-keygen -O
// write-attestation` wrote when the key was made; the zero Attested is none.
func (s *Service) DraftAttestedSSHKey(ctx context.Context, p gateway.Person, line, label string, a Attested) (*statement.SSHKeyAdd, error) {
	who, err := s.stand(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	key, err := statement.ParseSSHKey(line)
	if err != nil {
		return nil, err
	}
	b := &statement.SSHKeyAdd{Fingerprint: ssh.FingerprintSHA256(key), Key: canonicalLine(key), Person: p.Name, Label: label, Epochs: who.Epochs}
	if b.Attestation, err = s.attested(who.Person, key, a); err != nil {
		return nil, err
	}
	if no := s.policy.MayEnrol(who.Person, sshFacts(key, b.Attestation)); no != nil {
		return nil, no
	}
	if err := b.Check(); err != nil {
		return nil, err
	}
	held, err := s.store.SSHKeys(ctx, p.Name)
	if err != nil {
		return nil, stored(err)
	}
	held = slices.DeleteFunc(held, func(k gateway.SSHKey) bool { return !k.Removed.IsZero() })
	if len(held) >= MaxSSHKeys {
		return nil, gateway.Refused("ssh-keys", "remove one that is not used", "%s has %d SSH keys, which is the most one person may have", p.Name, MaxSSHKeys)
	}
	if _, err := s.store.SSHKey(ctx, b.Fingerprint); err == nil {
		return nil, errSSHUsed()
	} else if !errors.Is(err, gateway.ErrNotFound) {
		return nil, stored(err)
	}
	return b, nil
}

func errSSHUsed() error {
	e := gateway.Conflict("ssh-key", "this SSH key was added before, by you or somebody else, and says who one person is for ever")
	e.Next = "make a new one with `ssh-keygen -t ed25519`"
	return e
}

func canonicalLine(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// CommitSSHKey adds the SSH key of a signed statement.
func (s *Service) CommitSSHKey(ctx context.Context, signed statement.Signed) (gateway.SSHKey, error) {
	checked, err := s.chain.CheckFresh(ctx, signed)
	if err != nil {
		return gateway.SSHKey{}, err
	}
	b, ok := checked.Body.(*statement.SSHKeyAdd)
	if !ok {
		return gateway.SSHKey{}, wrongKind(checked.Statement.Kind)
	}
	who, err := s.stand(ctx, b.Person)
	if err != nil {
		return gateway.SSHKey{}, err
	}
	if b.Epochs != who.Epochs {
		return gateway.SSHKey{}, stale(b.Person)
	}
	k := gateway.SSHKey{Fingerprint: b.Fingerprint, Person: b.Person, Label: b.Label, Key: b.Key, Epochs: b.Epochs, Statement: signed.Digest, Added: gateway.Instant(s.now())}
	var taken bool
	err = s.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		if err := tx.PutSSHKey(k); err != nil {
			taken = errors.Is(err, gateway.ErrUsed)
			return err
		}
		return tx.Append(audit.Event{Name: audit.SSHKeyAdded, Actor: checked.Statement.Signer, Vendor: who.Vendor, Person: who.Name, Statement: signed.Digest,
			Detail: map[string]string{"fingerprint": k.Fingerprint, "label": k.Label}})
	})
	if taken {
		return gateway.SSHKey{}, errSSHUsed()
	}
	return k, s.committed(err)
}

// DraftSSHKeyRemove draws up the removal of an SSH key, by its owner or an
// administrator.
func (s *Service) DraftSSHKeyRemove(ctx context.Context, by gateway.Person, fingerprint string) (*statement.SSHKeyRemove, error) {
	k, err := s.store.SSHKey(ctx, fingerprint)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return nil, stored(err)
	}
	if err != nil || !mayRemove(by, k.Person) {
		return nil, gateway.NotFound("SSH key", fingerprint)
	}
	if !k.Removed.IsZero() {
		return nil, gateway.Conflict("removed", "this SSH key was removed before")
	}
	return &statement.SSHKeyRemove{Fingerprint: k.Fingerprint, Person: k.Person, Label: k.Label}, nil
}

func mayRemove(by gateway.Person, owner string) bool {
	return by.Name == owner || by.Name == statement.Machine || by.Staff() && by.Is(gateway.Admin)
}

// CommitSSHKeyRemove removes an SSH key for good.
func (s *Service) CommitSSHKeyRemove(ctx context.Context, signed statement.Signed) error {
	checked, err := s.chain.CheckFresh(ctx, signed)
	if err != nil {
		return err
	}
	b, ok := checked.Body.(*statement.SSHKeyRemove)
	if !ok {
		return wrongKind(checked.Statement.Kind)
	}
	k, err := s.store.SSHKey(ctx, b.Fingerprint)
	// Who may sign was judged by the person that the statement names, so it
	// must name the key's own.
	if err != nil || k.Person != b.Person {
		return s.unfound("SSH key", b.Fingerprint, err)
	}
	return s.removal(ctx, signed, checked.Statement.Signer, b.Person, "sshkey-removed:"+b.Fingerprint, func(tx Tx, e audit.Event, at time.Time) error {
		e.Name, e.Detail = audit.SSHKeyRemoved, map[string]string{"fingerprint": b.Fingerprint, "label": b.Label}
		if err := tx.Append(e); err != nil {
			return err
		}
		return tx.RemoveSSHKey(b.Fingerprint, at)
	})
}

// DraftKeyRemove draws up the removal of a FIDO2 key, by its owner or an
// administrator.
func (s *Service) DraftKeyRemove(ctx context.Context, by gateway.Person, credential string) (*statement.KeyRemove, error) {
	k, err := s.store.Authenticator(ctx, credential)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return nil, stored(err)
	}
	if err != nil || !mayRemove(by, k.Person) {
		return nil, gateway.NotFound("key", credential)
	}
	if !k.Removed.IsZero() {
		return nil, gateway.Conflict("removed", "this key was removed before")
	}
	return &statement.KeyRemove{Credential: k.ID, Person: k.Person, Label: k.Label}, nil
}

// CommitKeyRemove removes a FIDO2 key for good and ends all logins of its
// owner: whoever had the key may be in one of them.
func (s *Service) CommitKeyRemove(ctx context.Context, signed statement.Signed) error {
	checked, err := s.chain.CheckFresh(ctx, signed)
	if err != nil {
		return err
	}
	b, ok := checked.Body.(*statement.KeyRemove)
	if !ok {
		return wrongKind(checked.Statement.Kind)
	}
	k, err := s.store.Authenticator(ctx, b.Credential)
	if err != nil || k.Person != b.Person {
		return s.unfound("key", b.Credential, err)
	}
	return s.removal(ctx, signed, checked.Statement.Signer, b.Person, "key-removed:"+b.Credential, func(tx Tx, e audit.Event, at time.Time) error {
		e.Name, e.Detail = audit.KeyRemoved, map[string]string{"key": b.Credential, "label": b.Label}
		if err := tx.Append(e); err != nil {
			return err
		}
		if err := tx.RemoveAuthenticator(b.Credential, at); err != nil {
			return err
		}
		_, err := tx.DeleteLogins(b.Person)
		return err
	})
}

func (s *Service) unfound(what, name string, err error) error {
	if err == nil || errors.Is(err, gateway.ErrNotFound) {
		return gateway.NotFound(what, name)
	}
	return stored(err)
}

// removal commits a removal and, once it is durable, raises the floor, so
// that a database put back does not bring the key back.
func (s *Service) removal(ctx context.Context, signed statement.Signed, signer, person, floor string, f func(Tx, audit.Event, time.Time) error) error {
	vendor := ""
	if p, err := s.chain.Person(ctx, person); err == nil {
		vendor = p.Vendor
	}
	at := gateway.Instant(s.now())
	err := s.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		return f(tx, audit.Event{Actor: signer, Vendor: vendor, Person: person, Statement: signed.Digest}, at)
	})
	if err != nil {
		return s.committed(err)
	}
	if s.floor != nil {
		if err := s.floor.Raise(floor, uint64(max(1, at.UnixMicro()))); err != nil {
			s.log.ErrorContext(ctx, "the floor does not remember a removed key", "subject", floor, "error", err)
		}
	}
	return nil
}

// Owner says whose an SSH key is: the chain confirms it, it was not removed,
// and the person and vendor are active under the same epochs. It proves
// nothing about who is connecting; that is for the finished handshake. A key
// that is on file and is refused for the state of its person or vendor comes
// back with the refusal, so that whoever proves to hold it can be told why.
func (s *Service) Owner(ctx context.Context, key ssh.PublicKey) (gateway.Person, gateway.SSHKey, error) {
	const next = "add your key in the browser under Keys, or connect with the one that you added"
	var nobody gateway.Person
	if cert, ok := key.(*ssh.Certificate); ok {
		return s.certified(ctx, cert)
	}
	k, who, err := s.chain.SSHKeyHolder(ctx, ssh.FingerprintSHA256(key))
	if err != nil {
		if missing(err) {
			return nobody, k, gateway.Refused("ssh-key", next, "this SSH key is not known here")
		}
		if k.Key != canonicalLine(key) {
			k = gateway.SSHKey{}
		}
		return nobody, k, s.chained("SSH key", ssh.FingerprintSHA256(key), err)
	}
	if k.Key != canonicalLine(key) {
		return nobody, gateway.SSHKey{}, gateway.Refused("ssh-key", next, "this SSH key is not known here")
	}
	return who, k, nil
}
