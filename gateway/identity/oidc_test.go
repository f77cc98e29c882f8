package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/statement"
)

// issuer is an OpenID provider that says what the test tells it to.
type issuer struct {
	t        *testing.T
	now      func() time.Time // the gateway's clock
	server   *httptest.Server
	docs     *oidctest.Server
	key      *ecdsa.PrivateKey
	sendsIss bool
	down     bool
	asked    int // discoveries

	claims    map[string]any // of the next ID token, over the usual ones
	nonce     string         // of the sign-in under way, as the browser brought it
	challenge string
	secret    string // that the client must show
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key, now: time.Now}
	i.docs = &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: oidc.ES256}}, Algorithms: []string{oidc.ES256}}
	i.server = httptest.NewServer(i)
	t.Cleanup(i.server.Close)
	i.docs.SetIssuer(i.server.URL)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case i.down:
		http.Error(w, "out of order", http.StatusServiceUnavailable)
	case r.URL.Path == "/token":
		i.token(w, r)
	case strings.HasSuffix(r.URL.Path, "openid-configuration"):
		i.asked++
		rec := httptest.NewRecorder()
		i.docs.ServeHTTP(rec, r)
		var doc map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
			i.t.Error(err)
		}
		doc["authorization_response_iss_parameter_supported"] = i.sendsIss
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(doc)
	default:
		i.docs.ServeHTTP(w, r)
	}
}

// token answers the code "good" when the PKCE verifier is the one that was
// announced.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	_, secret, _ := r.BasicAuth()
	if secret == "" {
		secret = r.FormValue("client_secret")
	}
	if r.FormValue("code") != "good" || base64.RawURLEncoding.EncodeToString(sum[:]) != i.challenge || secret != i.secret {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	c := map[string]any{
		"iss": i.server.URL, "aud": "portcullis", "sub": "u-1", "email": "Eve@example.com", "email_verified": true,
		"nonce": i.nonce, "iat": i.now().Unix(), "exp": i.now().Add(time.Hour).Unix(),
	}
	for k, v := range i.claims {
		c[k] = v
	}
	raw, err := json.Marshal(c)
	if err != nil {
		i.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": oidctest.SignIDToken(i.key, "k", oidc.ES256, string(raw))})
}

// oidcWorld is a world with a provider for vendor acme ("acme-id"), one for
// vendor bolt ("bolt-id") and one for the staff ("corp").
func oidcWorld(t *testing.T) (*world, *issuer, *issuer) {
	t.Helper()
	a, b, c := newIssuer(t), newIssuer(t), newIssuer(t)
	w := newWorld(t,
		identity.Provider{Name: "acme-id", Issuer: a.server.URL, ClientID: "portcullis", Vendor: vendor},
		identity.Provider{Name: "bolt-id", Issuer: b.server.URL, ClientID: "portcullis", Vendor: rival},
		identity.Provider{Name: "corp", Issuer: c.server.URL, ClientID: "portcullis", Staff: true},
	)
	a.now, b.now, c.now = w.Now, w.Now, w.Now
	return w, a, b
}

// begin sends the browser to the provider and returns the cookie and what the
// provider would send back.
func (w *world) begin(i *issuer, provider string) (string, url.Values) {
	w.t.Helper()
	to, cookie, err := w.svc.BeginOIDC(w.t.Context(), provider)
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		w.t.Fatal(err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" || q.Get("redirect_uri") != "http://localhost:8080/oidc/"+provider+"/callback" {
		w.t.Fatalf("authorization request %v", q)
	}
	i.nonce, i.challenge = q.Get("nonce"), q.Get("code_challenge")
	return cookie, url.Values{"state": {q.Get("state")}, "code": {"good"}}
}

func TestPersonSignsInWithAProvider(t *testing.T) {
	w, a, _ := oidcWorld(t)
	for i, email := range []string{"Eve@example.com", "changed@example.com"} { // by mail once, by subject ever after
		cookie, back := w.begin(a, "acme-id")
		a.claims = map[string]any{"email": email}
		token, p, err := w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser)
		if err != nil {
			t.Fatal(err)
		}
		l, _ := w.session(token)
		if p.Name != engineer || l.Method != "oidc:acme-id" || (w.last().Detail["bound"] != "") != (i == 0) {
			t.Fatalf("%s signed in by %s, %v", p.Name, l.Method, w.last().Detail)
		}
		_, _, err = w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser)
		w.refusedEvent(err, audit.LoginRefused, "finished before")
	}
	if a.asked != 1 {
		t.Fatalf("the provider was discovered %d times", a.asked)
	}
	// A second account of the provider with the person's address is not him.
	cookie, back := w.begin(a, "acme-id")
	a.claims = map[string]any{"sub": "u-2"}
	_, _, err := w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser)
	w.refusedEvent(err, audit.LoginRefused, "another account")
}

func TestProviderAnswerThatDoesNotHold(t *testing.T) {
	claim := func(k string, v any) func(*world, *issuer, *string, url.Values) {
		return func(_ *world, i *issuer, _ *string, _ url.Values) { i.claims = map[string]any{k: v} }
	}
	for _, c := range []struct {
		name string
		do   func(w *world, i *issuer, cookie *string, back url.Values)
		says string
	}{
		{"token of another issuer", claim("iss", "https://evil.example"), "does not hold"},
		{"token for another client", claim("aud", "somebody"), "does not hold"},
		{"token for several, authorized another", func(_ *world, i *issuer, _ *string, _ url.Values) {
			i.claims = map[string]any{"aud": []string{"portcullis", "somebody"}, "azp": "somebody"}
		}, "does not hold"},
		{"token for several, authorized nobody", claim("aud", []string{"portcullis", "somebody"}), "does not hold"},
		{"token authorized for another", claim("azp", "somebody"), "does not hold"},
		{"nonce of another sign-in", claim("nonce", "old"), "does not hold"},
		{"no nonce", claim("nonce", nil), "does not hold"},
		{"expired token", claim("exp", 1000), "does not hold"},
		{"no subject", claim("sub", ""), "does not hold"},
		{"unverified address", claim("email_verified", false), "does not confirm your mail"},
		{"no address", claim("email", ""), "does not confirm your mail"},
		{"unknown address", claim("email", "mallory@example.com"), "nobody of vendor acme"},
		{"address of the staff", claim("email", "ada@example.com"), "nobody of vendor acme"},
		{"signed by another key", func(_ *world, i *issuer, _ *string, _ url.Values) {
			i.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}, "does not hold"},
		{"other state", func(_ *world, _ *issuer, _ *string, back url.Values) { back.Set("state", "x") }, "of this browser"},
		{"state twice", func(_ *world, _ *issuer, _ *string, back url.Values) { back.Add("state", "x") }, "stands twice"},
		{"no cookie", func(_ *world, _ *issuer, cookie *string, _ url.Values) { *cookie = "" }, "another browser"},
		{"cookie of another sign-in", func(w *world, i *issuer, cookie *string, _ url.Values) { *cookie, _ = w.begin(i, "acme-id") }, "of this browser"},
		{"too late", func(w *world, _ *issuer, _ *string, _ url.Values) { w.Advance(5 * time.Minute) }, "too long ago"},
		{"other iss parameter", func(_ *world, _ *issuer, _ *string, back url.Values) { back.Set("iss", "https://evil.example") }, "RFC 9207"},
		{"refused there", func(_ *world, _ *issuer, _ *string, back url.Values) { back.Set("error", "access_denied") }, "access_denied"},
		{"no code", func(_ *world, _ *issuer, _ *string, back url.Values) { back.Del("code") }, "no code"},
		{"wrong code", func(_ *world, _ *issuer, _ *string, back url.Values) { back.Set("code", "bad") }, "does not hold"},
		{"other verifier", func(_ *world, i *issuer, _ *string, _ url.Values) { i.challenge = "x" }, "does not hold"},
		{"provider goes down", func(_ *world, i *issuer, _ *string, _ url.Values) { i.down = true }, "does not answer"},
		{"vendor suspended", func(w *world, _ *issuer, _ *string, _ url.Values) {
			w.suspend(gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor})
		}, "suspended"},
		{"from elsewhere", func(w *world, _ *issuer, _ *string, _ url.Values) { w.networks("198.51.100.0/24") }, "may not connect from"},
		{"address set in the database", func(w *world, i *issuer, _ *string, _ url.Values) {
			w.edit("UPDATE people SET email = 'mallory@example.com' WHERE name = $1", other)
			i.claims = map[string]any{"email": "mallory@example.com"}
		}, "changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, a, _ := oidcWorld(t)
			cookie, back := w.begin(a, "acme-id")
			c.do(w, a, &cookie, back)
			token, _, err := w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser)
			w.refusedEvent(err, audit.LoginRefused, c.says)
			if token != "" || w.logins(engineer) != 0 {
				t.Fatal("a login was made")
			}
		})
	}
}

// Bolt's provider says that somebody is eve@example.com of Acme: it speaks
// for Bolt, where there is no such person.
func TestProviderSpeaksForItsOwnVendorOnly(t *testing.T) {
	w, a, b := oidcWorld(t)
	cookie, back := w.begin(b, "bolt-id")
	_, _, err := w.svc.FinishOIDC(t.Context(), "bolt-id", cookie, back, browser)
	w.refusedEvent(err, audit.LoginRefused, "nobody of vendor bolt")

	// Mix-up: begun at Bolt's provider, answered at Acme's.
	cookie, back = w.begin(b, "bolt-id")
	_, _, err = w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser)
	w.refusedEvent(err, audit.LoginRefused, "begun at provider bolt-id")

	// A tie made in the database to somebody of another vendor is not
	// believed.
	if err := w.store.Update(t.Context(), func(tx identity.Tx) error { return tx.BindSubject("acme-id", "u-1", admin) }); err != nil {
		t.Fatal(err)
	}
	cookie, back = w.begin(a, "acme-id")
	_, _, err = w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser)
	refused(t, err, "nobody of vendor acme")
}

func TestProviderThatNamesItselfMustDoSo(t *testing.T) {
	w, a, _ := oidcWorld(t)
	a.sendsIss = true
	cookie, back := w.begin(a, "acme-id")
	_, _, err := w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser)
	w.refusedEvent(err, audit.LoginRefused, "RFC 9207")
	back.Set("iss", a.server.URL)
	if _, _, err = w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser); err != nil {
		t.Fatal(err)
	}
}

func TestProviderThatIsDownStopsNothingElse(t *testing.T) {
	w, a, b := oidcWorld(t)
	a.down = true
	_, _, err := w.svc.BeginOIDC(t.Context(), "acme-id")
	refused(t, err, "does not answer")
	w.begin(b, "bolt-id")
	a.down = false
	_, _, err = w.svc.BeginOIDC(t.Context(), "acme-id") // not asked again at once
	refused(t, err, "does not answer")
	w.Advance(time.Minute)
	w.begin(a, "acme-id")
	_, _, err = w.svc.BeginOIDC(t.Context(), "nowhere")
	refused(t, err, "no identity provider")
	if got := len(w.svc.Providers()); got != 3 {
		t.Fatalf("%d providers", got)
	}
}

func TestProviderSecretIsReadFromItsFile(t *testing.T) {
	a := newIssuer(t)
	a.secret = "s3cret"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, identity.Provider{Name: "acme-id", Issuer: a.server.URL, ClientID: "portcullis", Vendor: vendor, SecretFile: file})
	a.now = w.Now
	cookie, back := w.begin(a, "acme-id")
	if _, _, err := w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser); err != nil {
		t.Fatal(err)
	}
	cookie, back = w.begin(a, "acme-id")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.svc.FinishOIDC(t.Context(), "acme-id", cookie, back, browser)
	refused(t, err, "inside the gateway")
	var e *gateway.Error
	if errors.As(err, &e) && strings.Contains(e.Sentence(), file) {
		t.Fatal("the person is told the path of the secret")
	}
}

func TestProviderConfigurationThatIsNotTaken(t *testing.T) {
	good := identity.Provider{Name: "acme-id", Issuer: "https://id.acme.example", ClientID: "portcullis", Vendor: vendor}
	for _, c := range []struct {
		name string
		do   func(p *identity.Provider) []identity.Provider
		says string
	}{
		{"vendor and staff", func(p *identity.Provider) []identity.Provider { p.Staff = true; return nil }, "either to a vendor or to the staff"},
		{"nobody", func(p *identity.Provider) []identity.Provider { p.Vendor = ""; return nil }, "either to a vendor or to the staff"},
		{"plain http", func(p *identity.Provider) []identity.Provider { p.Issuer = "http://id.acme.example"; return nil }, "not an https URL"},
		{"bad name", func(p *identity.Provider) []identity.Provider { p.Name = "../x"; return nil }, "may hold"},
		{"no client", func(p *identity.Provider) []identity.Provider { p.ClientID = ""; return nil }, "no client"},
		{"one issuer for two vendors", func(p *identity.Provider) []identity.Provider {
			return []identity.Provider{{Name: "two", Issuer: p.Issuer, ClientID: "x", Vendor: rival}}
		}, "stands twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := good
			more := c.do(&p)
			w := newWorld(t)
			_, err := identity.New(identity.Config{Store: w.store, Chain: w.chain, Policy: identity.PolicyFunc(nil), RP: statementRP, Gateway: "http://localhost:8080", Providers: append(more, p)})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error = %v", err)
			}
		})
	}
}

var statementRP = statement.RelyingParty{ID: "localhost", Origins: []string{"http://localhost:8080"}}
