package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// ceremonyTime is how long a sign-in or an enrolment may take.
const ceremonyTime = 5 * time.Minute

// Ceremony is something that the browser must answer. Options is what
// PublicKeyCredential.parseCreationOptionsFromJSON or
// parseRequestOptionsFromJSON takes.
type Ceremony struct {
	ID      string          `json:"id"`
	Options json.RawMessage `json:"options"`
}

const loginPurpose = "login ceremony"

type loginCeremony struct {
	ID      string               `json:"id"`
	Session webauthn.SessionData `json:"session"`
}

// BeginLogin begins a sign-in with a key, by whoever holds one: the key says
// who it is (discoverable credentials). It takes no memory.
func (s *Service) BeginLogin(context.Context) (Ceremony, error) {
	options, session, err := s.web.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return Ceremony{}, gateway.Internal(fmt.Errorf("begin login: %w", err))
	}
	raw, err := json.Marshal(options.Response)
	if err != nil {
		return Ceremony{}, gateway.Internal(fmt.Errorf("begin login: %w", err))
	}
	id, err := s.sealer.seal(loginPurpose, loginCeremony{ID: session.Challenge, Session: *session}, ceremonyTime)
	if err != nil {
		return Ceremony{}, gateway.Internal(err)
	}
	return Ceremony{ID: s.homed(id), Options: raw}, nil
}

// FinishLogin verifies the key's answer and returns the new login's token,
// which goes into a cookie and nowhere else. Refusals are events.
func (s *Service) FinishLogin(ctx context.Context, id string, credential []byte, c Client) (string, gateway.Person, error) {
	token, p, err := s.finishLogin(ctx, id, credential, c)
	if err != nil {
		s.refuseLogin(ctx, p, c, err)
		return "", gateway.Person{}, err
	}
	return token, p, nil
}

// refuseLogin writes the refusal of a sign-in; of one by a person we know
// always, of others within bounds.
func (s *Service) refuseLogin(ctx context.Context, p gateway.Person, c Client, err error) {
	if p.Name != "" {
		s.record(ctx, refusal(audit.LoginRefused, p, c.Source, err))
		return
	}
	if e, ok := s.strangers.stranger(audit.LoginRefused, c.Source, err); ok {
		s.record(ctx, e)
	}
}

func (s *Service) finishLogin(ctx context.Context, id string, credential []byte, c Client) (string, gateway.Person, error) {
	var nobody gateway.Person
	var ceremony loginCeremony
	if err := s.sealer.open(loginPurpose, s.bare(id), &ceremony); err != nil {
		return "", nobody, signIn("ceremony", "this sign-in was begun too long ago, or before the gateway was restarted")
	}
	answer, err := parseAssertion(credential)
	if err != nil {
		return "", nobody, err
	}
	u := &user{}
	_, err = s.web.ValidateDiscoverableLogin(func(rawID, handle []byte) (webauthn.User, error) {
		return u, s.load(ctx, u, base64.RawURLEncoding.EncodeToString(rawID))
	}, ceremony.Session, answer)
	if u.err != nil {
		return "", u.who.Person, u.err
	}
	if err != nil {
		return "", u.who.Person, explain("login", err)
	}
	if !s.spent.putAs(ceremony.ID, "", struct{}{}, s.now().Add(ceremonyTime)) {
		return "", u.who.Person, signIn("ceremony", "this sign-in was finished before")
	}
	counter := answer.Response.AuthenticatorData.Counter
	if err := advances(u.key.Counter, counter); err != nil {
		return "", u.who.Person, err
	}
	login, err := s.draftLogin(ctx, u.who, "webauthn", c)
	if err != nil {
		return "", u.who.Person, err
	}
	login.event.Detail["key"] = u.key.ID
	err = s.store.Update(ctx, func(tx Tx) error {
		if err := login.write(tx); err != nil {
			return err
		}
		return tx.SetCounter(u.key.ID, u.key.Counter, counter)
	})
	if errors.Is(err, gateway.ErrStale) {
		return "", u.who.Person, errCounter(u.key.Counter, counter)
	}
	return login.token, u.who.Person, stored(err)
}

// user is a person as the WebAuthn library sees one, with the one key that he
// answered with.
type user struct {
	handle []byte
	who    standing
	key    gateway.Authenticator
	creds  []webauthn.Credential
	err    error // why it could not be loaded, in our words
}

func (u *user) WebAuthnID() []byte                         { return u.handle }
func (u *user) WebAuthnName() string                       { return u.who.Name }
func (u *user) WebAuthnDisplayName() string                { return u.who.Title }
func (u *user) WebAuthnCredentials() []webauthn.Credential { return u.creds }

// load finds whose key it is.
func (s *Service) load(ctx context.Context, u *user, credential string) error {
	u.key, u.who, u.err = s.usable(ctx, credential)
	if u.err != nil {
		return u.err
	}
	id, err := base64.RawURLEncoding.DecodeString(u.key.ID)
	if err != nil {
		u.err = gateway.Internal(fmt.Errorf("credential id %q: %w", u.key.ID, err))
		return u.err
	}
	u.handle = s.handle(u.who.Name)
	u.creds = []webauthn.Credential{{ID: id, PublicKey: u.key.PublicKey, Flags: webauthn.CredentialFlags{BackupEligible: u.key.BackupEligible}}}
	return nil
}

// handle is the WebAuthn user handle of a person: always the same, so that a
// key enrolled again replaces what it held, and no name stands in the key.
func (s *Service) handle(person string) []byte {
	d := gateway.DigestOf([]byte("portcullis user handle\x00" + s.url + "\x00" + person))
	return d[:]
}

// usable verifies that a key may sign now, and whose it is.
func (s *Service) usable(ctx context.Context, credential string) (gateway.Authenticator, standing, error) {
	key, err := s.chain.Authenticator(ctx, credential)
	if err != nil {
		if missing(err) {
			return key, standing{}, gateway.Refused("key", "use a key that you have enrolled here, or ask for an invitation", "this key is not enrolled")
		}
		// Whose the row says it is, for the log alone.
		row, _ := s.store.Authenticator(ctx, credential)
		return key, standing{Person: gateway.Person{Name: row.Person}}, s.chained("key", credential, err)
	}
	who, err := s.stand(ctx, key.Person)
	if err != nil {
		return key, who, err
	}
	switch {
	case !key.Removed.IsZero():
		return key, who, gateway.Refused("key", "use another key, or ask for an invitation", "this key was removed on %s", key.Removed.Format(time.DateOnly))
	case key.Epochs != who.Epochs:
		return key, who, gateway.Refused("epoch", "ask for an invitation and enrol it anew", "this key was enrolled before a suspension and is not taken any more")
	}
	return key, who, nil
}

// advances holds the signature counter to WebAuthn clause 7.2 step 22: it
// rises, unless the key has none.
func advances(from, to uint32) error {
	if to > from || from == 0 && to == 0 {
		return nil
	}
	return errCounter(from, to)
}

func errCounter(from, to uint32) error {
	return gateway.Refused("counter", "touch once more; if it happens again the key may have been copied: remove it and call the operator's control room",
		"the key's signature counter stands at %d and was %d before", to, from)
}
