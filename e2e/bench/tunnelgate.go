package main

import (
	"context"
	"fmt"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

const (
	tunnelsWithin = 2 * time.Minute // for all of one side to be open

	flowsHang  = 3 * time.Second // after the baseline's answer: what has not been reset then is not going to be
	returnTime = 3 * time.Second // for peers that were cut to try again
)

// measureTunnelGate drops the gate on a vendor whose tunnels are live, while a
// few of another vendor go on: first fewer tunnels, then many, of another one.
func measureTunnelGate(ctx context.Context, l *lab) error {
	if err := l.moreVendors(ctx); err != nil {
		return err
	}
	k, err := startPulses(l.network)
	if err != nil {
		return err
	}
	defer k.close()
	v := l.volume
	f, err := l.network.startForwarder(ctx, 2*v.otherTunnels+v.tunnels+v.manyTunnels)
	if err != nil {
		return err
	}
	open, err := l.tunnels(ctx, bystander, flowsTarget)
	if err != nil {
		return err
	}
	others, err := k.hold(ctx, v.otherTunnels, open)
	if err != nil {
		return err
	}
	bareOthers, err := k.hold(ctx, v.otherTunnels, f.next)
	if err != nil {
		return err
	}
	for _, round := range []struct {
		tunnels     int
		who, vendor string
	}{{v.tunnels, holdsFew, rig.Acme}, {v.manyTunnels, holdsMany, rig.Bolt}} {
		first := f.given()
		bare, err := k.drop(ctx, round.tunnels, f.next, bareOthers, func() *exec.Cmd { return f.cut(ctx, first, f.given()) }, flowsHang)
		if err != nil {
			return fmt.Errorf("wireguard-go: %w", err)
		}
		open, err := l.tunnels(ctx, round.who, flowsTarget)
		if err != nil {
			return err
		}
		got, err := k.drop(ctx, round.tunnels, open, others, func() *exec.Cmd { return l.order(ctx, round.vendor) }, gateWithin)
		if err != nil {
			return err
		}
		l.tellTunnels(fmt.Sprintf(".%d", round.tunnels), got, bare)
	}
	return nil
}

func (l *lab) tellTunnels(suffix string, got, bare tunnelDrop) {
	for _, f := range []struct {
		name, unit      string
		value, baseline float64
	}{
		{"byte", "ms", quantile(got.last, 1), quantile(bare.last, 1)},
		{"p99", "ms", quantile(got.last, 0.99), quantile(bare.last, 0.99)},
		{"median", "ms", median(got.last), median(bare.last)},
		{"reset", "ms", quantile(got.resets, 1), quantile(bare.resets, 1)},
		{"hung", "ends", float64(got.hung), float64(bare.hung)},
		{"after", "packets", float64(got.after), float64(bare.after)},
		{"left", "tunnels", float64(got.left), float64(bare.left)},
		{"back", "tunnels", float64(got.back), float64(bare.back)},
		{"lost", "tunnels", float64(got.lost), float64(bare.lost)},
		{"gap", "ms", got.during, got.before},
		{"gap.tun", "ms", bare.during, bare.before},
	} {
		l.print("gate.wg."+f.name+suffix, f.value, f.unit, f.baseline, false)
	}
}

// tunnelDrop is what was seen of one order: ms from the command's start to the
// last packet of each tunnel, either way, and to the reset of each end of each
// TCP flow, the ends that were not reset, packets that were sent after the
// command's answer and came, tunnels that it left, that came back, and of the
// other vendor that were lost; the longest ms between two beats of the other
// vendor's, before and while the order was carried out.
type tunnelDrop struct {
	last, resets            []float64
	hung, after, left, back int
	lost                    int
	before, during          float64
}

// hold opens n tunnels and then has all of them beat: those that beat already
// would make the others slow to open.
func (k *pulses) hold(ctx context.Context, n int, open func(context.Context) (peering, error)) ([]*pulse, error) {
	ctx, cancel := context.WithTimeout(ctx, tunnelsWithin)
	defer cancel()
	made, all := make([]peering, n), make([]*pulse, n)
	var opened, started atomic.Int64
	err := together(n, func() (err error) {
		made[opened.Add(1)-1], err = open(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	first := uint32(k.count.Add(int64(n)) - int64(n))
	err = together(n, func() error { // what fails is left by close
		i := started.Add(1) - 1
		p, err := newPeer(made[i])
		if err != nil {
			return err
		}
		all[i], err = k.start(ctx, first+uint32(i)+1, p)
		return err
	})
	return all, err
}

// drop opens tunnels, runs the command and sees them end.
func (k *pulses) drop(ctx context.Context, n int, open func(context.Context) (peering, error), others []*pulse, order func() *exec.Cmd, wait time.Duration) (d tunnelDrop, err error) {
	k.answered.Store(0)
	told, err := k.hold(ctx, n, open)
	if err != nil {
		return d, err
	}
	defer func() {
		for _, p := range told {
			p.leave()
		}
	}()
	if err := rest(ctx, gateQuiet); err != nil {
		return d, err
	}
	longest(others)
	if err := rest(ctx, gateQuiet); err != nil {
		return d, err
	}
	d.before = longest(others)
	cmd := order()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	k.answered.Store(int64(time.Since(k.began)))
	if err != nil {
		return d, fmt.Errorf("%w: %.400s", err, out)
	}
	if err := d.flows(ctx, told, began, wait); err != nil {
		return d, err
	}
	d.during = longest(others)
	d.packets(told, began)
	for _, p := range others {
		if p.beating() != nil || len(p.ends[0])+len(p.ends[1]) > 0 {
			d.lost++
		}
	}
	d.back, err = comeBackUp(ctx, told)
	return d, err
}

// flows waits for both ends of every TCP flow to break.
func (d *tunnelDrop) flows(ctx context.Context, told []*pulse, began time.Time, wait time.Duration) error {
	late, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for _, p := range told {
		for _, end := range p.ends {
			select {
			case at := <-end:
				d.resets = append(d.resets, ms(at.Sub(began)))
			case <-late.Done():
				d.hung++
				d.resets = append(d.resets, ms(wait))
			}
		}
	}
	return rest(ctx, gateQuiet) // what comes after an end comes now
}

// packets counts what came since the order began.
func (d *tunnelDrop) packets(told []*pulse, began time.Time) {
	for _, p := range told {
		last := 0.0
		for _, a := range []*arrivals{&p.up, &p.down} {
			_, after, at := a.seen()
			d.after += after
			last = max(last, ms(at.Sub(began)))
		}
		d.last = append(d.last, last)
		if p.beating() == nil {
			d.left++
		}
	}
}

// comeBackUp has all of them shake hands anew while they go on beating, and
// counts those that were answered or let anything pass.
func comeBackUp(ctx context.Context, all []*pulse) (back int, err error) {
	came := make([]int, len(all))
	for i, p := range all {
		up, _, _ := p.up.seen()
		down, _, _ := p.down.seen()
		came[i] = up + down
		if err := p.forget(); err != nil {
			return 0, err
		}
	}
	if err := rest(ctx, returnTime); err != nil {
		return 0, err
	}
	for i, p := range all {
		up, _, _ := p.up.seen()
		down, _, _ := p.down.seen()
		if p.peer.answered() || up+down > came[i] {
			back++
		}
	}
	return back, nil
}

// longest is the longest gap of any of them since the last call, in ms.
func longest(all []*pulse) (gap float64) {
	now := time.Now()
	for _, p := range all {
		gap = max(gap, ms(p.up.measure(now)), ms(p.down.measure(now)))
	}
	return gap
}
