package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Between two handshakes of one peer lies more than the 20 ms in which
// WireGuard answers but one.
const betweenHandshakes = 100 * time.Millisecond

// measureHandshakes times how long a client that has forgotten everything
// takes until the plant's first byte has come: handshake, TCP, 16 bytes there
// and back.
func measureHandshakes(ctx context.Context, l *lab) error {
	k, err := startPulses(l.network)
	if err != nil {
		return err
	}
	defer k.close()
	open, err := l.tunnels(ctx, "ana", flowsTarget)
	if err != nil {
		return err
	}
	first, err := open(ctx)
	if err != nil {
		return err
	}
	f, err := l.network.startForwarder(ctx, 1)
	if err != nil {
		return err
	}
	var took [2][]float64
	var peers [2]*peer
	for i, p := range []peering{first, f.peers[0]} {
		if peers[i], err = newPeer(p); err != nil {
			return err
		}
		defer peers[i].leave()
	}
	for range l.volume.handshakes {
		for i, p := range peers {
			t, err := k.firstByte(p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.endpoint, err)
			}
			took[i] = append(took[i], ms(t))
			if err := rest(ctx, betweenHandshakes); err != nil {
				return err
			}
		}
	}
	l.print("wg.setup", median(took[0]), "ms", median(took[1]), false)
	l.print("wg.setup.p99", quantile(took[0], 0.99), "ms", quantile(took[1], 0.99), false)
	return nil
}

func (k *pulses) firstByte(p *peer) (time.Duration, error) {
	if err := p.forget(); err != nil {
		return 0, err
	}
	return k.trip(p)
}

// trip is a connection to the plant, and 16 bytes there and back.
func (k *pulses) trip(p *peer) (time.Duration, error) {
	began := time.Now()
	c, err := p.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Write(k.beat(0)); err != nil {
		return 0, err
	}
	_, err = io.ReadFull(c, make([]byte, beatSize))
	return time.Since(began), err
}
