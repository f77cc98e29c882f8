package session

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// Bounds and times of the room.
const (
	MaxSessions   = 4096                   // live on one node
	SecondTick    = time.Second            // how often the wall clock is looked at
	FarewellTime  = 250 * time.Millisecond // for the last sentence to reach a client that reads
	EndWait       = 5 * time.Second        // how long EndAll waits for sockets
	StoreWait     = 10 * time.Second       // for one transaction at the end of a session
	StoreRetry    = time.Second            // between two tries to write a session's end
	RecorderStall = 5 * time.Second        // a write to the journal that takes longer has failed
	DefaultLease  = 10 * time.Second       // how long a node serves without its store
	ClockSlack    = 2 * time.Second        // a wall clock that moves further than this against the monotonic one was stepped
	DefaultIdle   = 30 * time.Minute       // without input or output, where policy sets no other
	IdleWarning   = time.Minute            // before an idle end
	FreezeWait    = time.Second            // for writes that had begun before a freeze
	MaxWatchers   = 16                     // of one session at once
	MaxSealing    = 4                      // recordings sealed at once: what is still to be closed goes first
	maxRefusals   = 32                     // events about refused channels, a session
	maxFollowers  = 256                    // subscribers
	followerRoom  = 64                     // changes that wait for one subscriber
)

// Keeper makes what happened durable: *audit.Spool does, in the store, or on
// this node's own disk while the store is away.
type Keeper interface {
	Keep(ctx context.Context, h audit.Happened) error
}

// Config is what the room needs. Store, Access and Recorder must be set.
type Config struct {
	Store    Store
	Keeper   Keeper // of what happens in sessions that are live; nil: the store alone
	Access   Access
	Recorder Recorders
	Node     string
	Lease    time.Duration // told to pages; the kill switch acts on it
	Leased   bool          // vendors' sessions open from the first ServeUntil on, not before
	Now      func() time.Time
	Logger   *slog.Logger
}

// Manager is the registry of this node's live sessions.
type Manager struct {
	store   Store
	keeper  Keeper
	access  Access
	rec     Recorders
	node    string
	lease   time.Duration
	leased  bool
	tenure  atomic.Pointer[tenure] // nil: ServeUntil was not called yet
	skew    atomic.Pointer[skew]   // nil: the store's clock was not asked
	now     func() time.Time
	log     *slog.Logger
	sealing chan struct{}   // holds a token for each recording that is being sealed
	stopped context.Context // cancelled when Run has ended: stop retrying writes
	halt    context.CancelFunc

	leaving atomic.Pointer[time.Time] // set under mu by Drain: when what is left ends
	forgot  chan struct{}             // cap 1: a session was forgotten

	mu     sync.Mutex // guards what follows; never held while a session's mu is taken
	closed bool       // Run is ending: nothing new registers
	live   map[string]*Live
	wg     sync.WaitGroup // one for each session until it is sealed and written

	puts       sync.Mutex    // guards the next two
	puttingOff int           // who calls for a PutOff
	released   chan struct{} // closed when nobody does any more; nil: nobody does

	volumes volumes // of grants that bound them

	bars bars // what this node keeps out while its store is away

	fmu       sync.Mutex // guards followers
	followers map[chan gateway.Session]struct{}
}

// New wires the room. It starts nothing.
func New(c Config) (*Manager, error) {
	if c.Store == nil || c.Access == nil || c.Recorder == nil {
		return nil, errors.New("session: store, access and recorder must be set")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Lease <= 0 {
		c.Lease = DefaultLease
	}
	if c.Keeper == nil {
		c.Keeper = storeAlone{c.Store}
	}
	m := &Manager{
		store: c.Store, keeper: c.Keeper, access: c.Access, rec: c.Recorder, node: c.Node, lease: c.Lease, leased: c.Leased, now: c.Now, log: c.Logger,
		sealing: make(chan struct{}, MaxSealing), live: map[string]*Live{}, forgot: make(chan struct{}, 1), volumes: volumes{of: map[string]*volume{}}, followers: map[chan gateway.Session]struct{}{},
	}
	m.stopped, m.halt = context.WithCancel(context.Background())
	return m, nil
}

// Run watches the wall clock until ctx is done; then it ends what is live as
// the gateway stopping, waits for every session to be sealed and written, and
// returns nil. Nothing opens after that.
func (m *Manager) Run(ctx context.Context) error {
	tick := time.NewTicker(SecondTick)
	defer tick.Stop()
	wall, mono := m.wall(), time.Now()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			w, t := m.wall(), time.Now()
			if step := w.Sub(wall) - t.Sub(mono); step.Abs() > ClockSlack {
				m.clockStepped(ctx, step)
			}
			wall, mono = w, t
		}
	}
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndStopping})
	m.halt()
	m.wg.Wait()
	return nil
}

// clockStepped does what the end of the lease does: windows and leases were
// judged by a clock that was wrong, before the step or after it. The next
// reading of the store lets vendors in again.
func (m *Manager) clockStepped(ctx context.Context, step time.Duration) {
	by := step.Round(time.Millisecond).String()
	m.log.Warn("wall clock was stepped; vendors' sessions end", "by", by)
	m.ServeUntil(time.Now(), m.now())
	ended := m.EndAll(func(s gateway.Session) bool { return s.Vendor != "" }, &gateway.Ended{Reason: gateway.EndStore, Detail: "the clock of this node was set by " + by})
	m.record(ctx, audit.Event{Name: audit.ClockStep, Actor: "gateway", Detail: map[string]string{
		"step": by, "node": m.node, "ended": strconv.Itoa(len(ended)), "done": "vendors' sessions were ended, and none opens before the store was read once more",
	}})
}

// Lease is how long this node serves without its store.
func (m *Manager) Lease() time.Duration { return m.lease }

// Live lists the sessions that were admitted and whose sockets are not closed
// yet, oldest first, with their byte counts so far. One whose second look at
// the epochs is still to come reaches nothing and is not among them: a
// suspension that committed before that look refuses it there.
func (m *Manager) Live() []gateway.Session {
	var rows []gateway.Session
	for _, l := range m.all() {
		if l.admitted.Load() && !l.isClosed() {
			rows = append(rows, l.Session())
		}
	}
	slices.SortFunc(rows, func(a, b gateway.Session) int { return strings.Compare(a.ID, b.ID) })
	return rows
}

// Get finds a live session of this node.
func (m *Manager) Get(id string) (*Live, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.live[id]
	return l, ok
}

// End ends one session of this node for a person of the staff and returns
// when its sockets are closed.
func (m *Manager) End(ctx context.Context, id, by, detail string) error {
	l, ok := m.Get(id)
	if !ok {
		return gateway.NotFound("session", id)
	}
	l.End(gateway.EndByStaff, by, detail)
	select {
	case <-l.socketsClosed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// EndGrant ends every session under a grant that was closed.
func (m *Manager) EndGrant(grantID string, why gateway.EndReason, by string) {
	for _, l := range m.all() {
		if l.row.Grant == grantID {
			l.End(why, by, "")
		}
	}
}

// EndAll ends the sessions that match, all at once, and returns what was
// measured: for each whether both sockets are closed, how long after this call
// began, and how many bytes of the target were shown after it. It waits at
// most EndWait, and for no seal. match is asked by what does not change in a
// session: who, where, under which epochs.
func (m *Manager) EndAll(match func(gateway.Session) bool, cause *gateway.Ended) []gateway.ClosedSession {
	begun := time.Now()
	defer m.PutOff()()
	s := &sweep{over: make(chan struct{}), told: m.release()}
	hit, own := m.mark(s, match, cause)
	s.run(m, own)
	wait := time.NewTimer(EndWait)
	defer wait.Stop()
	late := false
	out := make([]gateway.ClosedSession, 0, len(hit))
	for _, l := range hit {
		if !late {
			select {
			case <-l.socketsClosed:
			case <-wait.C:
				late = true
			}
		}
		out = append(out, l.measure(begun))
	}
	return out
}

func (m *Manager) all() []*Live {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*Live, 0, len(m.live))
	for _, l := range m.live {
		list = append(list, l)
	}
	return list
}

func (m *Manager) register(l *Live) error {
	if err := m.enter(l); err != nil {
		return err
	}
	l.vigil.begin(l, func() {
		defer m.wg.Done()
		l.run()
	})
	return nil
}

func (m *Manager) enter(l *Live) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	until := m.leaving.Load()
	switch {
	case m.closed:
		return &gateway.Ended{Reason: gateway.EndStopping}
	case until != nil:
		return isLeaving(*until)
	case len(m.live) >= MaxSessions:
		return &gateway.Error{Code: gateway.CodeTooMany, Rule: "max-sessions", Text: "this gateway carries as many sessions as it may", Next: "try again when somebody has left"}
	}
	m.live[l.row.ID] = l
	m.wg.Add(1)
	return nil
}

func (m *Manager) forget(l *Live) {
	m.mu.Lock()
	delete(m.live, l.row.ID)
	m.mu.Unlock()
	select {
	case m.forgot <- struct{}{}:
	default: // the last one was not seen yet
	}
}

// record writes an event that goes with no other change. Where neither store
// nor spool takes it, it is logged: what the event announces is a no, which
// stands without it.
func (m *Manager) record(ctx context.Context, e audit.Event) {
	e.At = gateway.Instant(m.now())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), StoreWait)
	defer cancel()
	if err := m.keeper.Keep(ctx, audit.Happened{Events: []audit.Event{e}, Weight: audit.Told}); err != nil {
		m.log.Error("event not written", "event", string(e.Name), "reason", e.Reason, "error", err)
	}
}

// act makes the event of an act in a live session durable, before the act. The
// answer of a spool that is full ends what is of vendors: nothing that they do
// may go untold.
func (m *Manager) act(ctx context.Context, e audit.Event) error {
	err := m.keeper.Keep(ctx, audit.Happened{Events: []audit.Event{e}, Weight: audit.Act})
	if errors.Is(err, audit.ErrSpoolFull) {
		m.wg.Go(func() { // the caller's session is among them, and still counted
			m.EndAll(func(s gateway.Session) bool { return s.Vendor != "" }, &gateway.Ended{Reason: gateway.EndStore})
		})
	}
	return err
}

// storeAlone is the Keeper of a node without a spool.
type storeAlone struct{ store Store }

// Keep implements Keeper.
func (s storeAlone) Keep(ctx context.Context, h audit.Happened) error {
	return s.store.Update(ctx, func(tx Tx) error { return h.Put(tx) })
}
