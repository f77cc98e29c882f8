package identity

import (
	"context"
	"errors"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// SSHChallenge is a statement that waits for a touch of an SSH security key:
// `ssh-keygen -Y sign -n Namespace` over the very bytes of Statement.
type SSHChallenge struct {
	ID        string
	Sentence  string
	Statement []byte // canonical JSON
	Namespace string
	Expires   time.Time
}

type sshDraft struct {
	signed statement.Signed
	who    gateway.Person
	key    gateway.SSHKey // as it was when the statement was drawn up
	at     time.Time
}

// SSHSigner finds whose SSH security key this is, and refuses one that may
// not give a touch now from that address. It proves nothing about who asks.
func (s *Service) SSHSigner(ctx context.Context, fingerprint, source string) (gateway.Person, gateway.SSHKey, error) {
	k, err := s.chain.SSHKey(ctx, fingerprint)
	if err != nil {
		return gateway.Person{}, gateway.SSHKey{}, s.chained("SSH key", fingerprint, err)
	}
	key, err := statement.ParseSSHKey(k.Key)
	if err != nil || !statement.SecurityKey(key) {
		return gateway.Person{}, gateway.SSHKey{}, gateway.Refused("ssh-key", "make one with `ssh-keygen -t ed25519-sk -O verify-required` and add it in the browser", "this SSH key does not live in a FIDO2 key, so it gives no touch")
	}
	who, err := s.stand(ctx, k.Person)
	if err != nil {
		return gateway.Person{}, gateway.SSHKey{}, err
	}
	if k.Epochs != who.Epochs {
		return gateway.Person{}, gateway.SSHKey{}, gateway.Refused("epoch", "add a new SSH key in the browser", "this SSH key was added before a suspension and is not taken any more")
	}
	return who.Person, k, s.ComesFrom(ctx, who.Person, source)
}

// DraftSSH draws up a statement for an SSH security key to sign. The draft
// belongs to the address that asked for it.
func (s *Service) DraftSSH(_ context.Context, p gateway.Person, k gateway.SSHKey, source string, body statement.Body) (SSHChallenge, error) {
	now := gateway.Instant(s.now())
	signed, st, err := s.draw(standing{Person: p}, now, []gateway.Digest{p.Statement, k.Statement}, body)
	if err != nil {
		return SSHChallenge{}, err
	}
	c := SSHChallenge{Sentence: st.Sentence, Statement: signed.Bytes, Namespace: statement.OpenNamespace(s.rp.ID), Expires: now.Add(statement.Fresh)}
	var ok bool
	if c.ID, ok = s.sshDrafts.put(addressOf(source), sshDraft{signed: signed, who: p, key: k, at: now}, c.Expires); !ok {
		return SSHChallenge{}, full()
	}
	c.ID = s.homed(c.ID)
	return c, nil
}

// addressOf is the share of the drafts that a source has: its address.
func addressOf(source string) string {
	a, err := address(source)
	if err != nil {
		return source
	}
	return a.String()
}

// SignSSH takes the draft, once, and returns the statement with the proof of
// the SSH security key. The counter is durable before it returns. Only who has
// proven to hold the key is told how the key or its owner stands.
func (s *Service) SignSSH(ctx context.Context, id string, armoured []byte, source string) (statement.Signed, error) {
	d, ok := s.sshDrafts.take(s.bare(id), addressOf(source))
	if !ok {
		err := gateway.Refused("draft", "begin again", "this text has been signed before, was drawn up for another address, or is older than %s", statement.Fresh)
		if e, ok := s.strangers.stranger(audit.TouchRefused, source, err); ok {
			s.record(ctx, e)
		}
		return statement.Signed{}, err
	}
	proven, err := s.signSSH(ctx, &d, armoured, source)
	if err != nil {
		e := refusal(audit.TouchRefused, d.who, source, err)
		if e.Statement = d.signed.Digest; !proven {
			e.Actor = actor("")
		}
		s.record(ctx, e)
		return statement.Signed{}, err
	}
	return d.signed, nil
}

// signSSH adds the proof to the draft; proven says whether the signature is by
// the key, whatever else is wrong.
func (s *Service) signSSH(ctx context.Context, d *sshDraft, armoured []byte, source string) (proven bool, err error) {
	if err := s.fresh(d.at); err != nil {
		return false, err
	}
	key, err := statement.ParseSSHKey(d.key.Key)
	if err != nil {
		return false, gateway.Internal(err) // it was read when the draft was made
	}
	proof := statement.Proof{Kind: statement.SSHSIG, Key: d.key.Fingerprint, Signature: armoured}
	touch, err := d.signed.VerifySSHSIG(proof, key, statement.OpenNamespace(s.rp.ID))
	if err != nil {
		return false, gateway.Refused("touch", "begin again and touch the key that you began with", "%s", err)
	}
	_, now, err := s.SSHSigner(ctx, d.key.Fingerprint, source)
	if err != nil {
		return true, err
	}
	if err := advances(now.Counter, touch.Counter); err != nil {
		return true, err
	}
	err = s.store.Update(ctx, func(tx Tx) error { return tx.SetSSHCounter(now.Fingerprint, now.Counter, touch.Counter) })
	if errors.Is(err, gateway.ErrStale) {
		return true, errCounter(now.Counter, touch.Counter)
	}
	d.signed.Proofs = []statement.Proof{proof}
	return true, stored(err)
}
