package httpsproxy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

const (
	testApps   = "apps.test"
	testTarget = "historian"
	testHost   = testTarget + "." + testApps
	canary     = "s3cr3t-canary-7f1e"
)

// authority signs the certificates of one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	a := &authority{cert: cert, key: key, pool: x509.NewCertPool(), pem: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
	a.pool.AddCert(cert)
	return a
}

func (a *authority) issue(t *testing.T, use x509.ExtKeyUsage, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	check(t, err)
	leaf, err := x509.ParseCertificate(der)
	check(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeChannel keeps what is recorded.
type fakeChannel struct {
	mu      sync.Mutex
	records []gateway.HTTPRecord
	bodies  [][]byte
	fail    error
	thawed  chan struct{} // nil: not frozen
	live    *fakeLive
	in, out atomic.Int64 // counted
}

func (c *fakeChannel) Carried(in, out int) {
	c.in.Add(int64(in))
	c.out.Add(int64(out))
}

func (c *fakeChannel) Exchange(r gateway.HTTPRecord, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	if err := c.live.ctx.Err(); err != nil {
		return context.Cause(c.live.ctx)
	}
	c.records = append(c.records, r)
	c.bodies = append(c.bodies, bytes.Clone(body))
	return nil
}

func (c *fakeChannel) Exchanges(pieces ...gateway.HTTPPiece) error {
	for _, p := range pieces {
		if err := c.Exchange(p.Record, p.Body); err != nil {
			return err
		}
	}
	return nil
}

func (c *fakeChannel) Hold() error {
	c.mu.Lock()
	thawed := c.thawed
	c.mu.Unlock()
	if thawed != nil {
		select {
		case <-thawed:
		case <-c.live.ctx.Done():
		}
	}
	return context.Cause(c.live.ctx)
}

func (c *fakeChannel) Passes() error { return context.Cause(c.live.ctx) }

func (c *fakeChannel) Exit(*uint32, string) {}

func (c *fakeChannel) of(part gateway.HTTPPart) []gateway.HTTPRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	var l []gateway.HTTPRecord
	for _, r := range c.records {
		if r.Part == part {
			l = append(l, r)
		}
	}
	return l
}

func (c *fakeChannel) body(part gateway.HTTPPart) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for i, r := range c.records {
		if r.Part == part {
			b.Write(c.bodies[i])
		}
	}
	return b.String()
}

// fakeLive is a session.
type fakeLive struct {
	target    gateway.Target
	account   gateway.Account
	abilities gateway.Abilities
	cred      Credential
	ctx       context.Context
	cancel    context.CancelCauseFunc
	ch        *fakeChannel
	notices   chan string
	done      chan struct{}

	mu       sync.Mutex
	targets  []io.Closer
	clients  []io.Closer
	farewell []func(*gateway.Ended)
	refused  []string
	spent    [2]int64 // of the volume: out, in
	up       int
	creds    int
	once     sync.Once
}

func (l *fakeLive) ID() string                   { return "ses_test" }
func (l *fakeLive) Context() context.Context     { return l.ctx }
func (l *fakeLive) Target() gateway.Target       { return l.target }
func (l *fakeLive) Account() gateway.Account     { return l.account }
func (l *fakeLive) Abilities() gateway.Abilities { return l.abilities }
func (l *fakeLive) Notices() <-chan string       { return l.notices }
func (l *fakeLive) Done() <-chan struct{}        { return l.done }
func (l *fakeLive) Up(context.Context) error     { l.up++; return nil }
func (l *fakeLive) Refuse(_ context.Context, what, s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, what+": "+s)
}

func (l *fakeLive) Spend(in bool, n int) (used, limit int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	spent, limit := &l.spent[0], l.abilities.VolumeOut
	if in {
		spent, limit = &l.spent[1], l.abilities.VolumeIn
	}
	if used = *spent + int64(n); used <= limit {
		*spent = used
	}
	return used, limit
}

func (l *fakeLive) Credential(context.Context) (Credential, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.creds++
	return l.cred, nil
}

func (l *fakeLive) Attach(c io.Closer) error {
	l.targets = append(l.targets, c)
	return nil
}

func (l *fakeLive) AttachClient(c io.Closer, f func(*gateway.Ended)) error {
	l.clients = append(l.clients, c)
	l.farewell = append(l.farewell, f)
	return nil
}

func (l *fakeLive) Channel(context.Context, gateway.Channel) (Channel, error) { return l.ch, nil }

// End walks the stop path as package session does.
func (l *fakeLive) End(reason gateway.EndReason, by, detail string) {
	l.once.Do(func() {
		why := &gateway.Ended{Reason: reason, By: by, Detail: detail}
		l.cancel(why)
		for _, c := range l.targets {
			_ = c.Close()
		}
		for _, f := range l.farewell {
			f(why)
		}
		for _, c := range l.clients {
			_ = c.Close()
		}
		close(l.done)
	})
}

// world is a gateway between a browser and a target.
type world struct {
	t      *testing.T
	ca     *authority
	p      *Proxy
	gw     *httptest.Server
	target *httptest.Server
	live   *fakeLive
	ticket bool
	logs   *syncBuffer
	cookie string
	refuse []Refusal
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (w *world) TakeTicket(context.Context, gateway.Person, string, string) (statement.Signed, bool, error) {
	return statement.Signed{}, w.ticket, nil
}

func (w *world) Open(context.Context, Opening) (Live, error) {
	if w.live == nil {
		return nil, errors.New("no session")
	}
	return w.live, nil
}

func (w *world) Refuse(_ context.Context, r Refusal) { w.refuse = append(w.refuse, r) }

func everything() gateway.Abilities {
	return gateway.Abilities{Methods: gateway.HTTPMethods(), Paths: []string{"/"}, WebSocket: true, Upload: true, Download: true}
}

// newWorld starts target and gateway; change is applied before the session is
// opened.
func newWorld(t *testing.T, h http.Handler, change ...func(*world)) *world {
	t.Helper()
	w := &world{t: t, ca: newAuthority(t), ticket: true, logs: &syncBuffer{}}
	w.target = httptest.NewUnstartedServer(h)
	w.target.EnableHTTP2 = true
	w.target.TLS = &tls.Config{Certificates: []tls.Certificate{w.ca.issue(t, x509.ExtKeyUsageServerAuth, "console.plant.internal", "127.0.0.1")}}
	w.target.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(w.logs, nil), slog.LevelInfo)
	w.live = w.newLive(everything())
	for _, f := range change {
		f(w)
	}
	w.target.StartTLS()
	t.Cleanup(w.target.Close)
	w.live.target.Address = w.target.Listener.Addr().String()

	var err error
	w.p, err = New(Config{Access: w, Sessions: w, Apps: testApps, Home: "https://gw.test/", Node: "n1", Roots: w.ca.pool, Logger: slog.New(slog.NewTextHandler(w.logs, nil))})
	check(t, err)
	w.gw = httptest.NewUnstartedServer(w.p.Handler())
	w.gw.EnableHTTP2 = true
	w.gw.TLS = &tls.Config{Certificates: []tls.Certificate{w.ca.issue(t, x509.ExtKeyUsageServerAuth, "*."+testApps)}}
	w.gw.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(w.logs, nil), slog.LevelInfo)
	w.p.Server(w.gw.Config)
	w.gw.Listener = w.p.Listener(w.gw.Listener)
	w.gw.StartTLS()
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { w.p.Run(ctx) })
	t.Cleanup(func() {
		w.live.End(gateway.EndStopping, "", "")
		w.gw.Close()
		cancel()
		run.Wait()
	})
	return w
}

func (w *world) newLive(a gateway.Abilities) *fakeLive {
	l := &fakeLive{
		target:    gateway.Target{Name: testTarget, Kind: gateway.KindHTTPS, HTTPS: &gateway.HTTPS{Trust: gateway.TrustCA, CA: w.ca.pem, ServerName: "console.plant.internal"}},
		account:   gateway.Account{Name: "svc", Login: "svc", Proof: gateway.ProofNone},
		abilities: a, cred: Credential{Proof: gateway.ProofNone}, notices: make(chan string, 4), done: make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.ch = &fakeChannel{live: l}
	return l
}

// enter opens the session and takes the link over, as the page does.
func (w *world) enter() {
	w.t.Helper()
	link, err := w.p.Enter(w.t.Context(), Entering{Person: gateway.Person{Name: "vera", Vendor: "acme"}, Login: "login", Grant: "grt_1", Source: "192.0.2.1:5", UserAgent: "test"})
	check(w.t, err)
	res := w.redeem(link)
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/" {
		w.t.Fatalf("link was answered with %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	for _, k := range res.Cookies() {
		w.cookie = k.Name + "=" + k.Value
	}
}

func (w *world) redeem(link string) *http.Response {
	w.t.Helper()
	u, err := url.Parse(link)
	check(w.t, err)
	node, _, _ := strings.Cut(u.Fragment, ".")
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "https://"+u.Host+u.Path+"?node="+node, strings.NewReader(url.Values{"code": {u.Fragment}}.Encode()))
	check(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := w.client(false).Do(r)
	check(w.t, err)
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res
}

// client is a browser without a cookie jar: it follows no redirect.
func (w *world) client(h2 bool) *http.Client {
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: w.ca.pool},
		ForceAttemptHTTP2: h2, DisableCompression: true, ExpectContinueTimeout: 5 * time.Second,
		DialContext: func(ctx context.Context, n, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, n, w.gw.Listener.Addr().String())
		},
	}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// request makes one with the session's cookie.
func (w *world) request(method, path string, body io.Reader, header ...string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+testHost+path, body)
	check(w.t, err)
	r.Header.Set("Cookie", w.cookie)
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Cookie" {
			r.Header.Set("Cookie", w.cookie+"; "+header[i+1])
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// do asks and reads all.
func (w *world) do(c *http.Client, r *http.Request) (*http.Response, string) {
	w.t.Helper()
	res, err := c.Do(r)
	check(w.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	check(w.t, err)
	return res, string(b)
}

func (w *world) get(path string, header ...string) (*http.Response, string) {
	w.t.Helper()
	return w.do(w.client(false), w.request("GET", path, nil, header...))
}

func field(l []gateway.HTTPField, name string) (gateway.HTTPField, bool) {
	i := slices.IndexFunc(l, func(f gateway.HTTPField) bool { return f.Name == name })
	if i < 0 {
		return gateway.HTTPField{}, false
	}
	return l[i], true
}
