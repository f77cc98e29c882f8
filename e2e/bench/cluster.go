package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

const (
	clusterNodes = 3
	clusterLease = "10s" // the default
	reportWithin = 30 * time.Second
	clusterQuiet = 2 * time.Second // in which the other vendor's echoes are timed
)

// measureCluster drops the gate on a vendor whose sessions are spread over
// three nodes, while those of another go on; then on the other one, while its
// engineer tries every way back in, as both do afterwards.
func measureCluster(ctx context.Context, l *lab) error {
	bare, err := l.dropBare(ctx)
	if err != nil {
		return err
	}
	killed, err := l.dropSSHD(ctx)
	if err != nil {
		return err
	}
	b, err := l.newBack(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	ana, bob := b.thieves[0], b.thieves[1]
	got, err := l.dropCluster(ctx, ana, bob, func() error { return b.arm(ctx, ana) })
	if err != nil {
		return err
	}
	const name = "gate.cluster"
	l.tell(name, got, bare)
	p99 := quantile(got.ends, 0.99)
	l.print(name+".sshd", p99, "ms", quantile(killed.ends, 0.99), false)
	l.print(name+".echo.bare", quantile(bare.during, 0.99), "ms", quantile(bare.before, 0.99), false)
	in, err := b.all(ctx)
	if err != nil {
		return err
	}
	l.print(name+".back", float64(in), "sessions", float64(b.opened), false)
	return nil
}

// measureNoRedis does the same with Redis gone: the nodes read the store.
func measureNoRedis(ctx context.Context, l *lab) error {
	bare, err := l.dropBare(ctx)
	if err != nil {
		return err
	}
	ana, err := l.thief(ctx, "ana")
	if err != nil {
		return err
	}
	bob, err := l.thief(ctx, "bob")
	if err != nil {
		return err
	}
	defer func() { leave(ana.old); leave(bob.old) }()
	got, err := l.dropCluster(ctx, ana, bob, func() error { l.cluster.Redis.Kill(); return nil })
	if err != nil {
		return err
	}
	l.tell("gate.cluster.noredis", got, bare)
	return nil
}

// tell prints the figures of one order.
func (l *lab) tell(name string, got, bare clusterDrop) {
	last := slices.Max(bare.bytes)
	l.print(name+".byte", slices.Max(got.bytes), "ms", last, false)
	for i, at := range got.bytes {
		l.print(fmt.Sprintf("%s.byte.node-%d", name, i+1), at, "ms", last, false)
	}
	l.print(name+".p99", quantile(got.ends, 0.99), "ms", quantile(bare.ends, 0.99), false)
	l.print(name+".median", median(got.ends), "ms", median(bare.ends), false)
	l.print(name+".last", slices.Max(got.ends), "ms", slices.Max(bare.ends), false)
	l.print(name+".after", float64(got.after), "lines", float64(bare.after), false)
	l.print(name+".left", float64(got.left), "sessions", float64(bare.left), false)
	l.print(name+".lost", float64(got.lost), "sessions", float64(bare.lost), false)
	l.print(name+".echo", quantile(got.during, 0.99), "ms", quantile(got.before, 0.99), false)
}

// clusterDrop is what was seen of one order: besides what dropped says, ms
// from its commit to the last byte that came through each node (0: none after
// it), the other vendor's sessions that were lost, and ms of its echoes.
type clusterDrop struct {
	dropped
	bytes          []float64
	lost           int
	before, during []float64
}

// dropCluster opens sessions of two engineers, a share by each node, and
// suspends the first one's vendor at the first node. weather is called when
// all are open.
func (l *lab) dropCluster(ctx context.Context, ana, bob *thief, weather func() error) (d clusterDrop, err error) {
	if _, err := l.spread(ctx, bob, l.volume.others, echoCommand, upMark, noteEcho); err != nil {
		return d, err
	}
	nodes, err := l.spread(ctx, ana, l.volume.cluster, slowCommand, tickMark, noteTicks)
	if err != nil {
		return d, err
	}
	if err := weather(); err != nil {
		return d, err
	}
	err = d.drop(ctx, nodes, bob.old, l.order(ctx, rig.Acme), func() (time.Time, error) { return l.committed(ctx) })
	return d, err
}

// spread opens n sessions of an engineer, a share by each node.
func (l *lab) spread(ctx context.Context, t *thief, n int, command, mark string, took func(*held, []byte)) (nodes [][]*held, err error) {
	touch := func(ctx context.Context) error { return l.ticket(ctx, t.who, t.grant) }
	for i, g := range l.cluster.Nodes {
		r := route{name: fmt.Sprintf("node-%d", i+1), touch: touch, dial: func(context.Context) (*ssh.Client, error) {
			return dial(l.Clients[t.who], "ops+ticker", g.SSH, ssh.CipherAES128GCM, nil)
		}}
		all, err := hold(ctx, r, share(n, i, len(l.cluster.Nodes)), command, mark, took)
		if err != nil {
			return nil, err
		}
		t.old, nodes = append(t.old, all...), append(nodes, all)
	}
	return nodes, nil
}

// share is the part of n that the i-th of so many has.
func share(n, i, of int) int { return n*(i+1)/of - n*i/of }

// order is the command that a responder gives.
func (l *lab) order(ctx context.Context, vendor string) *exec.Cmd {
	return exec.CommandContext(ctx, l.Bin, "suspend", "vendor", vendor, "--reason", "bench", "--config", l.Config)
}

// committed is when the last order became durable.
func (l *lab) committed(ctx context.Context) (time.Time, error) {
	var list struct {
		Items []struct {
			Report struct {
				Durable time.Time `json:"durable"`
			} `json:"report"`
		} `json:"items"`
	}
	// A node that ends hundreds of sessions may be late to file its report.
	err := rig.Until(ctx, reportWithin, func() error {
		if err := l.Machine().Get(ctx, "/api/v1/suspensions", &list); err != nil {
			return err
		}
		if len(list.Items) == 0 || list.Items[0].Report.Durable.IsZero() {
			return errors.New("the order has no report")
		}
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return list.Items[0].Report.Durable, nil
}

// grief is what the nodes' logs say of faults, cut short.
func (l *lab) grief() string {
	const most = 40 // lines of each node
	var b strings.Builder
	for i, g := range l.cluster.Nodes {
		n := 0
		for line := range strings.Lines(g.Log()) {
			if n < most && (strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN")) {
				fmt.Fprintf(&b, "node-%d %.300s\n", i+1, strings.TrimSpace(line))
				n++
			}
		}
	}
	return b.String()
}

// drop runs the command and waits for the end of every session of nodes.
// committed is when what it orders was durable; nil: when it began.
func (d *clusterDrop) drop(ctx context.Context, nodes [][]*held, others []*held, cmd *exec.Cmd, committed func() (time.Time, error)) error {
	talks := talk(ctx, others)
	defer talks.stop()
	select {
	case <-time.After(clusterQuiet):
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	out, err := cmd.CombinedOutput()
	answered := time.Now()
	var status *exec.ExitError // of a report that is not final
	if err != nil && !errors.As(err, &status) {
		return fmt.Errorf("%w: %.400s", err, out)
	}
	commit := began
	if committed != nil {
		if commit, err = committed(); err != nil {
			return fmt.Errorf("%w: %.400s", err, out)
		}
	}
	late, cancel := context.WithTimeout(ctx, gateWithin)
	defer cancel()
	until := answered
	for _, all := range nodes {
		last := commit
		for _, h := range all {
			if at, ok := h.end(late); ok {
				d.ends = append(d.ends, ms(at.Sub(began)))
				until = later(until, at)
			} else {
				d.left++
			}
			d.after += h.ticksAfter(answered)
			last = later(last, h.lastRead())
		}
		d.bytes = append(d.bytes, ms(last.Sub(commit)))
	}
	d.before, d.during, d.lost = talks.told(began, until)
	if len(d.during) == 0 { // few sessions, and an order that was quicker than their next key
		d.during = []float64{0}
	}
	if len(d.ends) == 0 || len(d.before) == 0 {
		return fmt.Errorf("%d sessions ended within %s, %d echoes came before: %.400s", len(d.ends), gateWithin, len(d.before), out)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
