package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

// grantTime is longer than any run.
const grantTime = 8 * time.Hour

// lab is the stage with its routes to one sshd.
type lab struct {
	*rig.Stage
	cluster *rig.Cluster // whose first node the stage is; nil for one gateway
	grant   rig.Grant
	jump    *rig.Plant // the second sshd, which ssh -J goes through
	client  *rig.Client
	ticker  *part     // the target without processes, see ticker.go
	console *consoles // of families that need one; else nil
	network *network  // likewise
	volume  volume
	out     io.Writer

	touching sync.Mutex
}

// ticket has an engineer touch ahead for one connection. One key is touched
// once at a time, or its counter would seem to run back.
func (l *lab) ticket(ctx context.Context, who string, g rig.Grant) error {
	l.touching.Lock()
	defer l.touching.Unlock()
	return l.Ticket(ctx, who, g.ID)
}

func newLab(ctx context.Context, bin, dir string, out io.Writer, v volume, f family) (*lab, error) {
	client, err := rig.NewClient(filepath.Join(dir, "direct"), "")
	if err != nil {
		return nil, err
	}
	l := &lab{client: client, out: out, volume: v}
	if l.ticker, err = startPart(ctx, tickerCommand); err != nil {
		return nil, err
	}
	if f.console {
		if l.console, err = startConsoles(ctx, filepath.Join(dir, "console")); err != nil {
			l.Close()
			return nil, err
		}
	}
	if f.network {
		if l.network, err = startNetwork(ctx, filepath.Join(dir, "network")); err != nil {
			l.Close()
			return nil, err
		}
	}
	if err := l.build(ctx, bin, dir, f.nodes); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *lab) build(ctx context.Context, bin, dir string, nodes int) error {
	var err error
	also := func(s *rig.Stage) string {
		return fmt.Sprintf(tickerTarget, l.ticker.said[0], l.ticker.key(), s.Plant.Login)
	}
	stage := rig.Options{Authorized: l.client.PublicKey + "\n", Targets: also}
	l.console.options(&stage)
	l.network.options(&stage)
	if nodes > 0 {
		if l.cluster, err = rig.NewCluster(ctx, bin, dir, rig.ClusterOptions{Nodes: nodes, Lease: clusterLease, Stage: stage}); err != nil {
			return err
		}
		l.Stage = l.cluster.Stage
	} else if l.Stage, err = rig.NewStage(ctx, bin, dir, stage); err != nil {
		return err
	}
	// A home without anything in it: what this machine's shells do when they
	// start is not to be measured.
	if err := l.Plant.Configure(ctx, "SetEnv HOME="+l.Plant.Dir); err != nil {
		return err
	}
	if l.jump, err = rig.StartPlant(ctx, filepath.Join(dir, "jump"), "", l.client.PublicKey+"\n"); err != nil {
		return err
	}
	known := rig.KnownHost(l.Plant.Addr, l.Plant.HostKey) + rig.KnownHost(l.jump.Addr, l.jump.HostKey)
	if err := os.WriteFile(filepath.Join(l.client.Dir, "known_hosts"), []byte(known), 0o600); err != nil {
		return err
	}
	// Of the -J form: the authority stands for the targets' names too.
	hosts, err := l.CLI(ctx, "ssh-config", "--only", "known_hosts", "pump")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.Clients["ana"].Dir, "known_hosts"), []byte(hosts.Out), 0o600); err != nil {
		return err
	}
	l.grant, err = l.Granted(ctx, "ana", "pump", grantTime)
	return err
}

// Close ends all that was started.
func (l *lab) Close() {
	if l.jump != nil {
		_ = l.jump.Stop()
	}
	switch {
	case l.cluster != nil:
		l.cluster.Close()
	case l.Stage != nil:
		l.Stage.Close()
	}
	l.network.close()
	l.console.close()
	l.ticker.stop()
}

// signer is a client's key.
func signer(c *rig.Client) (ssh.Signer, error) {
	raw, err := os.ReadFile(filepath.Join(c.Dir, "id"))
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(raw)
}

// print prints one figure. more says that a higher value is better.
func (l *lab) print(name string, value float64, unit string, baseline float64, more bool) {
	ratio := 1.0
	switch {
	case value == baseline, value == 0 && !more: // nothing lost is as good as can be
	case more:
		ratio = value / baseline
	default:
		ratio = baseline / value
	}
	line := fmt.Sprintf("%-26s %10.3f %-10s %10.3f %8.3f\n", name, value, unit, baseline, ratio)
	fmt.Print(line)
	_, _ = io.WriteString(l.out, line) // Sync at the end tells
}

// figures prints a figure of each route in the order of routes.
func (l *lab) figures(name string, v []float64, unit string, more bool) {
	l.print(name, v[gateway], unit, v[direct], more)
	l.print(name+".jump", v[gateway], unit, v[jump], more)
	if len(v) > inner {
		l.print(name+".inner", v[inner], unit, v[jump], more)
	}
}

func median(v []float64) float64 { return quantile(v, 0.5) }

func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[min(len(v)-1, int(q*float64(len(v))))]
}
