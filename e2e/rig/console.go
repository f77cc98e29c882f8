package rig

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ConsolePassword is what the sample console's account is proven by; it is for
// the gateway alone, and nothing that a vendor sees or the gateway writes holds
// it.
const ConsolePassword = "canary-console-password"

// Console is a sample HTTPS target with a self-signed certificate, which asks
// for user "svc" and ConsolePassword by Basic.
type Console struct {
	Addr, Pin, SecretFile string

	srv    *http.Server
	served chan struct{}

	mu   sync.Mutex
	seen []Seen
}

// Seen is one request as the console got it.
type Seen struct {
	Method, URL, Host string
	Header            http.Header
	Body              []byte
}

// StartConsole serves on a free port; secrets lie in dir.
func StartConsole(dir string) (*Console, error) {
	c := &Console{SecretFile: filepath.Join(dir, "console-password"), served: make(chan struct{})}
	if err := os.WriteFile(c.SecretFile, []byte(ConsolePassword+"\n"), 0o600); err != nil {
		return nil, err
	}
	cert, pin, err := selfSigned("localhost")
	if err != nil {
		return nil, err
	}
	c.Pin = pin
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.Addr = "localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		http.SetCookie(w, &http.Cookie{Name: "target-session", Value: "canary-target-cookie", Path: "/", Secure: true, HttpOnly: true})
		fmt.Fprint(w, "<!doctype html><title>Pump console</title><h1>Pump 7</h1><p id=rpm>1480 rpm</p>")
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "echo")
	})
	mux.HandleFunc("GET /leave", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://"+c.Addr+"/echo")
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="firmware.bin"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(File))
	})
	mux.HandleFunc("GET /endless", c.endless("application/octet-stream", strings.Repeat("x", 4096)))
	mux.HandleFunc("GET /events", c.endless("text/event-stream", "data: tick\n\n"))
	c.srv = &http.Server{Handler: c.note(mux), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(c.served)
		_ = c.srv.ServeTLS(l, "", "")
	}()
	return c, nil
}

// File is what the console's /file holds.
var File = bytes.Repeat([]byte("firmware of pump 7\n"), 40_000)

// Close stops it.
func (c *Console) Close() {
	c.srv.Close()
	<-c.served
}

// Seen are the requests so far.
func (c *Console) Seen() []Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Seen(nil), c.seen...)
}

// note keeps each request, and asks for the password.
func (c *Console) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		c.mu.Lock()
		c.seen = append(c.seen, Seen{r.Method, r.URL.String(), r.Host, r.Header.Clone(), body})
		c.mu.Unlock()
		if user, word, ok := r.BasicAuth(); !ok || user != "svc" || word != ConsolePassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="pump"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// endless writes pieces until the reader leaves.
func (c *Console) endless(kind, piece string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}
}

func selfSigned(names ...string) (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	pin := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, "sha256:" + hex.EncodeToString(pin[:]), nil
}

// Target is the console in the plant file, under a name.
func (c *Console) Target(name string) string {
	return fmt.Sprintf(`  - name: %s
    title: Console of pump station 7
    kind: https
    address: %s
    zone: pumps
    impact: medium
    vendors: [acme, bolt]
    https: {trust: pin, pins: [%q]}
    accounts: [{name: ops, login: svc, proof: password, secret_file: %s}]
`, name, c.Addr, c.Pin, c.SecretFile)
}

// ConsoleAbilities is what ConsoleGrant asks for.
var ConsoleAbilities = []string{"GET", "HEAD", "POST", "path /", "upload", "download", "websocket"}

// ConsoleGrant asks for a console and has ben agree.
func (s *Stage) ConsoleGrant(ctx context.Context, who, target string, length time.Duration, abilities ...string) (Grant, error) {
	if len(abilities) == 0 {
		abilities = ConsoleAbilities
	}
	return s.granted(ctx, who, target, "ops", length, abilities)
}

// granted asks and has ben agree.
func (s *Stage) granted(ctx context.Context, who, target, account string, length time.Duration, abilities []string) (Grant, error) {
	var r Request
	err := s.People[who].Post(ctx, "/api/v1/requests", map[string]any{
		"target": target, "account": account, "seconds": int64(length / time.Second), "abilities": abilities, "reason": "quarterly inspection of the drive",
	}, &r)
	if err != nil {
		return Grant{}, fmt.Errorf("ask: %w", err)
	}
	if err := s.Approve(ctx, "ben", r.ID); err != nil {
		return Grant{}, err
	}
	return s.GrantOf(ctx, who, r.ID)
}

// ConsoleLink touches, opens a console, and returns the link that the browser
// would go to.
func (s *Stage) ConsoleLink(ctx context.Context, who, grant string) (string, error) {
	if err := s.Ticket(ctx, who, grant); err != nil {
		return "", err
	}
	var opened struct {
		Link string `json:"link"`
	}
	return opened.Link, s.People[who].Post(ctx, "/console/"+grant, map[string]any{}, &opened)
}

// Browser is a client of consoles: it keeps cookies, finds every name at the
// gateway, and follows no redirect by itself.
type Browser struct {
	*http.Client
	at   *string // host:port where every name is found
	Base string  // of the console that was entered: http://pump-web.localhost:PORT
}

// NewBrowser makes one for the gateway's web listener.
func (s *Stage) NewBrowser() (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	at := s.Web
	return &Browser{at: &at, Client: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: s.transport(func() string { return at }),
	}}, nil
}

// At has it find every name at another listener from now on.
func (b *Browser) At(addr string) {
	*b.at = addr
	b.CloseIdleConnections()
}

// Enter does what the link's page does.
func (b *Browser) Enter(ctx context.Context, link string) error {
	u, err := url.Parse(link)
	if err != nil {
		return err
	}
	b.Base = u.Scheme + "://" + u.Host
	form := url.Values{"code": {u.Fragment}}
	if node, _, ok := strings.Cut(u.Fragment, "."); ok {
		u.RawQuery = url.Values{"node": {node}}.Encode()
	}
	u.Fragment = ""
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.Base)
	got, err := b.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusSeeOther {
		said, _ := io.ReadAll(io.LimitReader(got.Body, 4096))
		return fmt.Errorf("enter: %s: %s", got.Status, said)
	}
	return nil
}

// Opened opens a console of a grant and enters it.
func (s *Stage) Opened(ctx context.Context, who, grant string) (*Browser, error) {
	link, err := s.ConsoleLink(ctx, who, grant)
	if err != nil {
		return nil, err
	}
	b, err := s.NewBrowser()
	if err != nil {
		return nil, err
	}
	return b, b.Enter(ctx, link)
}

// Host is the console that was entered, host:port, and its cookies as a
// browser sends them: for a client that does without this one.
func (b *Browser) Host() (host, cookie string) {
	u, err := url.Parse(b.Base)
	if err != nil { // Enter has parsed it
		return "", ""
	}
	var all []string
	for _, c := range b.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return u.Host, strings.Join(all, "; ")
}

// Visit asks for a path of the console.
func (b *Browser) Visit(ctx context.Context, method, path, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, b.Base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.Base)
	}
	return b.Do(r)
}

// HAR is a console's recording, as the machine's owner exports it.
func (g *Gateway) HAR(ctx context.Context, session string, typed bool) (map[string]any, []byte, error) {
	format := "har"
	if typed {
		format = "har-input"
	}
	r, err := g.CLI(ctx, "recording", "export", session, "--format", format)
	if err != nil {
		return nil, nil, err
	}
	var m map[string]any
	return m, []byte(r.Out), json.Unmarshal([]byte(r.Out), &m)
}
