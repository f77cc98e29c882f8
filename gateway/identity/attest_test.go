package identity_test

import (
	"encoding/base64"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// attestation is a fresh security key with its file, as the person pastes it.
func (w *world) attestation(person, after string) (*softkey.SSHKey, identity.Attested) {
	w.t.Helper()
	k, err := softkey.NewSSHKey(ssh.KeyAlgoSKED25519)
	if err != nil {
		w.t.Fatal(err)
	}
	challenge, err := w.svc.AttestChallenge(person)
	if err != nil {
		w.t.Fatal(err)
	}
	blob := w.must(k.Attest([]byte(challenge + after)).Blob())
	return k, identity.Attested{Blob: base64.StdEncoding.EncodeToString(blob) + "\n", Challenge: challenge}
}

func TestAttestedSSHKeyIsKeptAndTold(t *testing.T) {
	for name, after := range map[string]string{"challenge as shown": "", "challenge from an editor": "\n"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			login := w.enrol(engineer, softkey.New(trusttest.URL))
			k, a := w.attestation(engineer, after)
			body, err := w.svc.DraftAttestedSSHKey(t.Context(), w.person(engineer), k.Line(), "token", a)
			if err != nil {
				t.Fatal(err)
			}
			if f := w.facts; !f.SSH || !f.SecurityKey || !f.VerifyRequired || f.Attestation != "unanchored" || f.AAGUID != "2fc0579f-0000-0000-0000-000000000000" {
				t.Errorf("the policy was told %+v", f)
			}
			signed, err := w.touch(login, body)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.svc.CommitSSHKey(t.Context(), signed); err != nil {
				t.Fatal(err)
			}
			_, keys, err := w.svc.Keys(t.Context(), engineer)
			if err != nil || len(keys) != 1 || keys[0].Attested == nil || !keys[0].Attested.VerifyRequired || keys[0].Attested.Verdict != "unanchored" {
				t.Errorf("%+v, %v", keys, err)
			}
		})
	}
}

func TestAttestationThatIsNotTaken(t *testing.T) {
	for _, tc := range []struct {
		name, says string
		do         func(w *world, k *softkey.SSHKey, a *identity.Attested)
	}{
		{"the challenge of another person", "challenge is not yours", func(w *world, k *softkey.SSHKey, a *identity.Attested) {
			*a = w.attestationOf(k, other)
		}},
		{"a challenge of his own", "challenge is not yours", func(w *world, k *softkey.SSHKey, a *identity.Attested) {
			a.Challenge = "anything"
			a.Blob = base64.StdEncoding.EncodeToString(w.must(k.Attest([]byte("anything")).Blob()))
		}},
		{"an old challenge", "older than", func(w *world, _ *softkey.SSHKey, _ *identity.Attested) { w.Advance(identity.AttestTime) }},
		{"another challenge than it was made for", "does not hold", func(w *world, k *softkey.SSHKey, a *identity.Attested) {
			a.Challenge = w.attestationOf(k, engineer).Challenge
		}},
		{"the file of another key", "another key", func(w *world, _ *softkey.SSHKey, a *identity.Attested) { _, *a = w.attestation(engineer, "") }},
		{"no file", "is not the base64", func(_ *world, _ *softkey.SSHKey, a *identity.Attested) { a.Blob = "§" }},
		{"the policy says no", "models", func(w *world, _ *softkey.SSHKey, _ *identity.Attested) {
			w.no = gateway.Refused("attested-ssh-keys", "take another", "only some models are taken")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.enrol(engineer, softkey.New(trusttest.URL))
			k, a := w.attestation(engineer, "")
			tc.do(w, k, &a)
			_, err := w.svc.DraftAttestedSSHKey(t.Context(), w.person(engineer), k.Line(), "token", a)
			refused(t, err, tc.says)
		})
	}
}

func (w *world) attestationOf(k *softkey.SSHKey, person string) identity.Attested {
	w.t.Helper()
	challenge, err := w.svc.AttestChallenge(person)
	if err != nil {
		w.t.Fatal(err)
	}
	return identity.Attested{Blob: base64.StdEncoding.EncodeToString(w.must(k.Attest([]byte(challenge)).Blob())), Challenge: challenge}
}
