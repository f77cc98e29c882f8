package softkey_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
)

const origin = "http://localhost:8080"

type user struct{ creds []webauthn.Credential }

func (user) WebAuthnID() []byte                           { return []byte("ana") }
func (user) WebAuthnName() string                         { return "ana" }
func (user) WebAuthnDisplayName() string                  { return "Ana" }
func (u user) WebAuthnCredentials() []webauthn.Credential { return u.creds }

// The library that the gateway serves with takes what the key answers.
func TestKeySatisfiesTheRelyingParty(t *testing.T) {
	rp, err := webauthn.New(&webauthn.Config{RPID: "localhost", RPDisplayName: "Portcullis", RPOrigins: []string{origin}})
	if err != nil {
		t.Fatal(err)
	}
	for _, attest := range []bool{true, false} {
		k := softkey.New(origin)
		k.Attest = attest
		options, session, err := rp.BeginRegistration(user{}, webauthn.WithConveyancePreference(protocol.PreferDirectAttestation))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := k.Create(jsonOf(t, options.Response))
		if err != nil {
			t.Fatal(err)
		}
		created, err := protocol.ParseCredentialCreationResponseBytes(raw)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := rp.CreateCredential(user{}, *session, created)
		if err != nil {
			t.Fatal(err)
		}
		login, session, err := rp.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
		if err != nil {
			t.Fatal(err)
		}
		raw, err = k.Get(jsonOf(t, login)) // wrapped in publicKey
		if err != nil {
			t.Fatal(err)
		}
		asserted, err := protocol.ParseCredentialRequestResponseBytes(raw)
		if err != nil {
			t.Fatal(err)
		}
		find := func(_, _ []byte) (webauthn.User, error) {
			return user{creds: []webauthn.Credential{*cred}}, nil
		}
		if _, err := rp.ValidateDiscoverableLogin(find, *session, asserted); err != nil {
			t.Fatal(err)
		}
		excluded, _, err := rp.BeginRegistration(user{}, webauthn.WithExclusions([]protocol.CredentialDescriptor{cred.Descriptor()}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Create(jsonOf(t, excluded.Response)); err == nil {
			t.Fatal("a key that is enrolled enrolled again")
		}
	}
}

func TestTouchProvesAStatement(t *testing.T) {
	k := softkey.New(origin)
	c, err := k.NewCredential("localhost", []byte("ana"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := c.Public()
	if err != nil {
		t.Fatal(err)
	}
	st, err := statement.Draft(origin, "ana", time.Now(), nil, &statement.KeyRemove{Credential: c.Text(), Person: "ana", Label: "blue"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := statement.Seal(st)
	if err != nil {
		t.Fatal(err)
	}
	rp := statement.RelyingParty{ID: "localhost", Origins: []string{origin}}
	signed, err := k.Touch(c, s)
	if err != nil {
		t.Fatal(err)
	}
	touch, err := signed.VerifyWebAuthn(signed.Proofs[0], public, rp)
	if err != nil || touch.Counter != 1 {
		t.Fatalf("touch = %+v, %v", touch, err)
	}
	k.Verified = false
	if signed, err = k.Touch(c, s); err != nil {
		t.Fatal(err)
	}
	if _, err := signed.VerifyWebAuthn(signed.Proofs[0], public, rp); err == nil {
		t.Fatal("a touch without user verification held")
	}
	signed.Digest = gateway.DigestOf([]byte("another"))
	if _, err := signed.VerifyWebAuthn(signed.Proofs[0], public, rp); err == nil {
		t.Fatal("a touch held for another statement")
	}
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
