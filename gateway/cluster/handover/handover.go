package handover

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of one call between nodes.
const (
	DialTime   = 2 * time.Second  // to reach the node and know it: a frozen one does neither
	AnswerTime = 30 * time.Second // until its answer begins; what follows may be a stream
)

// Headers between nodes. What a caller from outside sends of them is dropped.
const (
	sourceHeader = "Portcullis-Source" // address:port of the caller
	rootHeader   = "Portcullis-Root"   // "yes": root at the local socket of the other node
)

// Config is what Peers needs.
type Config struct {
	Node    string
	Nodes   map[string]string // every node's name and the host:port where it listens for the others
	Key     ed25519.PrivateKey
	Trusted []ed25519.PublicKey // the machine keys of the cluster
	Logger  *slog.Logger        // nil: no log
	Now     func() time.Time    // nil: time.Now
}

// Peers are the other nodes of the cluster.
type Peers struct {
	cfg     Config
	own     tls.Certificate
	ways    map[string]*http.Transport
	proxies map[string]*httputil.ReverseProxy

	mu      sync.Mutex
	resting map[string]time.Time // until when a node is asked nothing
}

// New reads the configuration. It dials nobody.
func New(c Config) (*Peers, error) {
	if _, ok := c.Nodes[c.Node]; !ok {
		return nil, fmt.Errorf("node %q is not among the nodes", c.Node)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Peers{cfg: c, ways: map[string]*http.Transport{}, resting: map[string]time.Time{}, proxies: map[string]*httputil.ReverseProxy{}}
	var err error
	if p.own, err = certificate(c.Node, c.Key, c.Now()); err != nil {
		return nil, err
	}
	for node := range c.Nodes {
		if node != c.Node {
			p.ways[node] = p.transport(node)
			p.proxies[node] = p.proxy(node)
		}
	}
	return p, nil
}

// Other reports whether node is another node of the cluster.
func (p *Peers) Other(node string) bool { return p.proxies[node] != nil }

// Names lists the other nodes in order.
func (p *Peers) Names() []string {
	names := make([]string, 0, len(p.proxies))
	for n := range p.proxies {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

type rootKey struct{}

// AsRoot marks a call of the local socket.
func AsRoot(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), rootKey{}, true))
}

// Hand has another node answer the call. fail is called instead where that
// node was not reached or its answer did not begin.
func (p *Peers) Hand(w http.ResponseWriter, r *http.Request, node string, fail func(error)) {
	proxy, ok := p.proxies[node]
	if !ok {
		fail(gateway.NotFound("node", node))
		return
	}
	proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), failKey{}, fail)))
}

type failKey struct{}

func (p *Peers) proxy(node string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "https", Host: p.cfg.Nodes[node]})
			pr.Out.Host = pr.In.Host // the caller's: origins and cookies are held to it
			vouch(pr.Out, pr.In)
		},
		Transport:     p.ways[node],
		FlushInterval: -1, // live updates are streams
		ErrorLog:      slog.NewLogLogger(p.cfg.Logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			fail, _ := r.Context().Value(failKey{}).(func(error))
			if fail == nil || r.Context().Err() != nil {
				return
			}
			p.cfg.Logger.Warn("another node does not answer", "node", node, "path", r.URL.Path, "error", err)
			away := gateway.Unavailable("node", fmt.Errorf("node %s: %w", node, err))
			away.Text, away.Next = fmt.Sprintf("node %s, which holds this, does not answer", node), "try again in a moment; if it stays away its sessions end with its lease"
			fail(away)
		},
	}
}

// transport makes a connection for each call: one that was kept could lead to
// a node that has been frozen since, with the call half way there.
func (p *Peers) transport(node string) *http.Transport {
	conf := p.clientTLS(node)
	return &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, ResponseHeaderTimeout: AnswerTime,
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, DialTime)
			defer cancel()
			return (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", p.cfg.Nodes[node])
		},
	}
}

// Reach asks a node whether it is there.
func (p *Peers) Reach(ctx context.Context, node string) error {
	if !p.Other(node) {
		return gateway.NotFound("node", node)
	}
	ctx, cancel := context.WithTimeout(ctx, DialTime)
	defer cancel()
	c, err := (&tls.Dialer{Config: p.clientTLS(node)}).DialContext(ctx, "tcp", p.cfg.Nodes[node])
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(probeTime))
	// TLS 1.3's client is done before the server has judged it: a refusal comes
	// as the first answer.
	if _, err = c.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		return errStranger
	}
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return nil
	}
	return err
}

// probeTime is how long a refusal may take to come.
const probeTime = 200 * time.Millisecond

// Handler answers what other nodes hand over: pages for callers of the web
// listener, local for root at a local socket.
func (p *Peers) Handler(pages, local http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source, root := r.Header.Get(sourceHeader), r.Header.Get(rootHeader) == "yes"
		r.Header.Del(sourceHeader)
		r.Header.Del(rootHeader)
		r.RemoteAddr = source
		if root {
			local.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}
