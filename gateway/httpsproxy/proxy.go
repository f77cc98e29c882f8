package httpsproxy

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds and times.
const (
	MaxHeaderBytes = 256 << 10              // of one request's head
	MaxReplyHeader = 256 << 10              // of one answer's head
	MaxTarget      = 32 << 10               // of a request's path and query
	ReadHeaderTime = 10 * time.Second       // for a browser to send a request's head
	KeepAliveTime  = 2 * time.Minute        // a browser's connection without a request
	BodyIdleTime   = 2 * time.Minute        // between two pieces of a body, from or to a browser
	DialTime       = 10 * time.Second       // to reach a target, with TLS
	ProveTime      = 20 * time.Second       // to prove the account to it
	AnswerTime     = 5 * time.Minute        // for a target to begin its answer
	ContinueTime   = 5 * time.Second        // for it to say 100 (RFC 9110 clause 10.1.1)
	TargetIdleTime = 90 * time.Second       // a kept connection to it
	MaxTargetConns = 64                     // of one session, of HTTP/1.1
	MaxIdleConns   = 16                     // of those, kept
	MaxPlain       = 32                     // of those, at work before HTTP/2 takes over
	MaxStreams     = 256                    // of one browser's connection, of HTTP/2
	MaxExchanges   = 4096                   // of one session at once
	HeldForm       = 64 << 10               // of a form that is looked through before it is sent
	LinkTime       = 30 * time.Second       // a hand-over link is good
	EndedTime      = time.Hour              // an ended session is remembered, for its closing page
	MaxEnded       = 4096                   // of those
	FarewellTime   = 200 * time.Millisecond // for a WebSocket's close frame to be taken
	sweepEvery     = 5 * time.Second
	chunk          = 64 << 10 // one read of a body
	targetBuffer   = 16 << 10 // of a target's connection: a whole TLS record
	maxNotices     = 8        // kept for the session's page
	maxUserAgent   = 200
)

// Prefix is where the gateway's own pages stand on a console's host. A target
// never hears of what is under it.
const Prefix = "/.portcullis/"

// Config is what the proxy needs.
type Config struct {
	Access   Access
	Sessions Sessions
	Accounts Accounts // nil: service accounts reach nothing
	Apps     string   // the apps domain: a console's host is TARGET.Apps
	Port     string   // of links; empty: the scheme's own
	Insecure bool     // plain HTTP, for names under localhost: the demo
	Home     string   // address of the gateway's own pages
	Node     string   // this node's name, in links and cookies
	Logger   *slog.Logger
	Roots    *x509.CertPool   // of TrustSystem; nil: the machine's
	Now      func() time.Time // nil: time.Now
}

// Proxy carries HTTPS.
type Proxy struct {
	c        Config
	log      *slog.Logger
	pages    pages
	bodies   buffers
	messages frames

	mu       sync.Mutex          // guards what follows
	links    map[secretHash]link // not used yet
	consoles map[secretHash]*console
	ended    map[secretHash]ending
	services map[serviceKey]*serving
	told     map[string]time.Time // when a refusal of a service account was last written down
	stopped  bool
	browsers map[any]*browser // connections, by net.Conn

	running  sync.WaitGroup // goroutines of consoles
	requests atomic.Uint64
}

// New checks the configuration. It starts nothing.
func New(c Config) (*Proxy, error) {
	c.Apps = strings.ToLower(strings.Trim(c.Apps, "."))
	switch {
	case c.Access == nil || c.Sessions == nil:
		return nil, errors.New("httpsproxy: access and sessions must be set")
	case c.Apps == "" || strings.ContainsAny(c.Apps, "/:@ "):
		return nil, errors.New("httpsproxy: the apps domain must be a name")
	case c.Insecure && c.Apps != "localhost" && !strings.HasSuffix(c.Apps, ".localhost"):
		return nil, errors.New("httpsproxy: without TLS the apps domain must be under localhost")
	case strings.Trim(c.Node, nodeChars) != "":
		return nil, errors.New("httpsproxy: the node's name must be of a-z, 0-9, dots and hyphens")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Proxy{
		c: c, log: c.Logger, links: map[secretHash]link{}, consoles: map[secretHash]*console{}, ended: map[secretHash]ending{},
		browsers: map[any]*browser{}, services: map[serviceKey]*serving{}, told: map[string]time.Time{},
	}
	var err error
	p.pages, err = newPages()
	return p, err
}

// Handler serves every host TARGET.Apps.
func (p *Proxy) Handler() http.Handler { return http.HandlerFunc(p.serve) }

// Requests is how many came to consoles since the start.
func (p *Proxy) Requests() uint64 { return p.requests.Load() }

// Hosts reports whether a Host header names a console.
func (p *Proxy) Hosts(host string) bool { return p.targetOf(host) != "" }

// Run forgets links, and what has ended, in time. It returns when ctx is done
// and every session's goroutine has ended, which the session manager's own
// stop brings about.
func (p *Proxy) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.sweep(p.c.Now())
		case <-ctx.Done():
			p.mu.Lock()
			p.stopped = true
			p.mu.Unlock()
			p.running.Wait()
			return
		}
	}
}

// sweep ends the sessions that nobody came for, and forgets the rest in time.
func (p *Proxy) sweep(now time.Time) {
	var alone []*console
	p.mu.Lock()
	for h, l := range p.links {
		if now.After(l.until) {
			delete(p.links, h)
			alone = append(alone, l.console)
		}
	}
	for what, last := range p.told {
		if now.Sub(last) >= toldAgain {
			delete(p.told, what)
		}
	}
	for h, e := range p.ended {
		if now.After(e.until) {
			delete(p.ended, h)
		}
	}
	p.mu.Unlock()
	for _, c := range alone {
		c.live.End(gateway.EndClientLeft, "", "the link to the console was not used")
	}
}

// Server sets on s what the proxy needs and what bounds a slow or greedy
// browser. What s has of its own is called too.
func (p *Proxy) Server(s *http.Server) {
	s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes = ReadHeaderTime, KeepAliveTime, MaxHeaderBytes
	if s.HTTP2 == nil {
		s.HTTP2 = &http.HTTP2Config{}
	}
	s.HTTP2.MaxConcurrentStreams = MaxStreams
	s.ConnContext, s.ConnState = p.connContext(s.ConnContext), p.connState(s.ConnState)
}
