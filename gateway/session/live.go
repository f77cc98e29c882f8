package session

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
)

// Live is one session that is open. Its context is cancelled with a
// *gateway.Ended as the cause; from then on nothing passes.
//
// Ownership: fields of the first group never change after newLive. The session's
// own goroutine (run), which begins with its end, alone seals, writes the end and closes done. mu guards
// what is attached; the counters are atomic.
type Live struct {
	m       *Manager
	row     gateway.Session // as written at the opening; State and end are in Session()
	ent     Entitlement
	rec     Recorder
	ctx     context.Context
	cancel  context.CancelCauseFunc
	opened  time.Time // with its monotonic reading
	notices chan string
	input   gate          // every byte and request from the engineer passes it
	turn    chan struct{} // held by the one who freezes or thaws
	weak    []string      // algorithms agreed on with the target; set before Up
	volume  *volume       // of the grant; nil: it bounds none
	spent   way           // of it, by this session; guarded by it
	vigil   vigil         // has its own mutex, under which mu is taken

	admitted      atomic.Bool  // both looks at the epochs have held; nothing attaches before
	stopping      atomic.Bool  // stop has begun: bytes shown from now on count as after
	up            atomic.Bool  // the target let us in
	bytesIn       atomic.Int64 // recorded from the engineer
	bytesOut      atomic.Int64 // shown to the engineer
	bytesAfter    atomic.Int64 // of those, after stop began
	active        atomic.Int64 // since opened, in ns: when something was last typed or shown
	writing       atomic.Int64 // Unix ns since when a journal write has been under way; 0 none
	refusals      atomic.Int32
	alarms, roams atomic.Int32
	channels      atomic.Uint32
	hushed        atomic.Pointer[chan struct{}] // closed when it is over; nil: it is not
	sweep         atomic.Pointer[sweep]         // the first that took it; nil: none
	swept         sockets                       // of that sweep until it is over, then of run
	socketsClosed chan struct{}                 // closed by run when every closer has returned
	done          chan struct{}                 // closed by run when sealed and written

	mu       sync.Mutex
	stopped  bool // nothing attaches any more
	open     sockets
	closedAt time.Time
	endedRow *gateway.Session
	frozen   time.Time // zero: not
	frozenBy string
	// Of a supervised session: since when nobody watches it (zero: somebody
	// does, or it is not supervised), and how many do.
	unwatched time.Time
	attending int
	ordered   bool                        // held by an order of suspension: no thaw lifts it
	cutAt     time.Time                   // zero, or when an order ends it, or the certificate that proved the person
	cutCause  *gateway.Ended              // of cutAt
	running   map[gateway.ChannelKind]int // open channels
	marks     []string                    // of the held secrets that the session was given
	watchers  []string                    // who watches now, in the order of their coming; one who watches twice is in it twice
}

func (m *Manager) newLive(o Opening, e Entitlement) *Live {
	now := m.now()
	l := &Live{
		m: m, ent: e, opened: time.Now(), notices: make(chan string, 4), turn: make(chan struct{}, 1),
		socketsClosed: make(chan struct{}), done: make(chan struct{}),
		row: gateway.Session{
			ID: gateway.NewID("ses", now), Grant: e.Grant.ID, Request: e.Grant.Request, Person: e.Person.Name, Vendor: e.Person.Vendor,
			Target: e.Target.Name, Zone: e.Target.Zone, Account: e.Account.Name, Protocol: o.Protocol, Node: m.node, Source: o.Source, Client: o.Client,
			Touch: o.Touch.Digest, Epochs: e.Grant.Epochs, State: gateway.SessionStarting, Started: gateway.Instant(now), Until: gateway.Instant(e.To),
		},
	}
	if !o.Until.IsZero() {
		l.cutAt, l.cutCause = o.Until, credentialEnded()
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.supervise()
	return l
}

func (l *Live) meta() recording.Meta {
	r := l.row
	return recording.Meta{
		Session: r.ID, Grant: r.Grant, Request: r.Request, Person: r.Person, Vendor: r.Vendor, Target: r.Target, Account: r.Account,
		Protocol: string(r.Protocol), Node: r.Node, Source: r.Source, Client: r.Client, Started: r.Started, Until: r.Until, Rule: l.ent.Recording,
	}
}

// ID is the session's identifier, which is also the key id of its certificate.
func (l *Live) ID() string { return l.row.ID }

// Context ends with the session; context.Cause of it is a *gateway.Ended.
func (l *Live) Context() context.Context { return l.ctx }

// Entitlement is what the chain lets this session do.
func (l *Live) Entitlement() Entitlement { return l.ent }

// Target is what the session reaches, as the chain defines it.
func (l *Live) Target() gateway.Target { return l.ent.Target }

// Account is the identity used at the target.
func (l *Live) Account() gateway.Account { return l.ent.Account }

// Abilities is what each channel is judged by.
func (l *Live) Abilities() gateway.Abilities { return l.ent.Abilities }

// Notices carries what is to be shown to the engineer: warnings 5 minutes and
// 1 minute before the window's end and 1 minute before an idle end, and that
// the session is frozen or thawed. The last sentence comes by the farewell.
func (l *Live) Notices() <-chan string { return l.notices }

// Done is closed when the recording is sealed and the end is written.
func (l *Live) Done() <-chan struct{} { return l.done }

// Credential mints what proves the account to the target, once the session is
// registered and both looks at the epochs have held.
func (l *Live) Credential(ctx context.Context) (Credential, error) {
	if err := l.alive(); err != nil {
		return Credential{}, err
	}
	c, err := l.m.access.Credential(ctx, l.ent, l.row.ID)
	if err == nil {
		l.given(c.Mark)
	}
	return c, err
}

// maxMarks bounds the secrets that one session is said to have been given; a
// proxy that asks again after a rotation is given another.
const maxMarks = 16

// given keeps the mark of a secret for the end's event.
func (l *Live) given(mark string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mark != "" && len(l.marks) < maxMarks && !slices.Contains(l.marks, mark) {
		l.marks = append(l.marks, mark)
	}
}

// Weak keeps what was agreed on with the target that is weak, by its SSH names.
// It is called before Up, which writes it down, from the same goroutine.
func (l *Live) Weak(algorithms []string) { l.weak = algorithms }

// Up says that the target has let us in. The event is durable when it returns.
func (l *Live) Up(ctx context.Context) error {
	if err := l.alive(); err != nil {
		return err
	}
	row := l.row
	row.State = gateway.SessionLive
	err := l.m.store.Update(ctx, func(tx Tx) error {
		if err := l.epochsHold(tx); err != nil {
			return err
		}
		if err := tx.PutSession(row); err != nil {
			return err
		}
		e := l.event(audit.SessionLive)
		if len(l.weak) > 0 {
			e.Detail = map[string]string{"weak_algorithms": strings.Join(l.weak, ", ")}
		}
		return tx.Append(e)
	})
	if err != nil {
		return err
	}
	l.touched()
	l.up.Store(true)
	l.m.publish(l.Session())
	return l.alive()
}

// Attach hands over something that reaches the target. Stop closes it first, or
// shuts it if it is a Shutter and one of many;
// after stop has begun it is refused, and the caller closes it himself.
func (l *Live) Attach(c io.Closer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return context.Cause(l.ctx)
	}
	l.open.targets = append(l.open.targets, c)
	return nil
}

// AttachClient hands over the engineer's connection. Stop runs farewell, for
// at most FarewellTime, then closes c. Of hundreds that end at once, a c that is
// a Parter is ended by Part first, and its farewell finds nothing left to say.
func (l *Live) AttachClient(c io.Closer, farewell func(*gateway.Ended)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return context.Cause(l.ctx)
	}
	l.open.clients = append(l.open.clients, c)
	if farewell != nil {
		l.open.farewells = append(l.open.farewells, farewell)
	}
	return nil
}

// Session is the session as it is now.
func (l *Live) Session() gateway.Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.endedRow != nil {
		return *l.endedRow
	}
	s := l.row
	s.BytesIn, s.BytesOut = l.bytesIn.Load(), l.bytesOut.Load()
	s.Frozen, s.FrozenBy, s.Running, s.Unwatched = l.frozen, l.frozenBy, l.kinds(), l.unwatched
	if !l.cutAt.IsZero() && l.cutAt.Before(s.Until) {
		s.Until = l.cutAt
	}
	switch {
	case l.stopping.Load():
		s.State = gateway.SessionEnding
	case l.up.Load():
		s.State = gateway.SessionLive
	}
	return s
}

// runs counts a channel that begins (1) or has ended (-1).
func (l *Live) runs(kind gateway.ChannelKind, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == nil {
		l.running = map[gateway.ChannelKind]int{}
	}
	l.running[kind] += n
}

// kinds are what runs now; the caller holds mu.
func (l *Live) kinds() []gateway.ChannelKind {
	var now []gateway.ChannelKind
	for _, k := range gateway.ChannelKinds() {
		if l.running[k] > 0 {
			now = append(now, k)
		}
	}
	return now
}

func (l *Live) alive() error {
	if l.halted() || l.ctx.Err() != nil {
		if err := context.Cause(l.ctx); err != nil {
			return err
		}
		return &gateway.Ended{Reason: gateway.EndFault}
	}
	return nil
}

func (l *Live) event(name audit.Name) audit.Event {
	r := l.row
	return audit.Event{
		Name: name, At: gateway.Instant(l.m.now()), Actor: r.Person, Vendor: r.Vendor, Person: r.Person, Target: r.Target, Account: r.Account,
		Request: r.Request, Grant: r.Grant, Session: r.ID, Source: r.Source, Statement: r.Touch, Protocol: r.Protocol,
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func joinAbilities(a gateway.Abilities) string { return strings.Join(a.List(), ", ") }
