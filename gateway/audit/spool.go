package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds and times of a spool.
const (
	MaxSpool    = 32 << 20        // bytes of what waits for the store
	StoreAfter  = 2 * time.Second // a store that has not written by then is away
	ReplayEvery = time.Second     // how often the store is tried
	ReplayWait  = 10 * time.Second
	replayBatch = 64 // things that share a transaction
)

// ErrSpoolFull is the answer when the store is away and the spool holds as
// much as it may of that weight.
var ErrSpoolFull = errors.New("audit: the spool is full")

// Weight says how much of the spool something may fill, so that what must be
// told has room when everything else has none.
type Weight int

// The weights, and the share of MaxSpool that is theirs.
const (
	Told  Weight = iota // a no, which stands without its event: a quarter
	Act                 // is not done without its event: half
	Final               // the end of a session, or of the gateway: all
)

func (w Weight) room() int64 {
	switch w {
	case Final:
		return MaxSpool
	case Act:
		return MaxSpool / 2
	}
	return MaxSpool / 4
}

// Happened is what one thing leaves to be written, all or none of it: its
// events, each with its time, and the row of the session that it changed.
type Happened struct {
	Events  []Event
	Session *gateway.Session // nil: none
	Weight  Weight
	Spooled string // spool and number, where it waited in one; the events' Detail names it too
}

// Put writes it into a transaction.
func (h Happened) Put(tx interface {
	Tx
	PutSession(gateway.Session) error
}) error {
	if h.Session != nil {
		if err := tx.PutSession(*h.Session); err != nil {
			return err
		}
	}
	for _, e := range h.Events {
		if err := tx.Append(e); err != nil {
			return err
		}
	}
	return nil
}

// spooledDetail is where an event names the spool that it waited in.
const spooledDetail = "spooled"

// Same reports whether both are one event, written by two ways: straight, by a
// store that did not say so in time, and through the spool.
func (e Event) Same(o Event) bool {
	return e.unspooled() == o.unspooled()
}

// unspooled is the event in our own words, without the spool's name.
func (e Event) unspooled() string {
	e, err := e.tidy()
	if err != nil {
		return err.Error()
	}
	delete(e.Detail, spooledDetail) // tidy's copy
	raw, err := json.Marshal(recordOf(e))
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// SpoolConfig is what a Spool needs. All but Now and Logger must be set.
type SpoolConfig struct {
	Dir  string             // of the spool alone; made where it is missing
	Node string             // whose spool it is
	Key  ed25519.PrivateKey // signs each line, so that an edited one is noticed
	// Write writes all of it to the store in one transaction, and nothing that
	// the log holds already where Spooled is set. gateway.CodeUnavailable means
	// that the store is away.
	Write  func(ctx context.Context, all ...Happened) error
	Now    func() time.Time
	Logger *slog.Logger
}

// Spool keeps, on the node's own disk, what happened while the store was away,
// and writes it to the store in its order when the store is back. As long as
// anything waits, everything waits behind it.
type Spool struct {
	c     SpoolConfig
	turn  sync.Mutex     // one replay at a time
	wrote sync.WaitGroup // writes that were not waited for

	mu      sync.Mutex // guards what follows
	file    *spoolFile // nil: nothing waits
	waiting []Happened
	fault   error // of the file, where its later lines are not ours
	refused bool  // the store would not have something of it
	closed  bool
}

// OpenSpool takes up what a spool left. It changes nothing on the disk but
// making the folder, so that a second process may look.
func OpenSpool(c SpoolConfig) (*Spool, error) {
	if c.Dir == "" || len(c.Key) != ed25519.PrivateKeySize || c.Write == nil {
		return nil, errors.New("audit: a spool needs a folder, a key and a store")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool: %w", err)
	}
	s := &Spool{c: c}
	var err error
	s.file, s.waiting, err = readSpool(filepath.Join(c.Dir, spoolName), c.Node, c.Key.Public().(ed25519.PublicKey))
	var edited *editedError
	if errors.As(err, &edited) {
		s.fault, err = edited, nil
	}
	return s, err
}

// Waiting is how many things wait for the store.
func (s *Spool) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// Keep makes h durable: in the store, or in the spool while the store is away
// or anything waits. ErrSpoolFull stands behind the answer of a full one.
func (s *Spool) Keep(ctx context.Context, h Happened) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i := range h.Events {
		if h.Events[i].At.IsZero() {
			h.Events[i].At = gateway.Instant(s.c.Now())
		}
	}
	if s.idle() {
		err := s.straight(ctx, h)
		if !gateway.IsCode(err, gateway.CodeUnavailable) {
			return err
		}
	}
	return s.add(h)
}

func (s *Spool) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file == nil
}

// straight writes to the store and waits for StoreAfter. What is written later
// all the same is found in the log by the replay.
func (s *Spool) straight(ctx context.Context, h Happened) error {
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), StoreAfter)
	done := make(chan error, 1)
	s.wrote.Go(func() {
		defer cancel()
		done <- s.c.Write(write, h)
	})
	select {
	case err := <-done:
		return away(err)
	case <-write.Done(): // or the answer is there: it comes before the cancelling
		select {
		case err := <-done:
			return away(err)
		default:
			return gateway.Unavailable("store", context.DeadlineExceeded)
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// away says of a store that did not answer in time that it is away.
func away(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return gateway.Unavailable("store", err)
	}
	return err
}

// add is durable when it returns nil.
func (s *Spool) add(h Happened) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return gateway.Unavailable("spool", errors.New("it is closed"))
	case s.fault != nil: // what was edited is kept as it is found
		return gateway.Unavailable("spool", s.fault)
	}
	if s.file == nil {
		s.file = newSpoolFile(filepath.Join(s.c.Dir, spoolName), s.c.Node, s.c.Now())
		s.c.Logger.Error("the store does not answer; what happens is kept on this node's disk until it does")
	}
	h, err := s.file.append(s.c.Key, h)
	if errors.Is(err, ErrSpoolFull) {
		return &gateway.Error{
			Code: gateway.CodeUnavailable, Rule: "spool", Text: "the store does not answer, and this gateway's disk keeps no more of what happens meanwhile",
			Next: "try again in a moment or call the operator's control room", Cause: err,
		}
	}
	if err != nil {
		return gateway.Unavailable("spool", err)
	}
	s.waiting = append(s.waiting, h)
	return nil
}

// Run replays when the store is back, until ctx is done.
func (s *Spool) Run(ctx context.Context) error {
	tick := time.NewTicker(ReplayEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s.idle() {
			continue
		}
		if err := s.Replay(ctx); err != nil && !gateway.IsCode(err, gateway.CodeUnavailable) && ctx.Err() == nil {
			s.c.Logger.Error("spool not replayed", "error", err)
		}
	}
}

// Close waits for writes that are under way. What waits stays on the disk.
func (s *Spool) Close() error {
	s.mu.Lock()
	s.closed = true
	file := s.file
	s.mu.Unlock()
	s.wrote.Wait()
	if file == nil {
		return nil
	}
	return file.close()
}
