package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster/handover"
	"github.com/portcullis/portcullis/gateway/sshproxy"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/terminal"
)

// Bounds of the web listener. Answers have no bound in time: recordings and
// live updates are streams.
const (
	webHeaderTimeout = 10 * time.Second
	webReadTimeout   = 30 * time.Second
	webIdleTimeout   = 2 * time.Minute
	webMaxHeader     = 64 << 10
	webLastCalls     = 3 * time.Second // for calls under way when the listener stops
	readyEvery       = time.Second     // how old an answer of /readyz may be
	readyWait        = 3 * time.Second // for a disk that hangs
)

type serveCmd struct {
	Check bool   `help:"Check the configuration and exit."`
	Log   string `help:"How much to log." enum:"debug,info,warn,error" default:"info"`
}

// Run serves until it is told to stop.
func (s *serveCmd) Run(r *run) error {
	cfg, err := r.config()
	if err != nil {
		return err
	}
	if s.Check {
		if _, err := loadPolicy(cfg.Policy); err != nil {
			return err
		}
		_, err = fmt.Fprintln(r.out, "The configuration holds.")
		return err
	}
	log, err := logger(r, s.Log)
	if err != nil {
		return err
	}
	g, err := newGateway(r.ctx, cfg, log, nil)
	if err != nil {
		return err
	}
	return g.serve(r.ctx, nil)
}

func logger(r *run, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError{err}
	}
	return slog.New(slog.NewTextHandler(r.errOut, &slog.HandlerOptions{Level: l})), nil
}

// gatewayd is one gateway with its listeners.
type gatewayd struct {
	*rooms
	pages               *web.Server
	api                 *api.Server
	carrier             *sshproxy.Proxy
	desk                *terminal.Desk // shells in browsers
	web, ssh, sock, adm net.Listener
	nodes               net.Listener  // for the other nodes; nil for one node
	serving             certs.Serving // of the web listener; nil where it speaks no TLS

	leaving  atomic.Pointer[time.Time] // nil, or when the last session ends before a restart
	readyMu  sync.Mutex
	readyAt  time.Time
	readyErr error
}

// newGateway joins the rooms, recovers from a crash and listens; nothing is
// answered before serve. Tunnels' flows are dialled by dial; nil: as anything
// is.
func newGateway(ctx context.Context, cfg Config, log *slog.Logger, dial dialer) (_ *gatewayd, err error) {
	r, err := open(cfg, log)
	if err != nil {
		return nil, err
	}
	g := &gatewayd{rooms: r}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.closeAll())
		}
	}()
	g.shout()
	// The socket comes first: whoever holds it is the one gateway of this
	// data folder, and only that one may recover.
	if g.sock, err = listenSocket(ctx, cfg.Socket()); err != nil {
		return nil, err
	}
	if err := g.recover(ctx); err != nil {
		return nil, err
	}
	if err := g.joinProxy(ctx); err != nil {
		return nil, err
	}
	if err := g.joinConsoles(); err != nil {
		return nil, err
	}
	if err := g.joinTunnels(dial); err != nil {
		return nil, err
	}
	if err := g.joinPages(); err != nil {
		return nil, err
	}
	return g, g.listen(ctx)
}

// shout says what is unsafe about this setup.
func (g *gatewayd) shout() {
	own := g.machine.Root()
	known := false
	for _, r := range g.cfg.Roots {
		known = known || r == own
	}
	if !known {
		g.log.Error("this machine's own key is not among the roots, so what root does at the local socket is refused", "cure", "add to roots: "+own)
	}
	if g.cfg.plain() {
		g.log.Warn("the pages are served without TLS; this is for a trial on this machine alone", "url", g.cfg.URL)
	}
	if !web.Built() {
		g.log.Error("the pages' scripts and styles are not built into this binary", "cure", "run make build")
	}
}

func (g *gatewayd) joinPages() (err error) {
	had, err := g.openSecrets()
	if err != nil {
		return err
	}
	g.api, err = api.New(api.Config{
		Directory: g.directory, Access: g.access, Sessions: shownSessions{g.sessions, g.store.Session()}, KillSwitch: shownGate{g.killswitch, g.rooms},
		Recordings: shownRecordings{g.recordings, g.search}, Audit: shownAudit{g.audit, g.checkpoint}, Touches: shownTouches{g.identity}, SSHTouches: sshTouches{g}, Certificates: certificates{g}, Tunnels: g.asksForTunnels(), Policy: shownPolicy{g.policy}, OutOfBand: shownOutOfBand{g.outofband, g.rooms},
		Proofs: proofs{g.rooms}, Secrets: had, Nodes: g.others(), Node: g.cfg.Node, Share: g.share(), Acts: g.acts(), Machine: g.sign, Now: time.Now, Logger: g.log, Version: version(),
	})
	if err != nil {
		return err
	}
	g.pages, err = web.New(web.Config{API: g.api, Identity: shownIdentity{g.identity}, Certificates: certificates{g}, URL: g.cfg.URL, SSH: g.sshAddress(), Terminals: g.desk, Consoles: g.openers(), Tunnels: g.shownTunnels(), HostCA: line(g.keys.HostCAPublic()), Node: g.cfg.Node, Secure: !g.cfg.plain(), Now: time.Now})
	return err
}

// sshAddress is where engineers connect to: the web's host, and the port if
// it is not 22.
func (g *gatewayd) sshAddress() string {
	u, _ := url.Parse(g.cfg.URL) // checked
	_, port, err := net.SplitHostPort(g.cfg.Listen.SSH)
	if g.ssh != nil {
		_, port, err = net.SplitHostPort(g.ssh.Addr().String())
	}
	if err != nil || port == "22" {
		return u.Hostname()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (g *gatewayd) listen(ctx context.Context) (err error) {
	for _, l := range []struct {
		what, addr string
		into       *net.Listener
	}{{"web", g.cfg.Listen.Web, &g.web}, {"ssh", g.cfg.Listen.SSH, &g.ssh}, {"admin", g.cfg.Listen.Admin, &g.adm}, {"nodes", g.cfg.Nodes[g.cfg.Node], &g.nodes}} {
		if l.addr == off || l.addr == "" {
			continue
		}
		if *l.into, err = (&net.ListenConfig{}).Listen(ctx, "tcp", l.addr); err != nil {
			return hinted(fmt.Errorf("listen.%s: %w", l.what, err), "stop what uses the address, or set another in the configuration")
		}
	}
	if g.web == nil || g.cfg.plain() {
		return nil
	}
	g.serving, err = g.certificates()
	return err
}

// serve answers until ctx is done, drains, and stops: live sessions ended with
// the reason, everything waited for. ready, if not nil, is called when all
// listeners answer.
func (g *gatewayd) serve(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, g.closeAll()) }()
	if err := g.audit.Append(ctx, audit.Event{Name: audit.GatewayStarted, Actor: "gateway", Detail: map[string]string{"node": g.cfg.Node, "version": version(), "policy": g.policy.Hash().String()}}); err != nil {
		return err
	}
	// The rooms outlive the listeners: sessions end and are sealed after the
	// last connection was taken.
	inner, stopRooms := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRooms()
	var keepers errgroup.Group
	for name, run := range map[string]func(context.Context) error{"access": g.access.Run, "session": g.sessions.Run, "spool": g.spool.Run, "killswitch": g.killswitch.Run, "outofband": g.outofband.Run, "search": g.search.Run, "memory": g.keepTidy, "certificate": g.watchCertificate, "grants": g.keepGrants} {
		keepers.Go(func() error { return named(name, run(inner)) })
	}
	if g.consoles != nil {
		keepers.Go(func() error { g.consoles.Run(inner); return nil })
	}
	if g.tunnels != nil {
		keepers.Go(func() error { return named("vpn", g.tunnels.Run(inner)) })
	}
	listeners, lctx := errgroup.WithContext(context.WithoutCancel(ctx))
	listeners.Go(func() error { return g.leave(ctx, lctx) })
	listeners.Go(func() error { return named("local socket", g.serveSocket(lctx)) })
	if g.web != nil {
		listeners.Go(func() error { return named("web", g.serveWeb(lctx)) })
	}
	if g.adm != nil {
		listeners.Go(func() error { return named("admin", g.serveAdmin(lctx)) })
	}
	if g.nodes != nil {
		listeners.Go(func() error { return named("nodes", g.serveNodes(lctx)) })
	}
	if g.ssh != nil {
		listeners.Go(func() error { return named("ssh", g.carrier.Serve(lctx, g.ssh)) })
	}
	listeners.Go(func() error { return named("terminals", g.desk.Run(lctx)) })
	g.log.Info("the gateway is open for requests", "url", g.cfg.URL, "ssh", g.sshAddress(), "node", g.cfg.Node, "version", version())
	if ready != nil {
		ready()
	}
	if err = listeners.Wait(); errors.Is(err, errLeft) {
		err = nil
	}
	stopRooms()
	err = errors.Join(err, keepers.Wait())
	stopped := audit.Event{Name: audit.GatewayStopped, Actor: "gateway", Detail: map[string]string{"node": g.cfg.Node}}
	return errors.Join(err, g.spool.Keep(context.WithoutCancel(ctx), audit.Happened{Events: []audit.Event{stopped}, Weight: audit.Final}))
}

func named(what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// joinProxy makes the proxy, for SSH clients and for shells in browsers.
func (g *gatewayd) joinProxy(ctx context.Context) (err error) {
	if g.carrier, err = g.proxy(); err != nil {
		return err
	}
	g.desk, err = terminal.New(ctx, terminal.Config{Open: g.openInside, Logger: g.log})
	return err
}

func (g *gatewayd) proxy() (*sshproxy.Proxy, error) {
	u, _ := url.Parse(g.cfg.URL) // checked
	return sshproxy.New(sshproxy.Config{
		HostSigners: g.keys.KeepHost([]string{u.Hostname()}), TargetSigners: func(target string) ([]ssh.Signer, error) { return g.keys.HostSigners([]string{target}) },
		Identity: sshIdentity{g.identity}, Access: admitting{g.access, g.sessions}, Sessions: sshSessions{g.sessions}, URL: g.cfg.URL, Logger: g.log,
	})
}

func (g *gatewayd) serveWeb(ctx context.Context) error {
	mux := http.NewServeMux()
	g.health(mux)
	mux.Handle("/", unstalled(g.across(g.pages.Handler()), webStall))
	srv := bounded(g.hosted(mux), g.log)
	web := g.web
	if g.consoles != nil {
		g.consoles.Server(srv)
		web = g.consoles.Listener(web)
	}
	serve := func() error { return srv.Serve(web) }
	if g.serving != nil {
		srv.TLSConfig = g.serving.Config()
		if g.consoles != nil {
			srv.TLSConfig = g.consoles.ServiceTLS(srv.TLSConfig)
		}
		serve = func() error { return srv.ServeTLS(web, "", "") }
	}
	return serveHTTP(ctx, srv, serve, webLastCalls)
}

// serveSocket answers commands of this machine. It shares nothing with the
// web listener, so that the gate falls when the web is down or flooded.
func (g *gatewayd) serveSocket(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle(api.Prefix+"/", g.api.Handler(api.Machine))
	g.localRoutes(mux)
	handed := g.across(mux)
	root := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handed.ServeHTTP(w, handover.AsRoot(r)) })
	srv := &http.Server{Handler: root, ReadHeaderTimeout: socketHeaderTimeout, ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)}
	return serveHTTP(ctx, srv, func() error { return srv.Serve(g.sock) }, webLastCalls)
}

// serveAdmin answers metrics, and health once more, for machines that watch
// machines.
func (g *gatewayd) serveAdmin(ctx context.Context) error {
	mux := http.NewServeMux()
	g.health(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics(), promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: socketHeaderTimeout, ReadTimeout: webReadTimeout, ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)}
	return serveHTTP(ctx, srv, func() error { return srv.Serve(g.adm) }, webLastCalls)
}

// health answers whether the process lives and whether it can serve. It tells
// a stranger nothing else, so the web listener answers it too.
func (g *gatewayd) health(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", g.readyz)
}

func (g *gatewayd) readyz(w http.ResponseWriter, r *http.Request) {
	if g.leaving.Load() != nil {
		http.Error(w, "the gateway is being restarted", http.StatusServiceUnavailable)
		return
	}
	if g.sessions.Clock() != nil {
		http.Error(w, "the clock is not the store's", http.StatusServiceUnavailable)
		return
	}
	if err := g.ready(r.Context()); err != nil {
		http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// ready asks the store, which writes to the disk, at most once in readyEvery:
// strangers may ask as often as they like.
func (g *gatewayd) ready(ctx context.Context) error {
	g.readyMu.Lock()
	defer g.readyMu.Unlock()
	if !g.readyAt.IsZero() && time.Since(g.readyAt) < readyEvery {
		return g.readyErr
	}
	probe, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWait) // the next asker gets this answer too
	defer cancel()
	g.readyErr = g.store.Healthy(probe)
	g.readyAt = time.Now()
	if g.readyErr != nil {
		g.log.Error("not ready", "error", g.readyErr)
	}
	return g.readyErr
}

// closeAll closes listeners that were not served, then the rooms.
func (g *gatewayd) closeAll() error {
	for _, l := range []net.Listener{g.web, g.ssh, g.adm, g.sock, g.nodes} {
		if l != nil {
			_ = l.Close() // most are closed already
		}
	}
	return g.close()
}
