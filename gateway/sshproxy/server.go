package sshproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Bounds and times.
const (
	DefaultMaxConns     = 4096                   // connections at once
	DefaultMaxPerSource = 64                     // connections of one address that are not authenticated yet
	HandshakeTime       = 30 * time.Second       // to authenticate, without the wait for a touch
	TouchTime           = 5 * time.Minute        // to touch
	RoundEvery          = time.Second            // between two empty rounds while waiting
	RoundTime           = 15 * time.Second       // for a client to answer an empty round
	DialTime            = 10 * time.Second       // to reach a target
	TargetTime          = 15 * time.Second       // for a target to let us in
	FirstChannelTime    = 10 * time.Second       // for a refused client to open the channel that its sentence is shown on
	ExitGrace           = 100 * time.Millisecond // for a connection's end to be seen behind a channel's
	DrainTime           = 30 * time.Second       // for a client to take what a target sent before it went
	MaxChannels         = 16                     // of one connection at once
	MaxEnv              = 64                     // variables a channel
	MaxEnvBytes         = 1024                   // of one name and value
	MaxModes            = 4096                   // bytes of terminal modes
	MaxCommand          = 64 << 10               // bytes of an exec command
	acceptBackoff       = 50 * time.Millisecond
	maxAuthTries        = 10
	maxClientName       = 120
	chunk               = 64 << 10 // one read, one write to the journal
	quiet               = 1 << 10  // the same, until a read fills it
)

// Config is what the proxy needs.
type Config struct {
	// HostSigners are the host key and its certificate, asked for at each
	// connection: the certificate is made anew before it ends.
	HostSigners func() ([]ssh.Signer, error)
	Identity    Identity
	Access      Access
	Sessions    Sessions
	URL         string // of the web, for links
	Logger      *slog.Logger
	// TargetSigners makes the host certificate that an inner connection to a
	// target is answered with. Nil: nobody jumps.
	TargetSigners func(target string) ([]ssh.Signer, error)
	MaxConns      int // 0: DefaultMaxConns
	MaxPerSource  int // 0: DefaultMaxPerSource

	HandshakeTime, TouchTime, TargetTime time.Duration // 0: the constants of these names

	beat beat // zero: as the constants say
}

// Proxy serves SSH.
type Proxy struct {
	c   Config
	log *slog.Logger

	mu     sync.Mutex // guards the counts
	conns  int
	before map[netip.Prefix]int // not authenticated yet, by source
}

// New checks the configuration. It starts nothing.
func New(c Config) (*Proxy, error) {
	switch {
	case c.HostSigners == nil:
		return nil, errors.New("sshproxy: no host key")
	case c.Identity == nil || c.Access == nil || c.Sessions == nil:
		return nil, errors.New("sshproxy: identity, access and sessions must be set")
	}
	if c.MaxConns <= 0 {
		c.MaxConns = DefaultMaxConns
	}
	if c.MaxPerSource <= 0 {
		c.MaxPerSource = DefaultMaxPerSource
	}
	for _, d := range []struct {
		set *time.Duration
		to  time.Duration
	}{{&c.HandshakeTime, HandshakeTime}, {&c.TouchTime, TouchTime}, {&c.TargetTime, TargetTime}} {
		if *d.set <= 0 {
			*d.set = d.to
		}
	}
	if c.beat == (beat{}) {
		c.beat = beat{BeatEvery, QuietTime, SilenceMax, StoppedMax, RekeyMax}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Proxy{c: c, log: c.Logger, before: map[netip.Prefix]int{}}, nil
}

// Serve accepts connections until ctx is done, ends what is open then, and
// returns when all of it has ended. It closes l.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			wg.Go(func() { p.serveConn(ctx, nc) })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("ssh listener: %w", err)
		default: // out of descriptors, or reset before accepted
			p.log.Warn("accept", "error", err)
			select {
			case <-time.After(acceptBackoff):
			case <-ctx.Done():
			}
		}
	}
}

// serveConn owns one connection from accept to the last goroutine.
func (p *Proxy) serveConn(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	source := sourceOf(nc.RemoteAddr())
	if !p.enter(source) {
		p.log.Warn("connection refused: too many", "source", nc.RemoteAddr().String())
		return
	}
	defer p.leave()
	defer p.contain(nc, func() {})
	probed(nc, p.c.beat)

	met := sync.OnceFunc(func() { p.authenticated(source) })
	defer met()
	p.converse(ctx, newHandshake(ctx, p, nc), met)
}

// converse does the handshake and serves what it let in. met is called once
// it is over, however it went.
func (p *Proxy) converse(ctx context.Context, h *handshake, met func()) {
	defer h.close()
	source := h.nc.RemoteAddr().String()
	unwatch := context.AfterFunc(ctx, func() { _ = h.nc.Close() })
	var sc *ssh.ServerConn
	var chans <-chan ssh.NewChannel
	var reqs <-chan *ssh.Request
	var err error
	onOwnStack(func() { sc, chans, reqs, err = h.run() })
	met()
	if !unwatch() || err != nil {
		p.log.Info("not authenticated", "source", source, "error", err)
		return
	}
	ad := admissionOf(sc.Permissions)
	if ad == nil { // cannot be: every way in sets it
		p.log.Error("handshake without an admission", "source", source)
		return
	}
	c := &conn{p: p, nc: h.nc, sc: sc, h: h, ad: ad, dialed: make(chan struct{}), gone: make(chan struct{}), left: make(chan struct{}), channels: map[*channel]struct{}{}}
	if ad.outer != nil {
		c.serveJumps(ctx, chans, reqs)
		return
	}
	c.serve(ctx, chans, reqs)
}

// enter counts a new connection in, unless there are too many.
func (p *Proxy) enter(source netip.Prefix) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns >= p.c.MaxConns || p.before[source] >= p.c.MaxPerSource {
		return false
	}
	p.conns++
	p.before[source]++
	return true
}

func (p *Proxy) authenticated(source netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.before[source]--; p.before[source] <= 0 {
		delete(p.before, source)
	}
}

func (p *Proxy) leave() {
	p.mu.Lock()
	p.conns--
	p.mu.Unlock()
}

// sourceOf is whom a connection counts for: one IPv4 address, or one IPv6 /64.
func sourceOf(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := t.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	pre, _ := ip.Prefix(bits)
	return pre
}

// strictAlgorithms is what engineers' clients are offered: of what algorithms
// has, no elliptic curve of NIST's and no MAC over the plain text, for which
// most clients of the last ten years have something better (see macsFor).
// Targets are older.
func strictAlgorithms() ssh.Config {
	c := algorithms()
	c.KeyExchanges = slices.DeleteFunc(c.KeyExchanges, func(k string) bool { return strings.Contains(k, "nistp") })
	c.MACs = slices.DeleteFunc(c.MACs, func(m string) bool { return !strings.Contains(m, "-etm@") })
	return c
}

// algorithms is what both legs speak: nothing with SHA-1, CBC or a small group.
// strict-kex (against prefix truncation) is always offered by the library.
func algorithms() ssh.Config {
	s := ssh.SupportedAlgorithms()
	others := slices.DeleteFunc(s.Ciphers, func(c string) bool { return slices.Contains(gcmCiphers, c) })
	return ssh.Config{
		KeyExchanges: s.KeyExchanges,
		Ciphers:      slices.Concat(gcmCiphers, others), // a target takes the first that it has
		MACs:         slices.DeleteFunc(s.MACs, func(m string) bool { return m == ssh.HMACSHA1 }),
	}
}
