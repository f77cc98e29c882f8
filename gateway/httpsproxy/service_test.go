package httpsproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

const serviceHost = gateway.ServicePrefix + testHost

// accounts knows one service account, by a certificate and by tokens that are
// good once.
type accounts struct {
	w   *world
	pin string

	mu     sync.Mutex
	used   map[string]bool
	opened int
	closed *gateway.Error // what an opening is refused by
	proof  statement.ServiceProof
}

func (a *accounts) who() gateway.Person {
	return gateway.Person{Name: "nightly", Vendor: "acme", Service: &gateway.Service{Key: "sha256:" + strings.Repeat("ab", 32)}}
}

func (a *accounts) ByCertificate(_ context.Context, c *x509.Certificate) (gateway.Person, error) {
	if gateway.PinOf(c.RawSubjectPublicKeyInfo) != a.pin {
		return gateway.Person{}, gateway.Refused(ruleProof, "", "no service account has this key")
	}
	return a.who(), nil
}

func (a *accounts) ByToken(_ context.Context, token, audience string) (gateway.Person, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !strings.HasPrefix(token, canary) || audience != "https://"+serviceHost:
		return gateway.Person{}, gateway.Refused(ruleProof, "", "no")
	case a.used[token]:
		return a.who(), gateway.Refused(ruleOnce, "", "used")
	}
	a.used[token] = true
	return a.who(), nil
}

func (a *accounts) Opening(_ context.Context, person, target string, proof statement.ServiceProof, _ string) (string, statement.Signed, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed != nil {
		return "", statement.Signed{}, a.closed
	}
	a.opened++
	a.proof = proof
	return "grt_1", statement.Signed{}, nil
}

// serviceWorld is a gateway that a service account reaches, and a client that
// shows that certificate (nil: none).
func serviceWorld(t *testing.T, h http.Handler) (*world, *accounts, tls.Certificate) {
	t.Helper()
	w := newWorld(t, h)
	cert := w.ca.issue(t, x509.ExtKeyUsageClientAuth, "whatever")
	a := &accounts{w: w, pin: gateway.PinOf(cert.Leaf.RawSubjectPublicKeyInfo), used: map[string]bool{}}
	w.p.c.Accounts = a
	w.gw.Close() // once more, with the configuration of service accounts
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	srv := &http.Server{Handler: w.p.Handler()}
	w.p.Server(srv)
	srv.TLSConfig = w.p.ServiceTLS(&tls.Config{Certificates: []tls.Certificate{w.ca.issue(t, x509.ExtKeyUsageServerAuth, "*."+testApps)}})
	w.gw.Listener = l
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return w, a, cert
}

func (w *world) serviceClient(cert *tls.Certificate, h2 bool) *http.Client {
	c := w.client(h2)
	if cert != nil {
		c.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*cert}
	}
	return c
}

func (w *world) ask(c *http.Client, host, bearer string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "https://"+host+"/data", nil)
	check(w.t, err)
	r.Header.Set("Accept", "text/html") // even so a service account gets problems, no pages
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return w.do(c, r)
}

// TestAServiceAccountIsCarried: by either proof and either version, in one
// session, and its token goes no further.
func TestAServiceAccountIsCarried(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	w, a, cert := serviceWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Get("Authorization"))
		mu.Unlock()
		_, _ = io.WriteString(rw, "data")
	}))
	for _, h2 := range []bool{false, true} {
		if res, body := w.ask(w.serviceClient(&cert, h2), serviceHost, ""); res.StatusCode != http.StatusOK || body != "data" {
			t.Errorf("by certificate: %d %s", res.StatusCode, body)
		}
	}
	if a.proof != statement.ByCertificate {
		t.Errorf("opened by %q", a.proof)
	}
	plain := w.serviceClient(nil, false)
	if res, body := w.ask(plain, serviceHost, canary+"1"); res.StatusCode != http.StatusOK || body != "data" {
		t.Errorf("by token: %d %s", res.StatusCode, body)
	}
	if a.opened != 1 {
		t.Errorf("%d sessions for one account under one grant", a.opened)
	}
	mu.Lock()
	if got := strings.Join(seen, ""); len(seen) != 3 || got != "" {
		t.Errorf("the target saw %q", seen)
	}
	mu.Unlock()
	for _, r := range w.live.ch.of(gateway.HTTPRequest) {
		if _, is := field(r.Header, "Authorization"); is {
			t.Error("the token is in the recording")
		}
	}
	if res, body := w.ask(plain, serviceHost, canary+"1"); res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, ruleOnce) || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a token twice: %d %s", res.StatusCode, body)
	}
	if len(w.refuse) != 1 || w.refuse[0].Person != "nightly" || w.refuse[0].Rule != ruleOnce {
		t.Errorf("written: %+v", w.refuse)
	}
}

func TestAServiceAccountThatHasNotProvenItself(t *testing.T) {
	w, a, _ := serviceWorld(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the target was reached") }))
	other := w.ca.issue(t, x509.ExtKeyUsageClientAuth, "nightly")
	for name, c := range map[string]struct {
		cert   *tls.Certificate
		host   string
		bearer string
	}{
		"by nothing":             {nil, serviceHost, ""},
		"by another key":         {&other, serviceHost, ""},
		"by another token":       {nil, serviceHost, "x"},
		"by both, the key wrong": {&other, serviceHost, canary + "2"},
	} {
		res, body := w.ask(w.serviceClient(c.cert, false), c.host, c.bearer)
		if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(body, `"rule":"service-account"`) || !strings.Contains(body, `"title"`) {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
	// The host of people takes neither proof, and asks for no certificate.
	if res, _ := w.ask(w.serviceClient(nil, false), testHost, canary+"3"); res.StatusCode != http.StatusUnauthorized || a.used[canary+"3"] {
		t.Errorf("at the console's own host: %d", res.StatusCode)
	}
	asked := false
	conn, err := tls.Dial("tcp", w.gw.Listener.Addr().String(), &tls.Config{RootCAs: w.ca.pool, ServerName: testHost, MinVersion: tls.VersionTLS13, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return &other, nil
	}})
	check(t, err)
	_ = conn.Close()
	if asked || a.opened != 0 || len(w.refuse) != 0 {
		t.Errorf("asked for a certificate: %v; opened %d; written %+v", asked, a.opened, w.refuse)
	}
}

// TestP4AServiceAccountIsCut: its session ends in the middle of an answer, and
// the next request finds the way closed, with the reason.
func TestP4AServiceAccountIsCut(t *testing.T) {
	begun := make(chan struct{})
	w, a, cert := serviceWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, "first")
		_ = http.NewResponseController(rw).Flush()
		close(begun)
		<-r.Context().Done()
	}))
	c := w.serviceClient(&cert, false)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+serviceHost+"/", nil)
	check(t, err)
	res, err := c.Do(r)
	check(t, err)
	defer res.Body.Close()
	<-begun
	a.mu.Lock()
	a.closed = gateway.Refused("suspended", "call the operator's control room", "vendor acme is suspended")
	a.mu.Unlock()
	w.live.End(gateway.EndSuspended, "", "")
	read := make(chan error, 1)
	go func() { _, err := io.ReadAll(res.Body); read <- err }()
	select {
	case err := <-read:
		if err == nil {
			t.Error("the answer came to its end")
		}
	case <-time.After(time.Second):
		t.Fatal("the answer goes on a second after the end")
	}
	for range 3 {
		if res, body := w.ask(c, serviceHost, ""); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "vendor acme is suspended") {
			t.Errorf("afterwards: %d %s", res.StatusCode, body)
		}
	}
	if len(w.refuse) != 1 {
		t.Errorf("%d events of three refusals within a moment", len(w.refuse))
	}
}

// TestWhatAnotherNodeHandsOverProvesNothing: the certificate of that connection
// is the node's own.
func TestWhatAnotherNodeHandsOverProvesNothing(t *testing.T) {
	w, a, cert := serviceWorld(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the target was reached") }))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+serviceHost+"/", nil)
	check(t, err)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert.Leaf}}
	if _, _, no := w.p.proven(Vouched(r), testTarget); no == nil || no.Rule != "elsewhere" || a.opened != 0 {
		t.Errorf("proven: %v", no)
	}
}
