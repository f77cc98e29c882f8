package statement_test

import (
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
)

func attestKey(t testing.TB, algorithm string) *softkey.SSHKey {
	t.Helper()
	k, err := softkey.NewSSHKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func attestBlob(t testing.TB, a *softkey.Attestation) []byte {
	t.Helper()
	raw, err := a.Blob()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSSHAttestationSaysWhatTheKeyIs(t *testing.T) {
	const model = "2fc0579f-0000-0000-0000-000000000000"
	for name, tc := range map[string]struct {
		do   func(a *softkey.Attestation)
		want gateway.SSHAttested
	}{
		"by its maker":            {func(*softkey.Attestation) {}, gateway.SSHAttested{Verdict: "unanchored", AAGUID: model, CredProtect: 3, VerifyRequired: true, Verified: true}},
		"by itself":               {func(a *softkey.Attestation) { a.Self = true }, gateway.SSHAttested{Verdict: "self", AAGUID: model, CredProtect: 3, VerifyRequired: true, Verified: true}},
		"without verify-required": {func(a *softkey.Attestation) { a.CredProtect = 0; a.Flags = 1 | 64 }, gateway.SSHAttested{Verdict: "unanchored", AAGUID: model}},
		"resident":                {func(a *softkey.Attestation) { a.CredProtect = 2 }, gateway.SSHAttested{Verdict: "unanchored", AAGUID: model, CredProtect: 2, Verified: true}},
	} {
		for _, algorithm := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
			t.Run(name+" "+algorithm, func(t *testing.T) {
				k := attestKey(t, algorithm)
				a := k.Attest([]byte("challenge"))
				tc.do(a)
				if got, err := statement.VerifySSHAttestation(k.PublicKey(), attestBlob(t, a), []byte("challenge")); err != nil || got != tc.want {
					t.Errorf("%+v, %v; want %+v", got, err, tc.want)
				}
			})
		}
	}
}

func TestSSHAttestationThatDoesNotHold(t *testing.T) {
	for name, do := range map[string]func(a *softkey.Attestation){
		"for another challenge":    func(a *softkey.Attestation) { a.Challenge = []byte("another") },
		"for another application":  func(a *softkey.Attestation) { a.Application = "example.org" },
		"made without a touch":     func(a *softkey.Attestation) { a.Flags &^= 1 },
		"about no key":             func(a *softkey.Attestation) { a.Flags &^= 64 },
		"a level nobody knows":     func(a *softkey.Attestation) { a.CredProtect = 4 },
		"extensions not announced": func(a *softkey.Attestation) { a.CredProtect = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			k := attestKey(t, ssh.KeyAlgoSKED25519)
			a := k.Attest([]byte("challenge"))
			do(a)
			if got, err := statement.VerifySSHAttestation(k.PublicKey(), attestBlob(t, a), []byte("challenge")); err == nil {
				t.Errorf("taken: %+v", got)
			}
		})
	}
	k := attestKey(t, ssh.KeyAlgoSKED25519)
	good := attestBlob(t, k.Attest([]byte("challenge")))
	for name, key := range map[string]ssh.PublicKey{"another key": attestKey(t, ssh.KeyAlgoSKED25519).PublicKey(), "a key of another kind": attestKey(t, ssh.KeyAlgoSKECDSA256).PublicKey()} {
		if _, err := statement.VerifySSHAttestation(key, good, []byte("challenge")); err == nil {
			t.Errorf("%s is attested", name)
		}
	}
	want, err := statement.VerifySSHAttestation(k.PublicKey(), good, []byte("challenge"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range good { // the certificate's own signature is anchored nowhere; all else counts
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x10
		if got, err := statement.VerifySSHAttestation(k.PublicKey(), bad, []byte("challenge")); err == nil && got != want {
			t.Errorf("byte %d changed: taken as %+v", i, got)
		}
	}
	if _, err := statement.VerifySSHAttestation(k.PublicKey(), append(good, 0), []byte("challenge")); err == nil {
		t.Error("a byte after the end is taken")
	}
}

// What a statement says of a key is what its file proves, and nothing more.
func TestSSHKeyAddStatesWhatIsProven(t *testing.T) {
	k := attestKey(t, ssh.KeyAlgoSKECDSA256)
	a := k.Attest([]byte("challenge"))
	a.CredProtect = 1
	blob := attestBlob(t, a)
	proven, err := statement.VerifySSHAttestation(k.PublicKey(), blob, []byte("challenge"))
	if err != nil {
		t.Fatal(err)
	}
	b := statement.SSHKeyAdd{Fingerprint: ssh.FingerprintSHA256(k.PublicKey()), Key: k.Line(), Person: "ana", Label: "token",
		Attestation: &statement.SSHAttestation{SSHAttested: proven, Challenge: []byte("challenge"), Blob: blob}}
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	b.Attestation.VerifyRequired = true
	if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
		t.Errorf("more is stated than is proven: %v", err)
	}
}

func FuzzSSHAttestation(f *testing.F) {
	k := attestKey(f, ssh.KeyAlgoSKED25519)
	f.Add(attestBlob(f, k.Attest([]byte("challenge"))))
	f.Add([]byte(nil))
	key := k.PublicKey()
	f.Fuzz(func(_ *testing.T, blob []byte) { _, _ = statement.VerifySSHAttestation(key, blob, []byte("challenge")) })
}
