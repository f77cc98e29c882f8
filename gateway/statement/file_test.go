package statement

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func FuzzParseFile(f *testing.F) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	machine := MachineKey{Private: key, Gateway: "https://gate.example"}
	order := &Order{ID: gateway.NewID("ord", noon), Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Reason: "breach notice", From: noon, To: noon.Add(MaxOrder)}
	for _, b := range []Body{order, &KeyRemove{Credential: "c", Person: "ana", Label: "laptop"}} {
		s, err := machine.Sign(noon, b)
		if err != nil {
			f.Fatal(err)
		}
		raw, err := EncodeFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(bytes.Replace(raw, []byte("acme"), []byte("bolt"), 1))
		f.Add(bytes.TrimSuffix(raw, []byte("\n")))
		f.Add(append([]byte(" "), raw...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, order, err := ParseFile(raw)
		if err != nil {
			return
		}
		again, err := EncodeFile(s)
		if err != nil || !bytes.Equal(bytes.TrimSuffix(again, []byte("\n")), bytes.TrimSuffix(raw, []byte("\n"))) {
			t.Fatalf("what was read is not what is written again: %v", err)
		}
		if s.Digest != gateway.DigestOf(s.Bytes) || order.Check() != nil {
			t.Fatalf("taken: %s, %v", s.Digest, order.Check())
		}
	})
}
