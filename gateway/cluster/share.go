package cluster

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	tallyWait  = 100 * time.Millisecond // what one call may lose to a tally that hangs
	tallyPause = 5 * time.Second        // how long a tally that did not answer is left alone
)

// ShareConfig is what a Share needs. Now and Logger may be missing.
type ShareConfig struct {
	Tally  Tally
	Most   int           // how often one name may, within Window, over all nodes
	Window time.Duration // how long a count goes on
	Nodes  int           // how many nodes share Most
	Now    func() time.Time
	Logger *slog.Logger
}

// Share holds names to a limit over all nodes, beside the limit that each node
// holds them to by itself. It can only take away, and not everything: whatever
// the tally says, a name has its node's part of the limit, Most/Nodes and at
// least one, in each window. So whoever has the tally can slow somebody down
// to that, and lock nobody out; and a tally that is away, wiped or slow
// leaves each node its own limit.
type Share struct {
	c ShareConfig

	mu     sync.Mutex // guards what follows
	number int64      // of the window
	own    map[string]int
	rest   time.Time // until then the tally is left alone
}

// NewShare makes a share.
func NewShare(c ShareConfig) *Share {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Share{c: c, own: map[string]int{}}
}

// Allow counts one more of name and reports whether it may.
func (s *Share) Allow(ctx context.Context, name string) bool {
	own, ask := s.count(name)
	if !ask {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, tallyWait)
	defer cancel()
	// What is let in any case is counted too: the other nodes go by it.
	all, err := s.c.Tally.Add(ctx, name, s.c.Window)
	if err != nil {
		s.leave(err)
		return true
	}
	return all <= s.c.Most || own <= max(1, s.c.Most/s.c.Nodes)
}

// count counts one more of name at this node; false where the tally is not to
// be asked, because it rests or because there are too many names.
func (s *Share) count(name string) (own int, ask bool) {
	now := s.c.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := Window(now, s.c.Window); n != s.number {
		s.number = n
		clear(s.own)
	}
	if s.own[name] == 0 && len(s.own) >= MaxTallied {
		return 0, false
	}
	s.own[name]++
	return s.own[name], !now.Before(s.rest)
}

func (s *Share) leave(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = s.c.Now().Add(tallyPause)
	s.c.Logger.Warn("what is done at other nodes is not counted; each node holds to its own limits", "pause", tallyPause, "error", err)
}
