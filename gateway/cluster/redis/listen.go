package redis

import (
	"context"
	"errors"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

var errHung = errors.New("redis: the server says nothing at all")

// listen keeps a subscription up until the bus is closed.
func (b *Bus) listen() {
	pause := backoffLeast
	for b.ctx.Err() == nil {
		began := time.Now()
		err := b.subscribe()
		b.setJoined(false)
		if b.ctx.Err() != nil {
			return
		}
		b.complain("listen", "the bus is lost; orders are read from the store until it is back", err)
		if time.Since(began) > 2*backoffMost {
			pause = backoffLeast
		}
		select {
		case <-b.ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, backoffMost)
	}
}

// subscribe listens on one connection until it fails. The library could
// reconnect by itself, but does not notice a server that hangs.
func (b *Bus) subscribe() error {
	channels := []string{b.ordersChannel(), b.answersChannel(b.boot)}
	sub := b.client.Subscribe(b.ctx, channels...)
	defer context.AfterFunc(b.ctx, func() { _ = sub.Close() })()
	defer func() { _ = sub.Close() }() // closed already if the bus is
	asked := false
	for {
		m, err := sub.ReceiveTimeout(b.ctx, HealthEvery)
		var timeout net.Error
		switch {
		case err == nil:
		case errors.As(err, &timeout) && timeout.Timeout() && !asked:
			asked = true
			if err := sub.Ping(b.ctx); err != nil {
				return err
			}
			continue
		case asked && b.ctx.Err() == nil:
			return errors.Join(errHung, err)
		default:
			return err
		}
		asked = false
		switch m := m.(type) {
		case *goredis.Subscription:
			if m.Count == len(channels) {
				b.setJoined(true)
			}
		case *goredis.Message:
			b.hear(m)
		}
	}
}

func (b *Bus) hear(m *goredis.Message) {
	if m.Channel == b.ordersChannel() {
		b.hearOrder(m.Payload)
	} else {
		b.hearAnswer(m.Payload)
	}
}

// setJoined notes whether the subscription stands, and wakes whoever must
// now read what was missed.
func (b *Bus) setJoined(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := false
	select {
	case <-b.joined:
		was = true
	default:
	}
	switch {
	case yes && !was:
		close(b.joined)
	case !yes && was:
		b.joined = make(chan struct{})
	}
	if !yes {
		return
	}
	select {
	case b.wake <- struct{}{}:
	default: // a wake that was not taken yet tells the same
	}
}
