package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// MaxKeys bounds the FIDO2 keys that one person has in use.
const MaxKeys = 16

// clockSlack is how far a statement may seem to come from the future.
const clockSlack = 2 * time.Second

// Challenge is a statement that waits for a touch. Options is what
// PublicKeyCredential.parseRequestOptionsFromJSON takes; its challenge is the
// SHA-256 of Statement.
type Challenge struct {
	ID        string          `json:"id"`
	Sentence  string          `json:"sentence"`
	Statement json.RawMessage `json:"statement"` // canonical JSON, the exact bytes
	Options   json.RawMessage `json:"options"`
	// Also asks for a second touch of the same statement by a key enrolled
	// before; only where a login, not an invitation, lets a new key in.
	Also    json.RawMessage `json:"also,omitempty"`
	Expires time.Time       `json:"expires"`
}

type draft struct {
	signed statement.Signed
	person string
	at     time.Time
}

// Draft draws up a statement for the person to touch. The draft belongs to the
// login that it was made in.
func (s *Service) Draft(ctx context.Context, login gateway.Login, p gateway.Person, body statement.Body) (Challenge, error) {
	if login.Person != p.Name || login.ID == "" {
		return Challenge{}, gateway.Refused("login", "sign in yourself", "this login is not %s's", p.Name)
	}
	who, err := s.stand(ctx, p.Name)
	if err != nil {
		return Challenge{}, err
	}
	keys, err := s.usableKeys(ctx, who)
	if err != nil {
		return Challenge{}, err
	}
	if len(keys) == 0 {
		return Challenge{}, gateway.Refused("key", "ask an administrator for an invitation and enrol a key", "you have no enrolled key to touch")
	}
	now := gateway.Instant(s.now())
	signed, st, err := s.draw(who, now, entitling(who, keys), body)
	if err != nil {
		return Challenge{}, err
	}
	c := Challenge{Sentence: st.Sentence, Statement: signed.Bytes, Expires: now.Add(statement.Fresh)}
	if c.Options, err = s.request(signed, keys); err != nil {
		return Challenge{}, err
	}
	var ok bool
	if c.ID, ok = s.drafts.put(login.ID, draft{signed: signed, person: p.Name, at: now}, c.Expires); !ok {
		return Challenge{}, full()
	}
	c.ID = s.homed(c.ID)
	return c, nil
}

func full() error {
	return &gateway.Error{Code: gateway.CodeTooMany, Rule: "drafts", Text: "too many acts wait for a touch at this moment", Next: "try again in a minute"}
}

// Sign takes the draft, once, and returns the statement with the proof of the
// touch. The counter is durable before it returns. Whether the signer may
// state it, and that it is stated only once, is for whoever commits it.
func (s *Service) Sign(ctx context.Context, login gateway.Login, id string, credential []byte) (statement.Signed, error) {
	d, ok := s.drafts.take(s.bare(id), login.ID)
	if !ok {
		err := gateway.Refused("draft", "begin again", "this text has been signed before, was drawn up in another login, or is older than %s", statement.Fresh)
		s.record(ctx, refusal(audit.TouchRefused, gateway.Person{Name: login.Person}, login.Source, err))
		return statement.Signed{}, err
	}
	signed, v, err := s.sign(ctx, d, credential)
	if err != nil {
		p := v.who.Person
		p.Name = d.person // the key may be another's; the login is this person's
		e := refusal(audit.TouchRefused, p, login.Source, err)
		e.Statement = d.signed.Digest
		s.record(ctx, e)
		return statement.Signed{}, err
	}
	return signed, nil
}

func (s *Service) sign(ctx context.Context, d draft, credential []byte) (statement.Signed, verified, error) {
	if err := s.fresh(d.at); err != nil {
		return statement.Signed{}, verified{}, err
	}
	v, err := s.verify(ctx, d.person, d.signed, credential)
	if err != nil {
		return statement.Signed{}, v, err
	}
	if err := s.store.Update(ctx, v.set); err != nil {
		return statement.Signed{}, v, stored(err)
	}
	signed := d.signed
	signed.Proofs = []statement.Proof{v.proof}
	return signed, v, nil
}

// fresh holds a statement to its age (P2).
func (s *Service) fresh(at time.Time) error {
	if age := s.now().Sub(at); age > statement.Fresh || age < -clockSlack {
		return gateway.Refused("touch-age", "begin again and touch within that time", "the text was drawn up more than %s ago", statement.Fresh)
	}
	return nil
}

// draw draws up and seals a statement.
func (s *Service) draw(who standing, at time.Time, by []gateway.Digest, body statement.Body) (statement.Signed, statement.Statement, error) {
	st, err := statement.Draft(s.url, who.Name, at, by, body)
	if err != nil {
		return statement.Signed{}, st, err
	}
	signed, err := statement.Seal(st)
	if err != nil {
		return signed, st, gateway.Internal(err)
	}
	return signed, st, nil
}

// entitling lists what entitles a person to sign: his admission and the
// enrolments of the keys that he may touch.
func entitling(who standing, keys []gateway.Authenticator) []gateway.Digest {
	by := []gateway.Digest{who.Statement}
	for _, k := range keys {
		by = append(by, k.Statement)
	}
	return by
}

// usableKeys lists the person's keys that may sign now. A row that the chain
// does not confirm is left out: it cannot sign, and must not keep the others
// from it.
func (s *Service) usableKeys(ctx context.Context, who standing) ([]gateway.Authenticator, error) {
	rows, err := s.store.Authenticators(ctx, who.Name)
	if err != nil {
		return nil, stored(err)
	}
	var keys []gateway.Authenticator
	for _, r := range rows {
		if !r.Removed.IsZero() || r.Epochs != who.Epochs || len(keys) == MaxKeys {
			continue
		}
		k, err := s.chain.Authenticator(ctx, r.ID)
		switch {
		case gateway.IsCode(err, gateway.CodeRefused) || missing(err):
			s.log.WarnContext(ctx, "a key's row has no signed statement behind it", "person", who.Name, "key", r.ID, "error", err)
		case err != nil:
			return nil, s.chained("key", r.ID, err)
		case k.Person == who.Name && k.Removed.IsZero() && k.Epochs == who.Epochs:
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// request makes the options of an assertion over a statement by any of keys.
func (s *Service) request(signed statement.Signed, keys []gateway.Authenticator) (json.RawMessage, error) {
	o := protocol.PublicKeyCredentialRequestOptions{
		Challenge: signed.Digest[:], Timeout: int(statement.Fresh.Milliseconds()), RelyingPartyID: s.rp.ID, UserVerification: protocol.VerificationRequired,
	}
	for _, k := range keys {
		id, err := base64.RawURLEncoding.DecodeString(k.ID)
		if err != nil {
			return nil, gateway.Internal(fmt.Errorf("credential id %q: %w", k.ID, err))
		}
		o.AllowedCredentials = append(o.AllowedCredentials, protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: id})
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, gateway.Internal(fmt.Errorf("write request options: %w", err))
	}
	return raw, nil
}
