package httpsproxy

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

// renewBefore is how long before its end a certificate or a token is replaced.
const renewBefore = 30 * time.Second

// proof is what proves the account: to each connection, or to each request.
type proof struct {
	tls   *tls.Config
	names map[string]bool // header fields, as plainName writes them, that only the gateway may send

	renewing sync.Mutex // held over the asking for another token

	mu     sync.Mutex
	header string // canonical; empty: no header proves it
	value  string
	until  time.Time // of value or certificate; zero: as long as the session
	cert   *tls.Certificate
	held   map[string]string // cookies of the login, which the browser never gets
}

// prove gets the credential, reaches the target and logs in.
func (c *console) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ProveTime)
	defer cancel()
	defer context.AfterFunc(c.live.Context(), cancel)()
	cred, err := c.live.Credential(ctx)
	if err != nil {
		return cannot("the gateway has no credential for it", err)
	}
	c.proof = &proof{names: map[string]bool{}, held: map[string]string{}}
	if c.proof.tls, err = c.trust(); err != nil {
		return cannot(err.Error(), nil)
	}
	if cred.Certificate != nil {
		c.proof.cert = cred.Certificate
		c.proof.until = leafEnds(cred.Certificate)
		c.proof.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate() }
	}
	c.target = c.newTransports()
	if err := c.target.reach(ctx, c); err != nil {
		return &refusedBy{unreachable(err), err}
	}
	secrets, err := c.logIn(ctx, cred)
	if err != nil {
		return err
	}
	c.scrub = capture.NewScrubber(secrets...)
	var redact []string
	if h := c.live.Target().HTTPS; h != nil {
		redact = h.Redact
	}
	c.capture = capture.New(c.key, redact, c.scrub)
	return nil
}

// logIn makes of the credential what every request carries, and names what
// must never be shown.
func (c *console) logIn(ctx context.Context, cred Credential) (secrets []string, err error) {
	p, account := c.proof, c.live.Account()
	switch cred.Proof {
	case gateway.ProofPassword:
		pair := cred.Login + ":" + cred.Secret
		p.set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)), time.Time{})
		return []string{cred.Secret, pair}, nil
	case gateway.ProofBearer:
		p.set("Authorization", "Bearer "+cred.Secret, time.Time{})
		return []string{cred.Secret}, nil
	case gateway.ProofHeader:
		if account.Header == "" {
			return nil, cannot("its account names no header", nil)
		}
		p.set(http.CanonicalHeaderKey(account.Header), cred.Secret, time.Time{})
		return []string{cred.Secret}, nil
	case gateway.ProofOAuth2:
		token, err := c.token(ctx, cred, account)
		return []string{cred.Secret, token}, err
	case gateway.ProofForm:
		c.form = account.Form
		return c.fillIn(ctx, cred, account.Form)
	case gateway.ProofCertificate, gateway.ProofKey:
		if cred.Certificate == nil {
			return nil, cannot("the gateway has no certificate for it", nil)
		}
	case gateway.ProofNone:
	default:
		return nil, cannot("the gateway does not know how to prove its account", nil)
	}
	return nil, nil
}

func (p *proof) set(header, value string, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.header, p.value, p.until = header, value, until
	if name := string(plainName(nil, header)); !p.names[name] { // requests read the map: once they do, a renewal finds it there
		p.names[name] = true
	}
}

// inject puts the proof on a request.
func (c *console) inject(ctx context.Context, h http.Header) error {
	p := c.proof
	p.mu.Lock()
	header, value, until := p.header, p.value, p.until
	p.mu.Unlock()
	if header == "" {
		return nil
	}
	if !until.IsZero() && c.p.c.Now().After(until.Add(-renewBefore)) {
		renewed, err := c.renew(ctx)
		if err != nil {
			return err
		}
		value = renewed
	}
	h[header] = []string{value}
	return nil
}

// renew gets another token before the last one runs out, and looks for it in
// what is shown from then on. Of many requests one asks.
func (c *console) renew(ctx context.Context) (string, error) {
	p := c.proof
	p.renewing.Lock()
	defer p.renewing.Unlock()
	p.mu.Lock()
	value, until := p.value, p.until
	p.mu.Unlock()
	if until.IsZero() || !c.p.c.Now().After(until.Add(-renewBefore)) { // while we waited
		return value, nil
	}
	cred, err := c.live.Credential(ctx)
	if err != nil {
		return "", err
	}
	token, err := c.token(ctx, cred, c.live.Account())
	if err != nil {
		return "", err
	}
	c.scrub.Learn(token)
	return "Bearer " + token, nil
}

// token asks for one with the client's credentials (RFC 6749 clause 4.4).
func (c *console) token(ctx context.Context, cred Credential, a gateway.Account) (string, error) {
	trust := c.proof.tls
	if t := c.live.Target().HTTPS; t != nil && t.Trust == gateway.TrustPin && !c.atTarget(a.TokenURL) {
		trust = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.p.c.Roots} // a pin is of the target's own key
	} else if !c.atTarget(a.TokenURL) {
		trust = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.proof.tls.RootCAs}
	}
	client := &http.Client{
		Transport:     &http.Transport{DialContext: c.dialRaw, TLSClientConfig: trust, DisableKeepAlives: true, ResponseHeaderTimeout: ProveTime, MaxResponseHeaderBytes: MaxReplyHeader},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if !strings.HasPrefix(a.TokenURL, "https://") {
		return "", cannot("its token address is not https", nil)
	}
	cfg := clientcredentials.Config{ClientID: cred.Login, ClientSecret: cred.Secret, TokenURL: a.TokenURL, Scopes: a.Scopes, AuthStyle: oauth2.AuthStyleInHeader}
	t, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return "", cannot("its authorization server did not accept the gateway's credential for the account", errors.New("token refused")) // the library's error holds the answer, and that could hold the secret
	}
	c.proof.set("Authorization", "Bearer "+t.AccessToken, t.Expiry)
	return t.AccessToken, nil
}

func (c *console) atTarget(address string) bool {
	rest, ok := strings.CutPrefix(address, "https://")
	host, _, _ := strings.Cut(rest, "/")
	return ok && (host == c.live.Target().Address || "https://"+host == c.names.inner)
}

// certificate is the client's, renewed when it is about to run out.
func (c *console) certificate() (*tls.Certificate, error) {
	p := c.proof
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until.IsZero() || c.p.c.Now().Before(p.until.Add(-renewBefore)) {
		return p.cert, nil
	}
	cred, err := c.live.Credential(c.live.Context())
	if err != nil || cred.Certificate == nil {
		return nil, errors.New("no client certificate")
	}
	p.cert, p.until = cred.Certificate, leafEnds(cred.Certificate)
	return p.cert, nil
}

func leafEnds(c *tls.Certificate) time.Time {
	if c.Leaf == nil {
		return time.Time{}
	}
	return c.Leaf.NotAfter
}

// refusedBy is an end at the target, with what the operator's log needs.
type refusedBy struct {
	ended *gateway.Ended
	cause error
}

func (e *refusedBy) Error() string { return e.ended.Error() }
func (e *refusedBy) Unwrap() error { return e.cause }

func cannot(word string, cause error) error {
	return &refusedBy{&gateway.Ended{Reason: gateway.EndTarget, Detail: word}, cause}
}
