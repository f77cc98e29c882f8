package main

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster/handover"
	"github.com/portcullis/portcullis/gateway/httpsproxy"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web"
)

// The joints of consoles: package httpsproxy between the web listener, the
// pages and the sessions.

// joinConsoles makes the proxy of consoles, where there is a domain for them.
func (g *gatewayd) joinConsoles() (err error) {
	if g.cfg.AppsDomain == "" {
		return nil
	}
	u, _ := url.Parse(g.cfg.URL) // checked
	g.consoles, err = httpsproxy.New(httpsproxy.Config{
		Access: g.access, Sessions: consoleSessions{g.sessions}, Accounts: serviceAccounts{g.rooms}, Apps: g.cfg.AppsDomain, Port: u.Port(), Insecure: g.cfg.plain(),
		Home: g.cfg.URL, Node: g.home(), Logger: g.log,
	})
	return err
}

// hosted sends a request to the console that its host names, and every other
// to the pages.
func (g *gatewayd) hosted(pages http.Handler) http.Handler {
	if g.consoles == nil {
		return pages
	}
	consoles := g.consoles.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !g.consoles.Hosts(r.Host):
			pages.ServeHTTP(w, r)
		case g.peers != nil && g.peers.Other(g.consoles.Node(r)) && g.consoles.Directed(r):
			g.peers.Hand(w, r, g.consoles.Node(r), func(err error) { g.pages.Problem(err).ServeHTTP(w, r) })
		case g.peers != nil:
			consoles.ServeHTTP(w, handover.For(r))
		default:
			consoles.ServeHTTP(w, r)
		}
	})
}

// handed answers what another node hands over: consoles, whose connection to
// the browser that node has looked at, and pages.
func (g *gatewayd) handed(pages http.Handler) http.Handler {
	if g.consoles == nil {
		return pages
	}
	consoles := g.consoles.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.consoles.Hosts(r.Host) {
			consoles.ServeHTTP(w, httpsproxy.Vouched(r))
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// openers are what the pages open consoles by; nil: this gateway has none.
func (g *gatewayd) openers() web.Consoles {
	if g.consoles == nil {
		return nil
	}
	return opener{g.consoles}
}

type opener struct{ p *httpsproxy.Proxy }

// Open implements web.Consoles.
func (o opener) Open(ctx context.Context, c web.ConsoleOpening) (string, error) {
	return o.p.Enter(ctx, httpsproxy.Entering(c))
}

// ServiceAddress implements web.Consoles.
func (o opener) ServiceAddress(target string) string { return o.p.ServiceAddress(target) }

// serviceAccounts is identity and access as package httpsproxy asks for service
// accounts. What the machine states it signs with the key of this node.
type serviceAccounts struct{ *rooms }

func (s serviceAccounts) ByCertificate(ctx context.Context, c *x509.Certificate) (gateway.Person, error) {
	return s.identity.ServiceByCertificate(ctx, c)
}

func (s serviceAccounts) ByToken(ctx context.Context, token, audience string) (gateway.Person, error) {
	return s.identity.ServiceByToken(ctx, token, audience)
}

func (s serviceAccounts) Opening(ctx context.Context, person, target string, proof statement.ServiceProof, source string) (string, statement.Signed, error) {
	b, err := s.access.ServiceOpening(ctx, person, target, proof, source)
	if err != nil {
		return "", statement.Signed{}, err
	}
	signed, err := s.machine.Sign(time.Now(), b)
	return b.Grant, signed, err
}

// consoleSessions is session as package httpsproxy asks for it.
type consoleSessions struct{ m *session.Manager }

func (s consoleSessions) Open(ctx context.Context, o httpsproxy.Opening) (httpsproxy.Live, error) {
	l, err := s.m.Open(ctx, session.Opening(o))
	if err != nil {
		return nil, err
	}
	return consoleLive{l}, nil
}

func (s consoleSessions) Refuse(ctx context.Context, r httpsproxy.Refusal) {
	s.m.Refuse(ctx, session.Refusal(r))
}

type consoleLive struct{ *session.Live }

func (l consoleLive) Credential(ctx context.Context) (httpsproxy.Credential, error) {
	c, err := l.Live.Credential(ctx)
	if err != nil || c.HTTP == nil {
		return httpsproxy.Credential{Proof: gateway.ProofNone}, err
	}
	return httpsproxy.Credential{Proof: c.HTTP.Proof, Login: c.HTTP.Login, Secret: c.HTTP.Secret, Certificate: c.HTTP.Certificate}, nil
}

func (l consoleLive) Channel(ctx context.Context, ch gateway.Channel) (httpsproxy.Channel, error) {
	c, err := l.Live.Channel(ctx, ch)
	if err != nil {
		return nil, err
	}
	return c, nil
}
