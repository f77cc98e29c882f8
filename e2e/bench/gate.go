package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

const (
	gateQuiet  = time.Second      // between the last session's start and the command
	gateWithin = 10 * time.Second // after the command's answer: what lives then is left
)

// vendors are dropped one after the other: a round each.
var vendors = []struct{ vendor, person string }{{rig.Acme, "ana"}, {rig.Bolt, "bob"}}

// dropped is what was seen of one command that ends sessions: ms from its
// start to each session's end, lines printed after its answer, sessions that
// it left.
type dropped struct {
	ends        []float64
	after, left int
}

func (d *dropped) add(o dropped) {
	d.ends, d.after, d.left = append(d.ends, o.ends...), d.after+o.after, d.left+o.left
}

// measureGate opens many sessions and drops the gate. The baseline is a bare
// relay before the same target that shuts all its sockets when it is told.
func measureGate(ctx context.Context, l *lab) error {
	bare, err := startPart(ctx, relayCommand, l.ticker.said[0])
	if err != nil {
		return err
	}
	defer bare.stop()
	var value, baseline dropped
	for _, v := range vendors {
		grant, err := l.Granted(ctx, v.person, "ticker", grantTime)
		if err != nil {
			return err
		}
		client := l.Clients[v.person]
		over := func(name, user, addr string, touch func(context.Context) error) route {
			return route{name: name, touch: touch, dial: func(context.Context) (*ssh.Client, error) {
				return dial(client, user, addr, ssh.CipherAES128GCM, nil)
			}}
		}
		one, err := l.drop(ctx, over("relay", "ops", bare.said[0], func(context.Context) error { return nil }),
			exec.CommandContext(ctx, "kill", "-USR1", fmt.Sprint(bare.cmd.Process.Pid)))
		if err != nil {
			return err
		}
		baseline.add(one)
		one, err = l.drop(ctx, over("gateway", "ops+ticker", l.SSH, func(ctx context.Context) error { return l.ticket(ctx, v.person, grant) }),
			exec.CommandContext(ctx, l.Bin, "suspend", "vendor", v.vendor, "--reason", "bench", "--config", l.Config))
		if err != nil {
			return err
		}
		value.add(one)
	}
	l.print("gate.ssh.p99", quantile(value.ends, 0.99), "ms", quantile(baseline.ends, 0.99), false)
	l.print("gate.ssh.median", median(value.ends), "ms", median(baseline.ends), false)
	l.print("gate.ssh.last", slices.Max(value.ends), "ms", slices.Max(baseline.ends), false)
	l.print("gate.ssh.after", float64(value.after), "lines", float64(baseline.after), false)
	l.print("gate.ssh.left", float64(value.left), "sessions", float64(baseline.left), false)
	return nil
}

// drop opens the sessions, runs the command and waits for every session's end.
func (l *lab) drop(ctx context.Context, r route, cmd *exec.Cmd) (d dropped, err error) {
	all, err := hold(ctx, r, l.volume.gate, "tick", tickMark, noteTicks)
	if err != nil {
		return d, err
	}
	defer func() { leave(all) }()
	select {
	case <-time.After(gateQuiet):
	case <-ctx.Done():
		return d, ctx.Err()
	}
	err = d.end(ctx, r.name, all, cmd)
	return d, err
}

// end runs the command and waits for every session's end.
func (d *dropped) end(ctx context.Context, name string, all []*held, cmd *exec.Cmd) error {
	began := time.Now()
	out, err := cmd.CombinedOutput()
	answered := time.Now()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	late, cancel := context.WithTimeout(ctx, gateWithin)
	defer cancel()
	for _, h := range all {
		if at, ok := h.end(late); ok {
			d.ends = append(d.ends, ms(at.Sub(began)))
		} else {
			d.left++
		}
		d.after += h.ticksAfter(answered)
	}
	if len(d.ends) == 0 {
		return fmt.Errorf("%s: no session ended within %s", name, gateWithin)
	}
	return nil
}

// noteTicks keeps the times of the lines in h.note. A line that comes in two
// pieces is not seen.
func noteTicks(h *held, p []byte) {
	for line := range bytes.Lines(p) {
		digits, ok := bytes.CutPrefix(line, []byte(tickMark))
		if !ok {
			continue
		}
		if at, err := strconv.ParseInt(string(bytes.TrimSpace(digits)), 10, 64); err == nil {
			h.note, h.last = append(h.note, at), time.Now()
		}
	}
}

// ticksAfter counts the lines that were printed after t.
func (h *held) ticksAfter(t time.Time) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.note {
		if at > t.UnixMicro() {
			n++
		}
	}
	return n
}

// lastRead is when the last line was read.
func (h *held) lastRead() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}
