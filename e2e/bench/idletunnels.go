package main

import (
	"context"
	"errors"

	"github.com/portcullis/portcullis/e2e/rig"
)

// measureIdleTunnels is what tunnels cost in memory whose peers have shaken
// hands and say nothing.
func measureIdleTunnels(ctx context.Context, l *lab) error {
	// A process that has enrolled people and applied a plant is not fresh.
	if err := l.Stop(); err != nil {
		return err
	}
	if err := l.Start(ctx); err != nil {
		return err
	}
	n := l.volume.idleTunnels
	open, err := l.tunnels(ctx, "ana", flowsTarget)
	if err != nil {
		return err
	}
	own := route{name: "gateway", pids: func() []int { return []int{l.PID()} }}
	fresh, idle, err := l.idlePeers(ctx, own, n, open)
	if err != nil {
		return err
	}
	f, err := l.network.startForwarder(ctx, n)
	if err != nil {
		return err
	}
	bare := route{name: "wireguard-go", pids: func() []int { return []int{f.cmd.Process.Pid} }}
	bareFresh, bareIdle, err := l.idlePeers(ctx, bare, n, f.next)
	if err != nil {
		return err
	}
	l.print("wg.idle", (idle-fresh)/float64(n), "KiB", (bareIdle-bareFresh)/float64(n), false)
	if err := l.order(ctx, rig.Acme).Run(); err != nil {
		return err
	}
	after, err := memory(ctx, own, afterSettle)
	if err != nil {
		return err
	}
	l.print("wg.idle.after", after, "KiB", fresh, false)
	return nil
}

// idlePeers has n peers shake hands, and tells the memory before and then.
func (l *lab) idlePeers(ctx context.Context, r route, n int, open func(context.Context) (peering, error)) (fresh, idle float64, err error) {
	if fresh, err = memory(ctx, r, idleSettle); err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	peers := make(chan *peer, n)
	defer func() {
		for close(peers); ; {
			p, ok := <-peers
			if !ok {
				return
			}
			p.leave()
		}
	}()
	err = together(n, func() error {
		made, err := open(ctx)
		if err != nil {
			return err
		}
		p, err := newIdlePeer(made)
		if err != nil {
			return err
		}
		peers <- p
		return rig.Until(ctx, dialWithin, func() error {
			if !p.answered() {
				return errors.New("no handshake was answered")
			}
			return nil
		})
	})
	if err != nil {
		return 0, 0, err
	}
	idle, err = memory(ctx, r, idleSettle)
	return fresh, idle, err
}
