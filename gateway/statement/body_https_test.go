package statement

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// certificate is one in PEM, self-signed.
func certificate(t testing.TB, ca bool, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

var pin = "sha256:" + strings.Repeat("0f", 32)

func console() *TargetDefine {
	return &TargetDefine{
		Name: "scada-web", Title: "SCADA head-end", Kind_: gateway.KindHTTPS, Address: "10.0.0.8:443", Zone: "dmz", Impact: gateway.High, Vendors: []string{"acme"},
		HTTPS:    &gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{pin}},
		Accounts: []gateway.Account{{Name: "service", Login: "svc@plant", Proof: gateway.ProofPassword, SecretFile: "/etc/portcullis/scada"}}, Version: 1,
	}
}

// proven is the console with one account, proven in this way.
func proven(a gateway.Account) func(*TargetDefine) {
	return func(b *TargetDefine) {
		a.Name = "service"
		b.Accounts = []gateway.Account{a}
	}
}

func form(change func(*gateway.Account)) func(*TargetDefine) {
	a := gateway.Account{
		Login: "svc", Proof: gateway.ProofForm, SecretFile: "/s",
		Form: &gateway.Form{Page: "/login", Action: "/login?next=/", User: "user", Password: "word", Fields: map[string]string{"realm": "plant"}, LoggedIn: "sid", Token: "data.token"},
	}
	change(&a)
	return proven(a)
}

func TestConsolesAreDefined(t *testing.T) {
	plant := certificate(t, true, "Plant CA \u202e")
	for name, c := range map[string]struct {
		change func(*TargetDefine)
		want   string // in the sentence
	}{
		"pinned": {func(*TargetDefine) {}, "service (user svc@plant by password from /etc/portcullis/scada). Its key is " + pin + ", whoever signed the certificate."},
		"system": {func(b *TargetDefine) {
			b.HTTPS = &gateway.HTTPS{Trust: gateway.TrustSystem, ServerName: "scada.plant.example"}
		}, "trusts, and it is asked for as scada.plant.example."},
		"authority": {func(b *TargetDefine) { b.HTTPS = &gateway.HTTPS{Trust: gateway.TrustCA, CA: plant} }, `Its certificate is signed by "CN=Plant CA \u202e" (SHA-256 `},
		"two authorities": {func(b *TargetDefine) {
			b.HTTPS = &gateway.HTTPS{Trust: gateway.TrustCA, CA: plant + "\n" + certificate(t, true, "Next")}
		}, `or "CN=Next" (SHA-256 `},
		"host of the app":     {func(b *TargetDefine) { b.HTTPS.Host = gateway.HostApp }, "it hears the name in the engineer's browser"},
		"redacted":            {func(b *TargetDefine) { b.HTTPS.Redact = []string{"X-Plant-Key", "pin"} }, `never recorded are also "X-Plant-Key", "pin"`},
		"by certificate":      {proven(gateway.Account{Login: "svc@plant", Proof: gateway.ProofCertificate}), "service (user svc@plant by certificate)"},
		"by key":              {proven(gateway.Account{Proof: gateway.ProofKey, SecretFile: "/k"}), "service (by key from /k)"},
		"by header":           {proven(gateway.Account{Proof: gateway.ProofHeader, Header: "X-API-Key", SecretFile: "/k"}), "service (by header X-API-Key from /k)"},
		"by another scheme":   {proven(gateway.Account{Proof: gateway.ProofHeader, Header: "Authorization", SecretFile: "/k"}), "by header Authorization"},
		"by bearer":           {proven(gateway.Account{Proof: gateway.ProofBearer, SecretFile: "/k"}), "service (by bearer from /k)"},
		"by oauth2":           {proven(gateway.Account{Login: "id", Proof: gateway.ProofOAuth2, TokenURL: "https://sso.plant.example/token", Scopes: []string{"read", "write"}, SecretFile: "/k"}), "service (user id by oauth2 at https://sso.plant.example/token for read write from /k)"},
		"by form":             {form(func(*gateway.Account) {}), `service (user svc by form of /login sent to /login?next=/ as a form with "user", "word", "realm" = "plant" from /s)`},
		"by form, no user":    {form(func(a *gateway.Account) { a.Login, a.Form.User, a.Form.JSON = "", "", true }), `service (by form of /login sent to /login?next=/ as JSON with "word"`},
		"by nothing":          {proven(gateway.Account{Proof: gateway.ProofNone}), "service (by none of the gateway's: the console lets in everybody or asks the engineer)"},
		"removed, as defined": {func(b *TargetDefine) { b.Removed = true }, "Remove target scada-web"},
	} {
		b := console()
		c.change(b)
		if err := b.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if s := b.Sentence(); !strings.Contains(s, c.want) {
			t.Errorf("%s: the sentence does not say %q: %s", name, c.want, s)
		}
	}
}

func TestConsolesAreRefused(t *testing.T) {
	plant, leaf := certificate(t, true, "Plant CA"), certificate(t, false, "scada")
	trust := func(h gateway.HTTPS) func(*TargetDefine) { return func(b *TargetDefine) { b.HTTPS = &h } }
	header := func(name string) func(*TargetDefine) {
		return proven(gateway.Account{Proof: gateway.ProofHeader, Header: name, SecretFile: "/k"})
	}
	url := func(u string) func(*TargetDefine) {
		return proven(gateway.Account{Login: "id", Proof: gateway.ProofOAuth2, TokenURL: u, SecretFile: "/k"})
	}
	for name, change := range map[string]func(*TargetDefine){
		"no https":                   func(b *TargetDefine) { b.HTTPS = nil },
		"host keys":                  func(b *TargetDefine) { b.HostKeys = []string{hostKey} },
		"legacy":                     func(b *TargetDefine) { b.Legacy = []string{"ssh-rsa"} },
		"network":                    func(b *TargetDefine) { b.Kind_ = gateway.KindNetwork },
		"URL for an address":         func(b *TargetDefine) { b.Address = "https://scada:443" },
		"no trust":                   trust(gateway.HTTPS{}),
		"unknown trust":              trust(gateway.HTTPS{Trust: "any"}),
		"pin without pins":           trust(gateway.HTTPS{Trust: gateway.TrustPin}),
		"pin in capitals":            trust(gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{strings.ToUpper(pin)}}),
		"short pin":                  trust(gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{pin[:60]}}),
		"pin twice":                  trust(gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{pin, pin}}),
		"pin of base64":              trust(gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{"sha256/AAAA"}}),
		"pins with system":           trust(gateway.HTTPS{Trust: gateway.TrustSystem, Pins: []string{pin}}),
		"CA with system":             trust(gateway.HTTPS{Trust: gateway.TrustSystem, CA: plant}),
		"CA with a pin":              trust(gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{pin}, CA: plant}),
		"ca without CA":              trust(gateway.HTTPS{Trust: gateway.TrustCA}),
		"leaf for a CA":              trust(gateway.HTTPS{Trust: gateway.TrustCA, CA: leaf}),
		"CA with a word before":      trust(gateway.HTTPS{Trust: gateway.TrustCA, CA: "subject=x\n" + plant}),
		"CA with a word behind":      trust(gateway.HTTPS{Trust: gateway.TrustCA, CA: plant + "x"}),
		"half a CA":                  trust(gateway.HTTPS{Trust: gateway.TrustCA, CA: plant[:len(plant)/2]}),
		"CA with a key":              trust(gateway.HTTPS{Trust: gateway.TrustCA, CA: plant + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}),
		"too many CAs":               trust(gateway.HTTPS{Trust: gateway.TrustCA, CA: strings.Repeat(plant, maxCAs+1)}),
		"CA without end":             trust(gateway.HTTPS{Trust: gateway.TrustCA, CA: strings.Repeat("a", MaxCA+1)}),
		"address for a server name":  trust(gateway.HTTPS{Trust: gateway.TrustSystem, ServerName: "10.0.0.8"}),
		"server name with a port":    trust(gateway.HTTPS{Trust: gateway.TrustSystem, ServerName: "scada:443"}),
		"unknown host rule":          trust(gateway.HTTPS{Trust: gateway.TrustSystem, Host: "both"}),
		"redact with a break":        trust(gateway.HTTPS{Trust: gateway.TrustSystem, Redact: []string{"a\nb"}}),
		"redact twice":               trust(gateway.HTTPS{Trust: gateway.TrustSystem, Redact: []string{"a", "a"}}),
		"unknown proof":              proven(gateway.Account{Login: "svc", Proof: "ntlm", SecretFile: "/k"}),
		"Basic without login":        proven(gateway.Account{Proof: gateway.ProofPassword, SecretFile: "/k"}),
		"Basic with a colon":         proven(gateway.Account{Login: "a:b", Proof: gateway.ProofPassword, SecretFile: "/k"}),
		"login with a break":         proven(gateway.Account{Login: "a\nb", Proof: gateway.ProofPassword, SecretFile: "/k"}),
		"bearer without a file":      proven(gateway.Account{Proof: gateway.ProofBearer}),
		"none with a file":           proven(gateway.Account{Proof: gateway.ProofNone, SecretFile: "/k"}),
		"certificate without login":  proven(gateway.Account{Proof: gateway.ProofCertificate}),
		"bearer with a header":       proven(gateway.Account{Proof: gateway.ProofBearer, Header: "X-Key", SecretFile: "/k"}),
		"bearer with a token URL":    proven(gateway.Account{Proof: gateway.ProofBearer, TokenURL: "https://a/", SecretFile: "/k"}),
		"bearer with a form":         proven(gateway.Account{Proof: gateway.ProofBearer, Form: &gateway.Form{}, SecretFile: "/k"}),
		"header without a name":      header(""),
		"header with a colon":        header("X-Key:"),
		"header Host":                header("Host"),
		"header Cookie":              header("cookie"),
		"header Transfer-Encoding":   header("Transfer-Encoding"),
		"header Connection":          header("Connection"),
		"header X-Forwarded-For":     header("X-Forwarded-For"),
		"header Sec-WebSocket-Key":   header("Sec-WebSocket-Key"),
		"header with a break":        header("X\r\nY"),
		"token URL in the clear":     url("http://sso/token"),
		"token URL with a user":      url("https://a:b@sso/token"),
		"token URL with a fragment":  url("https://sso/token#x"),
		"token URL without a host":   url("https:///token"),
		"token URL with a blank":     url("https://sso/to ken"),
		"scope of two words":         proven(gateway.Account{Login: "id", Proof: gateway.ProofOAuth2, TokenURL: "https://a/", Scopes: []string{"a b"}, SecretFile: "/k"}),
		"form not there":             form(func(a *gateway.Account) { a.Form = nil }),
		"form of another host":       form(func(a *gateway.Account) { a.Form.Page = "//evil/login" }),
		"form of another host still": form(func(a *gateway.Account) { a.Form.Action = `/\evil/login` }),
		"form by URL":                form(func(a *gateway.Account) { a.Form.Action = "https://evil/login" }),
		"form without password":      form(func(a *gateway.Account) { a.Form.Password = "" }),
		"form of one field":          form(func(a *gateway.Account) { a.Form.Password = "user" }),
		"form fields overlap":        form(func(a *gateway.Account) { a.Form.Fields["word"] = "x" }),
		"form done by 500":           form(func(a *gateway.Account) { a.Form.Done = 500 }),
		"form token with a hole":     form(func(a *gateway.Account) { a.Form.Token = "a..b" }),
		"form cookie with a blank":   form(func(a *gateway.Account) { a.Form.LoggedIn = "a b" }),
		"form without login":         form(func(a *gateway.Account) { a.Login = "" }),
	} {
		b := console()
		change(b)
		if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v, want it refused as invalid", name, err)
		}
	}
}

// An SSH target takes nothing of a console's.
func TestSSHTargetsAreNoConsoles(t *testing.T) {
	for name, change := range map[string]func(*TargetDefine){
		"https":  func(b *TargetDefine) { b.HTTPS = &gateway.HTTPS{Trust: gateway.TrustSystem} },
		"bearer": proven(gateway.Account{Login: "svc", Proof: gateway.ProofBearer, SecretFile: "/k"}),
		"none":   proven(gateway.Account{Login: "svc", Proof: gateway.ProofNone}),
		"header": proven(gateway.Account{Login: "svc", Proof: gateway.ProofPassword, SecretFile: "/k", Header: "X-Key"}),
		"form":   proven(gateway.Account{Login: "svc", Proof: gateway.ProofPassword, SecretFile: "/k", Form: &gateway.Form{}}),
		"mail":   proven(gateway.Account{Login: "svc@plant", Proof: gateway.ProofCertificate}),
	} {
		b := target()
		change(b)
		if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v, want it refused as invalid", name, err)
		}
	}
}

func FuzzParseCA(f *testing.F) {
	f.Add(certificate(f, true, "Plant CA"))
	f.Fuzz(func(t *testing.T, text string) {
		if list, err := ParseCA(text); err == nil && (len(list) == 0 || len(list) > maxCAs || len(text) > MaxCA) {
			t.Errorf("%d authorities of %d bytes", len(list), len(text))
		}
	})
}
