package statement

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	rp   = RelyingParty{ID: "gate.example", Origins: []string{"https://gate.example"}}
)

func suspend() *Suspend {
	return &Suspend{ID: gateway.NewID("sus", noon), Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Epoch: 2, Reason: "breach news"}
}

func sealed(t *testing.T) Signed {
	t.Helper()
	st, err := Draft("https://gate.example", "ana", noon, nil, suspend())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Seal(st)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStatementReadsBackAsItWasSigned(t *testing.T) {
	s := sealed(t)
	st, body, err := s.Parse()
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := body.(*Suspend); !ok || got.Scope.Name != "acme" || st.Signer != "ana" {
		t.Errorf("read back %+v of %+v", body, st)
	}
	if want := "Suspend vendor acme now: end all sessions and keep all of it out. Reason: breach news. Epoch 2."; st.Sentence != want {
		t.Errorf("the screen says %q, want %q", st.Sentence, want)
	}
}

func TestParseRefusesAnyOtherText(t *testing.T) {
	good := string(sealed(t).Bytes)
	for name, bad := range map[string]string{
		"another sentence":   strings.Replace(good, "breach news. Epoch", "holiday. Epoch", 1),
		"another epoch":      strings.Replace(good, `"epoch":2`, `"epoch":3`, 1),
		"unknown key":        strings.Replace(good, `{"at"`, `{"aa":1,"at"`, 1),
		"unknown body key":   strings.Replace(good, `"epoch":2`, `"epoch":2,"extra":true`, 1),
		"blanks":             strings.Replace(good, `,"by"`, `, "by"`, 1),
		"duplicate key":      strings.Replace(good, `"epoch":2`, `"epoch":2,"epoch":2`, 1),
		"unknown kind":       strings.Replace(good, `"kind":"suspend"`, `"kind":"resume"`, 1),
		"kind of other body": strings.Replace(good, `"kind":"suspend"`, `"kind":"restore"`, 1),
		"trailing":           good + " ",
		"two values":         good + good,
		"fraction":           strings.Replace(good, `"epoch":2`, `"epoch":2.0`, 1),
		"escaped letter":     strings.Replace(good, "acme", `\u0061cme`, 1),
		"bidi":               strings.ReplaceAll(good, "breach", "bre\u202each"),
		"empty":              "",
		"too long":           strings.Repeat(" ", MaxBytes+1),
	} {
		if _, _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%s: read without complaint", name)
		}
	}
}

func TestMachineSignature(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	m := MachineKey{Private: key, Gateway: "https://gate.example"}
	s, err := m.Sign(noon, suspend())
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParseRoot(m.Root())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyEd25519(s.Proofs[0], pub); err != nil {
		t.Errorf("own signature: %v", err)
	}
	other, _, _ := ed25519.GenerateKey(rand.Reader)
	if s.VerifyEd25519(s.Proofs[0], other) == nil {
		t.Error("another key's signature was taken")
	}
	moved := sealed(t)
	moved.Proofs = s.Proofs
	if moved.VerifyEd25519(moved.Proofs[0], pub) == nil {
		t.Error("a signature was taken under another statement")
	}
	bare := s.Proofs[0]
	bare.Signature = ed25519.Sign(key, s.Digest[:])
	if s.VerifyEd25519(bare, pub) == nil {
		t.Error("a signature without our context was taken")
	}
}

// touch makes a WebAuthn assertion by hand, so that each part can be wrong.
type touch struct {
	key       *ecdsa.PrivateKey
	challenge []byte
	typ       string
	origin    string
	rpID      string
	flags     byte
	cross     bool
	counter   uint32
}

func (a touch) proof(t *testing.T) Proof {
	t.Helper()
	client := fmt.Appendf(nil, `{"type":%q,"challenge":%q,"origin":%q,"crossOrigin":%t,"later":1}`,
		a.typ, base64.RawURLEncoding.EncodeToString(a.challenge), a.origin, a.cross)
	id := sha256.Sum256([]byte(a.rpID))
	auth := append(append([]byte{}, id[:]...), a.flags)
	auth = binary.BigEndian.AppendUint32(auth, a.counter)
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(bytes.Clone(auth), hash[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return Proof{Kind: WebAuthn, Key: "x", ClientData: client, AuthenticatorData: auth, Signature: sig}
}

// cose is the COSE_Key of an ES256 key (RFC 9053 clause 7.1.1).
func cose(k *ecdsa.PrivateKey) []byte {
	raw, _ := k.PublicKey.Bytes() // 0x04, x, y
	b := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20}
	b = append(b, raw[1:33]...)
	b = append(b, 0x22, 0x58, 0x20)
	return append(b, raw[33:65]...)
}

func TestWebAuthnProof(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, elsewhere := sealed(t), sealed(t)
	const upuv = 0x05
	good := touch{key: key, challenge: s.Digest[:], typ: "webauthn.get", origin: "https://gate.example", rpID: "gate.example", flags: upuv, counter: 7}
	got, err := s.VerifyWebAuthn(good.proof(t), cose(key), rp)
	if err != nil || got.Counter != 7 {
		t.Fatalf("a good touch: %+v, %v", got, err)
	}
	for name, change := range map[string]func(*touch){
		"another statement":    func(a *touch) { a.challenge = elsewhere.Digest[:] },
		"no challenge":         func(a *touch) { a.challenge = nil },
		"registration":         func(a *touch) { a.typ = "webauthn.create" },
		"look-alike origin":    func(a *touch) { a.origin = "https://gate.example.evil.example" },
		"plain http":           func(a *touch) { a.origin = "http://gate.example" },
		"other port":           func(a *touch) { a.origin = "https://gate.example:444" },
		"inside a frame":       func(a *touch) { a.cross = true },
		"other relying party":  func(a *touch) { a.rpID = "evil.example" },
		"no user presence":     func(a *touch) { a.flags = 0x04 },
		"no user verification": func(a *touch) { a.flags = 0x01 },
		"another key":          func(a *touch) { a.key = stranger },
	} {
		a := good
		change(&a)
		if _, err := s.VerifyWebAuthn(a.proof(t), cose(key), rp); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	p := good.proof(t)
	for i := range p.Signature {
		bad := p
		bad.Signature = bytes.Clone(p.Signature)
		bad.Signature[i] ^= 1
		if _, err := s.VerifyWebAuthn(bad, cose(key), rp); err == nil {
			t.Errorf("signature with byte %d changed: taken", i)
		}
	}
}

func FuzzParse(f *testing.F) {
	st, _ := Draft("https://gate.example", "ana", noon, nil, suspend())
	s, _ := Seal(st)
	f.Add(s.Bytes)
	f.Add([]byte(`{"kind":"suspend"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		st, body, err := Parse(raw)
		if err != nil {
			return
		}
		again, err := st.Bytes()
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("what was read is not what is written again: %v", err)
		}
		if body.Sentence() != st.Sentence {
			t.Fatal("the sentence is not the body's")
		}
	})
}

func FuzzProof(f *testing.F) {
	f.Add([]byte(`{"type":"webauthn.get"}`), []byte("auth"), []byte("sig"), []byte{0xa5})
	f.Fuzz(func(t *testing.T, client, auth, sig, key []byte) {
		raw := []byte("{}")
		s := Signed{Digest: gateway.DigestOf(raw), Bytes: raw}
		if _, err := s.VerifyWebAuthn(Proof{Kind: WebAuthn, ClientData: client, AuthenticatorData: auth, Signature: sig}, key, rp); err == nil {
			t.Fatal("random bytes were taken for a touch")
		}
	})
}
