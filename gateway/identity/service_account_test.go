package identity_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

const audience = "https://svc-historian.apps.example.test"

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, claims any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestServiceAccountsProveThemselvesByToken(t *testing.T) {
	w := newWorld(t)
	_, key := w.World.Serve("nightly")
	w.mirror()
	n := 0
	claims := func(change func(*jwt.Claims)) jwt.Claims {
		n++
		c := jwt.Claims{Issuer: "nightly", Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(w.Now().Add(time.Minute)), ID: strings.Repeat("j", n)}
		if change != nil {
			change(&c)
		}
		return c
	}
	svc := w.service(nil)
	good := sign(t, jose.EdDSA, key, claims(nil))
	if p, err := svc.ServiceByToken(t.Context(), good, audience); err != nil || p.Name != "nightly" {
		t.Fatalf("a good token: %v", err)
	}
	if p, err := svc.ServiceByToken(t.Context(), good, audience); gateway.AsError(err).Rule != "token-once" || p.Name != "nightly" {
		t.Errorf("the same token again: %v", err)
	}
	if _, err := w.service(nil).ServiceByToken(t.Context(), good, audience); gateway.AsError(err).Rule != "token-once" {
		t.Errorf("the same token after a restart: %v", err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := key.Public().(ed25519.PublicKey)
	enc := base64.RawURLEncoding.EncodeToString
	part := strings.Split(sign(t, jose.EdDSA, key, claims(nil)), ".")
	at := func(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(w.Now().Add(d)) }
	for name, raw := range map[string]string{
		"by another key":            sign(t, jose.EdDSA, other, claims(nil)),
		"HS256 with the public key": sign(t, jose.HS256, []byte(pub), claims(nil)),
		"alg none":                  enc([]byte(`{"alg":"none"}`)) + "." + part[1] + ".",
		"alg none, signed":          enc([]byte(`{"alg":"none"}`)) + "." + part[1] + "." + part[2],
		"another head":              enc([]byte(`{"alg":"EdDSA","kid":"x"}`)) + "." + part[1] + "." + part[2],
		"another body":              part[0] + "." + enc([]byte(`{"iss":"nightly","aud":"`+audience+`","exp":9999999999,"jti":"z"}`)) + "." + part[2],
		"no signature":              part[0] + "." + part[1] + ".",
		"not a token":               "x", "empty": "", "JSON": `{"payload":"` + part[1] + `","signatures":[]}`,
		"oversized":              sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.ID = strings.Repeat("x", identity.MaxServiceToken) })),
		"a long jti":             sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.ID = strings.Repeat("x", 129) })),
		"no jti":                 sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.ID = "" })),
		"another audience":       sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Audience = jwt.Audience{"https://svc-other.apps.example.test"} })),
		"two audiences":          sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Audience = jwt.Audience{audience, "x"} })),
		"no audience":            sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Audience = nil })),
		"expired":                sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Expiry = at(-time.Second) })),
		"without an end":         sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Expiry = nil })),
		"good for six minutes":   sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Expiry = at(6 * time.Minute) })),
		"not yet good":           sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.NotBefore = at(time.Minute) })),
		"made in the future":     sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.IssuedAt = at(time.Minute) })),
		"of another subject":     sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Subject = "ada" })),
		"of a person":            sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Issuer = trusttest.Engineer })),
		"of nobody":              sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Issuer = "none" })),
		"of a name that is none": sign(t, jose.EdDSA, key, claims(func(c *jwt.Claims) { c.Issuer = "../x" })),
	} {
		if _, err := svc.ServiceByToken(t.Context(), raw, audience); gateway.AsError(err).Rule != identity.RuleService {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.suspend(gateway.Scope{Kind: gateway.ScopePerson, Name: "nightly"})
	if _, err := svc.ServiceByToken(t.Context(), sign(t, jose.EdDSA, key, claims(nil)), audience); err == nil || !strings.Contains(err.Error(), "suspended") {
		t.Errorf("suspended: %v", err)
	}
}

func TestServiceAccountsProveThemselvesByCertificate(t *testing.T) {
	w := newWorld(t)
	_, key := w.World.Serve("nightly")
	w.mirror()
	svc := w.service(nil)
	cert := func(public any, from, to time.Duration) *x509.Certificate {
		ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: w.Now().Add(from), NotAfter: w.Now().Add(to)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, ca)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if p, err := svc.ServiceByCertificate(t.Context(), cert(key.Public(), -time.Hour, time.Hour)); err != nil || p.Name != "nightly" {
		t.Errorf("a good certificate: %v", err)
	}
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*x509.Certificate{
		"by another key": cert(other, -time.Hour, time.Hour), "run out": cert(key.Public(), -time.Hour, -time.Second), "not begun": cert(key.Public(), time.Minute, time.Hour),
	} {
		if _, err := svc.ServiceByCertificate(t.Context(), c); gateway.AsError(err).Rule != identity.RuleService {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An edited row finds the account, and the chain does not believe it.
	der, err := x509.MarshalPKIXPublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	w.edit(`UPDATE people SET service = json_set(service, '$.key', ?) WHERE name = 'nightly'`, "spki:"+base64.StdEncoding.EncodeToString(der))
	if _, err := svc.ServiceByCertificate(t.Context(), cert(other, -time.Hour, time.Hour)); gateway.AsError(err).Rule != "chain" {
		t.Errorf("P5: an edited row: %v", err)
	}
}

func TestNobodySignsInAsAServiceAccount(t *testing.T) {
	w := newWorld(t)
	w.World.Serve("nightly")
	w.mirror()
	if _, _, err := w.service(nil).DraftInvite(t.Context(), w.person(trusttest.Admin), "nightly"); gateway.AsError(err).Rule != "service-account" {
		t.Errorf("invited: %v", err)
	}
}

func FuzzServiceToken(f *testing.F) {
	f.Add("eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJuaWdodGx5In0.AA")
	f.Add(`{"payload":"e30","signatures":[{"signature":"AA"}]}`)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, raw string) {
		if name, err := identity.ParseServiceToken(raw); err == nil && gateway.CheckName("iss", name) != nil {
			t.Errorf("%q reads as the token of %q", raw, name)
		}
	})
}
