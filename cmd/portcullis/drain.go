package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/session"
)

// drainSealing is how much longer than its drain a restart waits for what has
// ended to be sealed and written.
const drainSealing = 5 * time.Second

// errLeft ends the listeners once the drain is over.
var errLeft = errors.New("the gateway has drained")

// leave waits for told, which is the first signal, and drains. A second signal
// ends the drain, as over does.
func (g *gatewayd) leave(told, over context.Context) error {
	select {
	case <-told.Done():
	case <-over.Done():
		return nil
	}
	if *g.cfg.Drain <= 0 {
		return errLeft
	}
	// The handler that told is heard by swallows further signals; this one does not.
	ctx, stop := signal.NotifyContext(over, os.Interrupt, syscall.SIGTERM)
	defer stop()
	g.drain(ctx)
	return errLeft
}

// drain sends the balancer elsewhere, tells the other nodes and the engineers,
// and waits until nobody is left, for at most the configured time.
func (g *gatewayd) drain(ctx context.Context) {
	until := gateway.Instant(time.Now().Add(*g.cfg.Drain))
	live := strconv.Itoa(len(g.sessions.Live()))
	if err := g.spool.Keep(ctx, audit.Happened{Weight: audit.Final, Events: []audit.Event{{Name: audit.GatewayDraining, Actor: "gateway", Detail: map[string]string{
		"node": g.cfg.Node, "sessions": live, "until": until.Format(time.RFC3339),
	}}}}); err != nil { // no store and no disk keep the operator from a restart
		g.log.Error("event not written", "event", string(audit.GatewayDraining), "error", err)
	}
	g.leaving.Store(&until)
	if g.roll != nil {
		g.roll.Leave()
	}
	g.log.Warn("told to stop: nothing new opens, and live sessions may end by themselves; a second signal ends them at once", "sessions", live, "until", until)
	wait, cancel := context.WithDeadline(ctx, time.Now().Add(*g.cfg.Drain+drainSealing))
	defer cancel()
	g.sessions.Drain(wait, until)
}

// admitting asks whether this node opens sessions at all before anybody is
// asked for a touch, and again each second while one is waited for.
type admitting struct {
	*access.Service
	sessions *session.Manager
}

// Usable implements sshproxy.Access.
func (a admitting) Usable(ctx context.Context, p gateway.Person, target, account string) (gateway.Grant, gateway.Request, error) {
	if err := a.sessions.Admits(p.Vendor); err != nil {
		return gateway.Grant{}, gateway.Request{}, err
	}
	return a.Service.Usable(ctx, p, target, account)
}
