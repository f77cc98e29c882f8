package api

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of the routes that nobody signs in for. One person touches a few
// times a minute; an office stands behind one address.
const (
	touchesPerMinute = 60
	touchesAtOnce    = 20
	touchSources     = 4096 // addresses remembered
	touchBody        = 16 << 10
)

// SSHChallenge is a statement for an SSH security key to sign: the exact
// bytes stand in Statement, as a string, and `ssh-keygen -Y sign -n Namespace`
// signs them.
type SSHChallenge struct {
	ID        string    `json:"id"`
	Sentence  string    `json:"sentence"`
	Statement string    `json:"statement"`
	Namespace string    `json:"namespace"`
	Expires   time.Time `json:"expires"`
}

// SSHTicket is what such a touch gives: one connection of that person, by
// Command, until Expires.
type SSHTicket struct {
	Statement gateway.Digest `json:"statement"`
	Grant     string         `json:"grant"`
	Person    string         `json:"person"`
	Command   string         `json:"command"`
	Expires   time.Time      `json:"expires"`
}

// TouchParams name the SSH security key that will sign, and what for. An empty
// account is the one there is.
type TouchParams struct {
	Fingerprint string `json:"fingerprint"`
	Target      string `json:"target"`
	Account     string `json:"account,omitempty"`
}

// SSHTouches takes touches without a browser. Source is the address that asks.
type SSHTouches interface {
	// Begin refuses in its own words; whoever holds no key does not hear them.
	Begin(ctx context.Context, in TouchParams, source string) (SSHChallenge, error)
	Finish(ctx context.Context, id string, signature []byte, source string) (SSHTicket, error)
}

// openRoutes are those that nobody signs in for.
var openRoutes = []route{
	{"POST /touch/begin", "Draw up the opening of a session, for an SSH security key to sign", (*Server).touchBegin},
	{"POST /touch/finish", "Hand in the SSHSIG: a ticket for one connection within 60 s", (*Server).touchFinish},
	{"POST /certificate/begin", "Ask for an SSH certificate of a fresh key: a link, a code, a ticket", (*Server).certificateBegin},
	{"POST /certificate/wait", "Wait for the touch behind the link, at most 20 s a call: the certificate", (*Server).certificateWait},
	{"POST /tunnels/begin", "Ask for a WireGuard tunnel of a fresh key: a link, a code, a ticket", (*Server).tunnelBegin},
	{"POST /tunnels/wait", "Wait for the touch behind the link, at most 20 s a call: what the client's configuration needs", (*Server).tunnelWait},
}

// outside is the actor of the open routes: nobody.
func outside(*http.Request) (Who, error) { return Who{}, nil }

// errNoTouch is the one answer to every key that could open nothing here,
// known or not: the fingerprint proves nothing about who asks.
func errNoTouch() error {
	return gateway.Refused("no-grant", "name it as ACCOUNT+TARGET, or sign in with a browser: your own page says what you may open, and why not",
		"no open grant can be used by this key for that target from here")
}

func (s *Server) touchBegin(c call) (any, error) {
	var in TouchParams
	source, err := s.touching(c, &in)
	if err != nil {
		return nil, err
	}
	out, err := s.cfg.SSHTouches.Begin(c.Context(), in, source)
	if err != nil {
		switch gateway.AsError(err).Code {
		case gateway.CodeUnavailable, gateway.CodeTooMany, gateway.CodeInternal:
			return nil, err
		}
		s.cfg.Logger.Info("touch without a browser refused", "fingerprint", gateway.Quote(in.Fingerprint), "target", gateway.Quote(in.Target), "source", source, "error", err)
		return nil, errNoTouch()
	}
	return out, nil
}

func (s *Server) touchFinish(c call) (any, error) {
	var in struct {
		ID        string `json:"id"`
		Signature string `json:"signature"`
	}
	source, err := s.touching(c, &in)
	if err != nil {
		return nil, err
	}
	return s.cfg.SSHTouches.Finish(detached(c.Context()), in.ID, []byte(in.Signature), source)
}

// touching is asking for the two routes of a touch.
func (s *Server) touching(c call, in any) (source string, err error) {
	return s.asking(c, s.cfg.SSHTouches != nil, in)
}

// asking reads a call of a route that nobody signs in for and counts it
// against its source.
func (s *Server) asking(c call, served bool, in any) (source string, err error) {
	if _, err := netip.ParseAddrPort(c.RemoteAddr); !served || err != nil { // the local socket has no address, and needs no touch
		return "", gateway.NotFound("route", c.Method+" "+c.URL.Path)
	}
	if err := s.countSource(c); err != nil {
		return "", err
	}
	c.Body = http.MaxBytesReader(c.w, c.Body, touchBody)
	return c.RemoteAddr, c.read(in)
}

// SharedTouches is how often one network may call such routes within a minute,
// over all nodes: as often as the limit of one node lets at most.
const SharedTouches = touchesPerMinute + touchesAtOnce

// network is whom a call counts for: one IPv4 address, or one IPv6 /64.
func network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64 // one customer's
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// countSource counts a call of a route that nobody signs in for, where it has
// a source: at this node, and then over all.
func (s *Server) countSource(c call) error {
	at, err := netip.ParseAddrPort(c.RemoteAddr)
	if err != nil || s.mayCall(c.Context(), network(at.Addr())) { // the local socket has no address
		return nil //nolint:nilerr // and is not counted
	}
	return &gateway.Error{Code: gateway.CodeTooMany, Rule: "touches", Text: "too many touches and calls came from your network", Next: "wait a minute and begin again"}
}

func (s *Server) mayCall(ctx context.Context, from netip.Prefix) bool {
	return s.touches.allow(from, s.cfg.Now()) && (s.cfg.Share == nil || s.cfg.Share.Allow(ctx, from.String()))
}

// perSource limits calls by network address. It remembers a bounded number of
// them: who comes when it is full of others waits until one has been quiet.
type perSource struct {
	mu sync.Mutex
	at map[netip.Prefix]*rate.Limiter
}

func (p *perSource) allow(from netip.Prefix, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = make(map[netip.Prefix]*rate.Limiter)
	}
	l := p.at[from]
	if l == nil {
		if len(p.at) >= touchSources {
			p.forget(now)
		}
		if len(p.at) >= touchSources {
			return false
		}
		l = rate.NewLimiter(rate.Every(time.Minute/touchesPerMinute), touchesAtOnce)
		p.at[from] = l
	}
	return l.AllowN(now, 1)
}

// forget drops those who have been quiet long enough to be as good as new.
func (p *perSource) forget(now time.Time) {
	for from, l := range p.at {
		if l.TokensAt(now) >= touchesAtOnce {
			delete(p.at, from)
		}
	}
}

// allRoutes is what the API serves and describes.
func allRoutes() []route {
	return slices.Concat(routes, openRoutes, outOfBandRoutes, bearerRoutes, secretRoutes)
}
