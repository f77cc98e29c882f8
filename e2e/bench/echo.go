package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

const (
	shellWithin = 30 * time.Second
	// keyGap is between two keys: a process that had nothing to do meanwhile
	// has to wake up, as it has for a person who types.
	keyGap = 2 * time.Millisecond
)

// open opens a raw terminal that echoes by cat on the far side.
func (r route) open(ctx context.Context) (*rig.Terminal, error) {
	if err := r.touch(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	t, err := rig.OpenTerminal(80, 24, "ssh", append(r.args("-tt", "-e", "none"), "stty raw -echo; echo up; exec cat")...)
	if err != nil {
		return nil, err
	}
	if _, err := t.Expect(ctx, shellWithin, "up"); err != nil {
		t.Close()
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	return t, nil
}

// measureEcho types one key at a time and times its return.
func measureEcho(ctx context.Context, l *lab) error {
	routes := l.routes(ssh.CipherAES128GCM)
	terminals := make([]*rig.Terminal, len(routes))
	for i, r := range routes {
		t, err := r.open(ctx)
		if err != nil {
			return err
		}
		defer t.Close()
		terminals[i] = t
	}
	all := make([][]float64, len(routes))
	gap := time.NewTicker(keyGap)
	defer gap.Stop()
	for n := range l.volume.keys {
		key := string(rune('a' + n%26))
		for i, t := range terminals {
			<-gap.C
			began := time.Now()
			if err := t.Type(key); err != nil {
				return err
			}
			if _, err := t.Expect(ctx, shellWithin, key); err != nil {
				return fmt.Errorf("%s: %w", routes[i].name, err)
			}
			if n >= l.volume.keys/10 { // the first ones warm up
				all[i] = append(all[i], ms(time.Since(began)))
			}
		}
	}
	for _, q := range []struct {
		name string
		at   float64
	}{{"ssh.echo", 0.5}, {"ssh.echo.p99", 0.99}} {
		var v []float64
		for i := range routes {
			v = append(v, quantile(all[i], q.at))
		}
		l.figures(q.name, v, "ms", false)
	}
	return nil
}
