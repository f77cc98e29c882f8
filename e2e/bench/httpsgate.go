package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// Who holds what: each order takes a vendor whose engineer has nothing else.
const (
	holdsFew, holdsMany, returning, bystander = "ana", "bob", "cy", "dee"

	crane = "crane" // of cy; dee is of dyne
)

// moreVendors joins two to those of the stage.
func (l *lab) moreVendors(ctx context.Context) error {
	text := strings.NewReplacer(
		"vendors:\n", "vendors:\n  - {name: crane, title: Crane Controls}\n  - {name: dyne, title: Dyne Turbines}\n",
		"people:\n", `people:
  - {name: cy, title: Cy Vale, email: cy@crane.example, vendor: crane, roles: [engineer]}
  - {name: dee, title: Dee Moss, email: dee@dyne.example, vendor: dyne, roles: [engineer]}
`, "vendors: [acme, bolt]", "vendors: [acme, bolt, crane, dyne]").Replace(l.PlantFile())
	if err := l.Apply(ctx, text); err != nil {
		return err
	}
	return errors.Join(l.Join(ctx, returning), l.Join(ctx, bystander))
}

// measureHTTPSGate drops the gate on a vendor whose streams are live, while a
// few of another vendor go on: first fewer streams, then many, of another one.
// Then it does so while a vendor's browsers ask for pages.
func measureHTTPSGate(ctx context.Context, l *lab) error {
	if err := l.moreVendors(ctx); err != nil {
		return err
	}
	enter, err := l.enters(ctx, bystander)
	if err != nil {
		return err
	}
	others, err := holdStreams(ctx, l.volume.otherStreams, streamKinds[:1], enter)
	if err != nil {
		return err
	}
	defer others.leave()
	for _, round := range []struct {
		streams     int
		who, vendor string
	}{{l.volume.streams, holdsFew, rig.Acme}, {l.volume.manyStreams, holdsMany, rig.Bolt}} {
		bare, err := l.dropBareStreams(ctx, round.streams)
		if err != nil {
			return err
		}
		got, err := l.dropStreams(ctx, round.streams, round.who, round.vendor, others)
		if err != nil {
			return err
		}
		l.tellStreams(fmt.Sprintf(".%d", round.streams), got, bare)
	}
	visitor, err := l.enters(ctx, returning)
	if err != nil {
		return err
	}
	all := make([]*web, l.volume.visitors)
	for i := range all {
		if all[i], err = visitor(ctx); err != nil {
			return err
		}
	}
	in, err := comeBack(ctx, all, l.volume.returns, l.order(ctx, crane))
	if err != nil {
		return err
	}
	l.print("gate.https.back", float64(in), "requests", float64(len(visits)), false)
	return nil
}

func (l *lab) tellStreams(suffix string, got, bare streamDrop) {
	const name = "gate.https"
	for _, f := range []struct {
		name, unit      string
		value, baseline float64
	}{
		{"byte", "ms", got.last, bare.last},
		{"p99", "ms", quantile(got.ends, 0.99), quantile(bare.ends, 0.99)},
		{"median", "ms", median(got.ends), median(bare.ends)},
		{"last", "ms", slices.Max(got.ends), slices.Max(bare.ends)},
		{"after", "bytes", float64(got.after), float64(bare.after)},
		{"left", "streams", float64(got.left), float64(bare.left)},
		{"lost", "streams", float64(got.lost), float64(bare.lost)},
		{"gap", "ms", got.during, got.before},
		{"gap.bare", "ms", bare.during, bare.before},
	} {
		l.print(name+"."+f.name+suffix, f.value, f.unit, f.baseline, false)
	}
}

// streamDrop is what was seen of one order: besides what dropped says (bytes
// here, not lines), ms from the command's start to the last byte, the other
// vendor's streams that were lost, and the longest ms between two of its
// messages in one stream, before and while the order was carried out.
type streamDrop struct {
	dropped
	last           float64
	lost           int
	before, during float64
}

// perBrowser is how many of them one browser holds: it has one connection of
// HTTP/2, and one for each stream that is of HTTP/1.1.
const perBrowser = 20

// streams are open over one route.
type streams struct {
	all      []*stream
	answered atomic.Int64
}

func (s *streams) leave() {
	for _, one := range s.all {
		one.leave()
	}
}

// holdStreams opens n streams of kinds in turn, perBrowser in each browser.
func holdStreams(ctx context.Context, n int, kinds []streamKind, enter func(context.Context) (*web, error)) (*streams, error) {
	s := &streams{all: make([]*stream, n)}
	var next atomic.Int64
	err := together((n+perBrowser-1)/perBrowser, func() error {
		from := int(next.Add(perBrowser)) - perBrowser
		w, err := enter(ctx)
		if err != nil {
			return err
		}
		kept := w.client()
		for i := from; i < min(from+perBrowser, n); i++ {
			if s.all[i], err = w.stream(ctx, kinds[i%len(kinds)], kept, &s.answered); err != nil {
				return err
			}
		}
		return nil
	})
	s.all = slices.DeleteFunc(s.all, func(one *stream) bool { return one == nil })
	if err != nil {
		s.leave()
		return nil, fmt.Errorf("after %d streams: %w", len(s.all), err)
	}
	return s, nil
}

// dropStreams opens the streams of an engineer and suspends the vendor.
func (l *lab) dropStreams(ctx context.Context, n int, who, vendor string, others *streams) (d streamDrop, err error) {
	enter, err := l.enters(ctx, who)
	if err != nil {
		return d, err
	}
	told, err := holdStreams(ctx, n, streamKinds, enter)
	if err != nil {
		return d, err
	}
	defer told.leave()
	err = d.drop(ctx, told, others, l.order(ctx, vendor))
	return d, err
}

// enters opens a session of the console for each browser.
func (l *lab) enters(ctx context.Context, who string) (func(context.Context) (*web, error), error) {
	roots, err := l.console.cert.Roots()
	if err != nil {
		return nil, err
	}
	grant, err := l.ConsoleGrant(ctx, who, consoleName, grantTime)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*web, error) {
		l.touching.Lock()
		defer l.touching.Unlock()
		b, err := l.Opened(ctx, who, grant.ID)
		if err != nil {
			return nil, err
		}
		defer b.CloseIdleConnections()
		host, cookie := b.Host()
		return newWeb("gateway", l.Web, host, cookie, roots, nil), nil
	}, nil
}

// dropBareStreams does the same at relays that end TLS on both sides.
func (l *lab) dropBareStreams(ctx context.Context, n int) (d streamDrop, err error) {
	roots, err := l.console.cert.Roots()
	if err != nil {
		return d, err
	}
	open := func(n int, kinds []streamKind) (*part, *streams, error) {
		p, err := startPart(ctx, tlsRelayCommand, l.console.addr(), l.console.cert.Cert, l.console.cert.Key)
		if err != nil {
			return nil, nil, err
		}
		s, err := holdStreams(ctx, n, kinds, func(context.Context) (*web, error) {
			return newWeb("relay", p.said[0], l.console.addr(), "", roots, nil), nil
		})
		if err != nil {
			p.stop()
		}
		return p, s, err
	}
	other, others, err := open(l.volume.otherStreams, streamKinds[:1])
	if err != nil {
		return d, err
	}
	defer func() { others.leave(); other.stop() }()
	relay, told, err := open(n, streamKinds)
	if err != nil {
		return d, err
	}
	defer func() { told.leave(); relay.stop() }()
	err = d.drop(ctx, told, others, exec.CommandContext(ctx, "kill", "-USR1", fmt.Sprint(relay.cmd.Process.Pid)))
	return d, err
}

// drop runs the command and waits for every stream's end.
func (d *streamDrop) drop(ctx context.Context, told, others *streams, cmd *exec.Cmd) error {
	if err := rest(ctx, gateQuiet); err != nil { // what was opened has settled
		return err
	}
	others.measure()
	if err := rest(ctx, clusterQuiet); err != nil {
		return err
	}
	d.before = others.measure()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	told.answered.Store(time.Now().UnixNano())
	if err != nil {
		return fmt.Errorf("%w: %.400s", err, out)
	}
	late, cancel := context.WithTimeout(ctx, gateWithin)
	defer cancel()
	for _, s := range told.all {
		if at, ok := s.end(late); ok {
			d.ends = append(d.ends, ms(at.Sub(began)))
		} else {
			d.left++
		}
	}
	if err := rest(ctx, gateQuiet); err != nil { // what comes after an end comes now
		return err
	}
	d.during = others.measure()
	for _, s := range others.all {
		if s.isOver() {
			d.lost++
		}
	}
	for _, s := range told.all {
		d.after += int(s.after.Load())
		d.last = max(d.last, ms(s.lastRead().Sub(began)))
	}
	if len(d.ends) == 0 {
		return fmt.Errorf("no stream ended within %s: %.400s", gateWithin, out)
	}
	return nil
}

// measure is the longest gap of any of them since the last call.
func (s *streams) measure() (longest float64) {
	now := time.Now()
	for _, one := range s.all {
		longest = max(longest, one.measure(now))
	}
	return longest
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
