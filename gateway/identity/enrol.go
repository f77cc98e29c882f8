package identity

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Enroller is who enrols a key: the holder of an invitation's token, or a
// person who is signed in and has a key already.
type Enroller struct {
	Token  string
	Login  gateway.Login
	Person gateway.Person
}

// enrolment is an enrolment under way.
type enrolment struct {
	who     standing
	label   string
	invite  gateway.Invitation // with key, or
	key     ed25519.PrivateKey
	old     []gateway.Authenticator // keys that may let it in
	session webauthn.SessionData

	body    *statement.Enrol // once created
	signed  statement.Signed
	at      time.Time
	counter uint32
}

// BeginEnrol begins the enrolment of a key under a label that its owner
// chooses. Nobody enrols without an invitation or a key enrolled before.
func (s *Service) BeginEnrol(ctx context.Context, by Enroller, label string) (Ceremony, error) {
	e, err := s.mayEnrol(ctx, by, label)
	if err != nil {
		return Ceremony{}, err
	}
	u := &user{handle: s.handle(e.who.Name), who: e.who}
	options, session, err := s.web.BeginRegistration(u, webauthn.WithExclusions(descriptors(e.old)), webauthn.WithCredentialParameters(taken))
	if err != nil {
		return Ceremony{}, gateway.Internal(fmt.Errorf("begin enrolment: %w", err))
	}
	raw, err := json.Marshal(options.Response)
	if err != nil {
		return Ceremony{}, gateway.Internal(fmt.Errorf("begin enrolment: %w", err))
	}
	e.session = *session
	// The ceremony's id is a secret of the browser that began it: no second
	// proof of who goes on is asked for.
	id, ok := s.enrols.put(e.who.Name, e, s.now().Add(ceremonyTime))
	if !ok {
		return Ceremony{}, full()
	}
	return Ceremony{ID: s.homed(e.who.Name + "." + id), Options: raw}, nil
}

// taken are the signature algorithms of keys: ECDSA with P-256 and P-384,
// Ed25519, and RSA for the authenticators that know nothing else.
var taken = func() []protocol.CredentialParameter {
	var list []protocol.CredentialParameter
	for _, p := range webauthn.CredentialParametersDefault() {
		switch p.Algorithm {
		case -7, -8, -35, -257:
			list = append(list, p)
		}
	}
	return list
}()

func descriptors(keys []gateway.Authenticator) []protocol.CredentialDescriptor {
	var list []protocol.CredentialDescriptor
	for _, k := range keys {
		if id, err := base64.RawURLEncoding.DecodeString(k.ID); err == nil {
			list = append(list, protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: id})
		}
	}
	return list
}

func (s *Service) mayEnrol(ctx context.Context, by Enroller, label string) (*enrolment, error) {
	if err := gateway.CheckNeeded("label", label, gateway.MaxTitle, false); err != nil {
		return nil, err
	}
	e := &enrolment{label: label}
	var err error
	if by.Token != "" {
		if e.invite, e.who, e.key, err = s.invited(ctx, by.Token); err != nil {
			s.refuseInvitation(ctx, e.who.Person, "", err)
			return nil, err
		}
	} else {
		if by.Login.ID == "" || by.Login.Person != by.Person.Name {
			return nil, signIn("login", "nobody is signed in")
		}
		if e.who, err = s.stand(ctx, by.Person.Name); err != nil {
			return nil, err
		}
	}
	if e.old, err = s.usableKeys(ctx, e.who); err != nil {
		return nil, err
	}
	switch {
	case len(e.old) >= MaxKeys:
		return nil, gateway.Refused("keys", "remove one that is not used", "%s has %d keys, which is the most one person may have", e.who.Name, MaxKeys)
	case e.key == nil && len(e.old) == 0:
		return nil, gateway.Refused("invitation", "ask an administrator for an invitation", "a first key is enrolled by an invitation only")
	}
	return e, nil
}

// enrolmentOf finds an enrolment by its ceremony's id.
func (s *Service) enrolmentOf(id string, take bool) (*enrolment, string, error) {
	id = s.bare(id)
	i := len(id) - 26 // rand.Text
	if i > 1 && id[i-1] == '.' {
		find := s.enrols.get
		if take {
			find = s.enrols.take
		}
		if e, ok := find(id[i:], id[:i-1]); ok {
			return e, id[:i-1], nil
		}
	}
	return nil, "", gateway.Refused("ceremony", "begin again", "this enrolment is finished, was begun more than %s ago, or its text waited longer than %s for the touch", ceremonyTime, statement.Fresh)
}

// EnrolCreated takes the new credential as navigator.credentials.create gave
// it, keeps what it says of itself, asks the policy, and draws up the
// statement that the new key must touch; where a login lets it in, a key
// enrolled before must touch it too (Challenge.Also).
func (s *Service) EnrolCreated(ctx context.Context, ceremonyID string, credential []byte) (Challenge, error) {
	e, owner, err := s.enrolmentOf(ceremonyID, true)
	if err != nil {
		return Challenge{}, err
	}
	created, err := s.created(e, credential)
	if err == nil {
		err = s.enrolled(e, created)
	}
	if err != nil {
		s.record(ctx, refusal(audit.TouchRefused, e.who.Person, "", err))
		return Challenge{}, err
	}
	// A new enrolment under a new id: what was created once is not created
	// again, and two answers at once are two enrolments of which one can end.
	next := *e
	next.at = gateway.Instant(s.now())
	by := entitling(e.who, e.old)
	if e.key != nil {
		by = []gateway.Digest{e.who.Statement, e.invite.Statement}
	}
	var st statement.Statement
	if next.signed, st, err = s.draw(e.who, next.at, by, e.body); err != nil {
		return Challenge{}, err
	}
	c := Challenge{Sentence: st.Sentence, Statement: next.signed.Bytes, Expires: next.at.Add(statement.Fresh)}
	if c.Options, err = s.request(next.signed, []gateway.Authenticator{{ID: e.body.Credential}}); err != nil {
		return Challenge{}, err
	}
	if e.key == nil {
		if c.Also, err = s.request(next.signed, e.old); err != nil {
			return Challenge{}, err
		}
	}
	id, ok := s.enrols.put(owner, &next, c.Expires)
	if !ok {
		return Challenge{}, full()
	}
	c.ID = s.homed(owner + "." + id)
	return c, nil
}

// created verifies the credential.
func (s *Service) created(e *enrolment, credential []byte) (*webauthn.Credential, error) {
	if e.body != nil {
		return nil, gateway.Refused("ceremony", "begin again", "this enrolment has its key already")
	}
	if len(credential) > maxCredential {
		return nil, gateway.Invalid("credential", "the key's answer has %d bytes; at most %d are allowed", len(credential), maxCredential)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		return nil, unreadable(err)
	}
	c, err := s.web.CreateCredential(&user{handle: s.handle(e.who.Name), who: e.who}, e.session, parsed)
	if err != nil {
		return nil, explain("enrol", err)
	}
	return c, nil
}

// enrolled keeps what the key says of itself and asks the policy about it.
func (s *Service) enrolled(e *enrolment, c *webauthn.Credential) error {
	model, err := uuid.FromBytes(c.Authenticator.AAGUID)
	if err != nil {
		return unreadable(err)
	}
	f := EnrolFacts{AAGUID: model.String(), Format: c.AttestationFormat, Attestation: verdict(c.AttestationType),
		BackupEligible: c.Flags.BackupEligible, BackedUp: c.Flags.BackupState}
	if no := s.policy.MayEnrol(e.who.Person, f); no != nil {
		return no
	}
	invitation := ""
	if e.key != nil {
		invitation = e.invite.ID
	}
	e.counter = c.Authenticator.SignCount
	e.body = &statement.Enrol{
		Credential: base64.RawURLEncoding.EncodeToString(c.ID), PublicKey: c.PublicKey, AAGUID: f.AAGUID, Format: f.Format,
		Attestation: f.Attestation, BackupEligible: f.BackupEligible, Person: e.who.Name, Label: e.label, Epochs: e.who.Epochs, Invitation: invitation,
	}
	return e.body.Check()
}

// verdict words the attestation type. An attestation by the maker's key has a
// signature that holds, but no list of makers is kept to anchor it in.
func verdict(kind string) string {
	switch metadata.AuthenticatorAttestationType(kind) {
	case metadata.None:
		return "none"
	case metadata.BasicSurrogate:
		return "self"
	}
	return "unanchored"
}

// FinishEnrol takes the touch of the new key, and where a login lets it in
// then the touch of a key enrolled before, and enrols it. By invitation the
// person is signed in too, and the token for the cookie is returned; it is
// empty otherwise.
func (s *Service) FinishEnrol(ctx context.Context, ceremonyID string, c Client, assertions ...[]byte) (string, gateway.Person, error) {
	e, _, err := s.enrolmentOf(ceremonyID, true)
	if err != nil {
		return "", gateway.Person{}, err
	}
	token, err := s.finishEnrol(ctx, e, c, assertions)
	if err != nil {
		event := refusal(audit.TouchRefused, e.who.Person, c.Source, err)
		event.Statement = e.signed.Digest
		s.record(ctx, event)
		return "", gateway.Person{}, err
	}
	return token, e.who.Person, nil
}

func (s *Service) finishEnrol(ctx context.Context, e *enrolment, c Client, assertions [][]byte) (string, error) {
	wants := 1
	if e.key == nil {
		wants = 2
	}
	switch {
	case e.body == nil:
		return "", gateway.Refused("ceremony", "begin again", "this enrolment has no key yet")
	case len(assertions) != wants:
		return "", gateway.Invalid("assertions", "this enrolment takes %d touches, not %d", wants, len(assertions))
	}
	if err := s.fresh(e.at); err != nil {
		return "", err
	}
	own, counter, err := s.newKeyTouch(e, assertions[0])
	if err != nil {
		return "", err
	}
	signed, let := e.signed, verified{}
	if e.key != nil {
		signed = signed.SignEd25519(e.key)
	} else {
		if let, err = s.verify(ctx, e.who.Name, signed, assertions[1]); err != nil {
			return "", err
		}
		signed.Proofs = []statement.Proof{let.proof}
	}
	signed.Proofs = append(signed.Proofs, own)
	if _, err := s.chain.CheckFresh(ctx, signed); err != nil {
		return "", err
	}
	return s.commitEnrol(ctx, e, signed, counter, let, c)
}

// newKeyTouch verifies the new key's own signature.
func (s *Service) newKeyTouch(e *enrolment, credential []byte) (statement.Proof, uint32, error) {
	a, err := parseAssertion(credential)
	if err != nil {
		return statement.Proof{}, 0, err
	}
	p := proof(a)
	if p.Key != e.body.Credential {
		return p, 0, gateway.Refused("key", "touch the new key first", "the text was touched by another key than the new one")
	}
	touch, err := e.signed.VerifyWebAuthn(p, e.body.PublicKey, s.rp)
	if err != nil {
		return p, 0, touchRefused(err)
	}
	if touch.BackupEligible != e.body.BackupEligible {
		return p, 0, gateway.Refused("touch", "begin again", "the key contradicts what it said a moment ago")
	}
	return p, touch.Counter, advances(e.counter, touch.Counter)
}

func (s *Service) commitEnrol(ctx context.Context, e *enrolment, signed statement.Signed, counter uint32, let verified, c Client) (string, error) {
	now := gateway.Instant(s.now())
	b := e.body
	key := gateway.Authenticator{
		ID: b.Credential, Person: b.Person, Label: b.Label, PublicKey: b.PublicKey, AAGUID: b.AAGUID, Format: b.Format, Attestation: b.Attestation,
		BackupEligible: b.BackupEligible, Counter: counter, Epochs: b.Epochs, Statement: signed.Digest, Enrolled: now,
	}
	event := audit.Event{Name: audit.KeyEnrolled, Actor: e.who.Name, Vendor: e.who.Vendor, Person: e.who.Name, Source: c.Source, Statement: signed.Digest,
		Detail: map[string]string{"key": b.Credential, "label": b.Label, "model": b.AAGUID, "attestation": b.Attestation, "invitation": b.Invitation}}
	var login newLogin
	var err error
	if e.key != nil {
		if login, err = s.draftLogin(ctx, e.who, "webauthn", c); err != nil {
			return "", err
		}
	}
	err = s.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		if err := tx.PutAuthenticator(key); err != nil {
			return err
		}
		if err := tx.Append(event); err != nil {
			return err
		}
		if e.key == nil {
			return let.set(tx)
		}
		if err := tx.UseInvitation(e.invite.ID, now); err != nil {
			return err
		}
		return login.write(tx)
	})
	if errors.Is(err, gateway.ErrUsed) {
		return "", gateway.Conflict("used", "this key has been enrolled before, or the invitation was used a moment ago; ask for a new invitation")
	}
	return login.token, stored(err)
}
