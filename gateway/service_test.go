package gateway_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func TestServiceKeysAreReadInOneSpelling(t *testing.T) {
	der := func(k any, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		raw, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	spki := func(raw []byte) string { return "spki:" + base64.StdEncoding.EncodeToString(raw) }
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	ed := der(pub, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec := der(&p256.PublicKey, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	big := der(&p384.PublicKey, err)
	r, err := rsa.GenerateKey(rand.Reader, 2048) //nolint:forbidigo // what must be refused has to be made once
	rs := der(&r.PublicKey, err)
	for _, c := range []struct {
		key          string
		good, tokens bool
	}{
		{gateway.PinOf(rs), true, false}, {spki(ed), true, true}, {spki(ec), true, true},
		{spki(big), false, false}, {spki(rs), false, false}, {spki(ed) + "=", false, false}, {spki(append(ed, 0)), false, false},
		{strings.ToUpper(gateway.PinOf(ed)), false, false}, {gateway.PinOf(ed)[:70], false, false}, {"", false, false}, {"spki:", false, false}, {base64.StdEncoding.EncodeToString(ed), false, false},
	} {
		k, err := gateway.ParseServiceKey(c.key)
		if (err == nil) != c.good || (k.Public != nil) != c.tokens {
			t.Errorf("%.60s: %v, %v", c.key, k.Pin, err)
		}
	}
	text := "\n" + string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: ec}))
	if got := gateway.SpellServiceKey(text); got != spki(ec) {
		t.Errorf("PEM is spelt %q", got)
	}
	if got := gateway.SpellServiceKey(text + text); got == spki(ec) {
		t.Error("two keys were taken for one")
	}
	if (gateway.Service{Key: spki(ec)}).Pin() != gateway.PinOf(ec) {
		t.Error("the pin of a whole key is another")
	}
}

func FuzzParseServiceKey(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("0", 64))
	f.Add("spki:MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := gateway.ParseServiceKey(s); err == nil && (len(k.Pin) != 71 || gateway.SpellServiceKey(s) != s) {
			t.Errorf("%q: %+v", s, k)
		}
	})
}
