package access

import (
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// stepped is by how much the wall clock may part from the monotonic one
// before it is called a step.
const stepped = 2 * time.Second

// clock tells the time twice. now is the wall clock: what has not begun by it
// has not begun. late never runs slower than the monotonic clock since the
// first reading, so that a wall clock set back extends nothing.
type clock struct {
	wall func() time.Time
	mono func() time.Duration

	mu       sync.Mutex // guards the fields below
	lateWall time.Time
	lateMono time.Duration
	seenWall time.Time
	seenMono time.Duration
}

func newClock(wall func() time.Time) *clock {
	start := time.Now()
	return &clock{wall: wall, mono: func() time.Duration { return time.Since(start) }}
}

func (c *clock) now() time.Time { return gateway.Instant(c.wall()) }

func (c *clock) late() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, mono := gateway.Instant(c.wall()), c.mono()
	if !c.lateWall.IsZero() {
		if least := c.lateWall.Add(mono - c.lateMono); least.After(now) {
			now = gateway.Instant(least)
		}
	}
	c.lateWall, c.lateMono = now, mono
	return now
}

// step returns by how much the wall clock was set since the last call, zero
// for less than stepped.
func (c *clock) step() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, mono := gateway.Instant(c.wall()), c.mono()
	by := now.Sub(c.seenWall) - (mono - c.seenMono)
	first := c.seenWall.IsZero()
	c.seenWall, c.seenMono = now, mono
	if first || by.Abs() <= stepped {
		return 0
	}
	return by
}
