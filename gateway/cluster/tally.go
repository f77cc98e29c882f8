package cluster

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Tally counts over all nodes what is done under a name. It is a hint like the
// bus: what it counts is not kept, and may be wrong.
type Tally interface {
	// Add counts one more under name in the window of that length which runs
	// now, and returns how many there are in it. An error: nobody knows.
	Add(ctx context.Context, name string, window time.Duration) (int, error)
}

// MaxTallied bounds the names that one node counts in one window.
const MaxTallied = 4096

// ErrTallied is the answer where more names were counted than may be.
var ErrTallied = errors.New("cluster: as many names are counted as may be")

// LocalTally counts for the nodes of one process.
type LocalTally struct {
	now func() time.Time

	mu     sync.Mutex
	counts map[tallied]int
}

type tallied struct {
	name   string
	window time.Duration
	number int64
}

// NewLocalTally makes a tally.
func NewLocalTally(now func() time.Time) *LocalTally {
	if now == nil {
		now = time.Now
	}
	return &LocalTally{now: now, counts: map[tallied]int{}}
}

// Add implements Tally.
func (t *LocalTally) Add(_ context.Context, name string, window time.Duration) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := tallied{name, window, Window(t.now(), window)}
	if t.counts[at] == 0 && len(t.counts) >= MaxTallied {
		t.forget()
		if len(t.counts) >= MaxTallied {
			return 0, ErrTallied
		}
	}
	t.counts[at]++
	return t.counts[at], nil
}

// forget drops the windows that are over.
func (t *LocalTally) forget() {
	for at := range t.counts {
		if at.number != Window(t.now(), at.window) {
			delete(t.counts, at)
		}
	}
}

// Window numbers the windows of one length since 1970. Nodes whose clocks are
// apart count some things in different windows, and let more.
func Window(now time.Time, length time.Duration) int64 {
	return now.UnixNano() / int64(length)
}
