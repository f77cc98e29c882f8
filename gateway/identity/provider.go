package identity

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of what is said to and taken from a provider.
const (
	providerTime  = 10 * time.Second // one exchange with it
	providerAgain = 5 * time.Second  // after it did not answer, before it is asked again
	maxAnswer     = 1 << 20
	maxIDToken    = 64 << 10
	maxParameter  = 4096
	maxSubject    = 255 // characters, OpenID Connect Core clause 2
	maxSecret     = 4096
	maxExchanges  = 16 // at one time, a provider
)

// Provider is one OpenID provider of the configuration. It is bound to one
// vendor or to the staff, and speaks for nobody else.
type Provider struct {
	Name       string
	Issuer     string // https, or http on loopback
	ClientID   string
	SecretFile string // path; empty for a public client
	Vendor     string
	Staff      bool
}

type provider struct {
	Provider
	redirect string
	client   *http.Client
	busy     chan struct{}
	now      func() time.Time

	mu     sync.Mutex
	found  *discovered
	failed error
	again  time.Time
}

// discovered is what the provider says of itself.
type discovered struct {
	endpoint oauth2.Endpoint
	verifier *oidc.IDTokenVerifier
	sendsIss bool // RFC 9207 clause 3
}

func newProviders(list []Provider, base *url.URL, now func() time.Time) ([]*provider, error) {
	var out []*provider
	names, issuers := map[string]bool{}, map[string]bool{}
	for _, p := range list {
		if err := p.check(); err != nil {
			return nil, err
		}
		// Two providers of one issuer could speak for two vendors.
		if names[p.Name] || issuers[p.Issuer] {
			return nil, fmt.Errorf("identity provider %q: its name or its issuer %q stands twice", p.Name, p.Issuer)
		}
		names[p.Name], issuers[p.Issuer] = true, true
		out = append(out, &provider{
			Provider: p, now: now, busy: make(chan struct{}, maxExchanges), client: providerClient(),
			redirect: base.JoinPath("oidc", p.Name, "callback").String(),
		})
	}
	return out, nil
}

func (p Provider) check() error {
	if err := gateway.CheckName("identity provider", p.Name); err != nil {
		return err
	}
	if (p.Vendor != "") == p.Staff {
		return fmt.Errorf("identity provider %q: bind it either to a vendor or to the staff", p.Name)
	}
	if p.Vendor != "" {
		if err := gateway.CheckName("vendor", p.Vendor); err != nil {
			return err
		}
	}
	if p.ClientID == "" {
		return fmt.Errorf("identity provider %q has no client", p.Name)
	}
	u, err := url.Parse(p.Issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || !safe(u) {
		return fmt.Errorf("identity provider %q: issuer %q is not an https URL", p.Name, p.Issuer)
	}
	return nil
}

// safe reports whether nobody on the way can read or change what is sent.
func safe(u *url.URL) bool {
	if u.Scheme == "https" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// providerClient follows no redirect and reads no endless answer.
func providerClient() *http.Client {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: providerTime, ResponseHeaderTimeout: providerTime, IdleConnTimeout: time.Minute,
		MaxIdleConnsPerHost: 2, MaxConnsPerHost: maxExchanges, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{Transport: bounded{t}, Timeout: providerTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if !safe(r.URL) {
		return nil, fmt.Errorf("provider names %q, which is not an https URL", r.URL.Redacted())
	}
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

// discover asks the provider about itself when it is first needed, and keeps
// the answer. One that is down is asked again after a while, and stops
// nothing else.
func (p *provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if p.failed != nil && p.now().Before(p.again) {
		return nil, p.down(p.failed)
	}
	ctx, stop := context.WithTimeout(oidc.ClientContext(ctx, p.client), providerTime)
	defer stop()
	got, err := oidc.NewProvider(ctx, p.Issuer)
	if err != nil {
		p.failed, p.again = err, p.now().Add(providerAgain)
		return nil, p.down(err)
	}
	var more struct {
		SendsIss bool `json:"authorization_response_iss_parameter_supported"`
	}
	if err := got.Claims(&more); err != nil {
		return nil, p.down(err)
	}
	to, err := url.Parse(got.Endpoint().AuthURL)
	if err != nil || !safe(to) {
		return nil, p.down(fmt.Errorf("authorization endpoint %q is not an https URL", got.Endpoint().AuthURL))
	}
	p.found, p.failed = &discovered{
		endpoint: got.Endpoint(), sendsIss: more.SendsIss,
		verifier: got.Verifier(&oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: signing, Now: p.now}),
	}, nil
	return p.found, nil
}

// signing are the algorithms of ID tokens that we take: signatures only.
var signing = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

func (p *provider) down(cause error) error {
	return &gateway.Error{Code: gateway.CodeUnavailable, Rule: "identity provider", Text: "identity provider " + p.Name + " does not answer", Next: "sign in with a key, or try again in a moment", Cause: cause}
}

func (p *provider) oauth(d *discovered, secret string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: secret, Endpoint: d.endpoint, RedirectURL: p.redirect, Scopes: []string{oidc.ScopeOpenID, "email"}}
}

// secret is read at each use, so that it can be changed without a restart.
func (p *provider) secret() (string, error) {
	if p.SecretFile == "" {
		return "", nil
	}
	f, err := os.Open(p.SecretFile)
	if err != nil {
		return "", fmt.Errorf("read secret of identity provider %q: %w", p.Name, err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", fmt.Errorf("read secret of identity provider %q: %w", p.Name, err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}
