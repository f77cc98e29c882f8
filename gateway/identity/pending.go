package identity

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// PendingTime is how long an SSH connection waits for its touch.
const PendingTime = 5 * time.Minute

// Bounds of connections that wait at one time.
const (
	maxPending     = 1024
	maxPendingEach = 8
)

// codeAlphabet has no two signs that look or sound alike on a terminal.
const codeAlphabet = "234679ACDEFGHJKMNPQRTWXY"

// Waiting is an SSH connection whose person is known and which waits for the
// touch that opens it.
type Waiting struct {
	Person      gateway.Person
	Grant       gateway.Grant
	Request     gateway.Request
	TransportID string // SSH session identifier, hexadecimal
	Source      string
	Client      string
}

// Touched is how the waiting ended: a signed session.open statement, or the
// reason why there is none.
type Touched struct {
	Signed statement.Signed
	Err    error
}

// Pending is one waiting connection. It ends once: touched, refused in the
// browser, out of time, or closed with its connection.
type Pending struct {
	ID   string // unguessable, for the link
	Code string // to compare terminal and page: "K7M-4Q2"

	ctx     context.Context // of the connection
	waiting Waiting
	done    chan Touched
	cancel  context.CancelCauseFunc
}

// Done gives the one answer.
func (p *Pending) Done() <-chan Touched { return p.done }

// Close ends the waiting; the page then finds nothing. It may be called
// more than once.
func (p *Pending) Close() {
	p.cancel(gateway.Refused("touch-gone", "connect again", "the connection that waited for the touch has gone"))
}

type pendings struct {
	mu   sync.Mutex
	open map[string]*Pending
}

func newPendings() *pendings { return &pendings{open: map[string]*Pending{}} }

// Await announces a connection that waits for a touch, until ctx is done or
// PendingTime is over. One from a network that is not the vendor's is refused.
func (s *Service) Await(ctx context.Context, w Waiting) (*Pending, error) {
	if err := s.ComesFrom(ctx, w.Person, w.Source); err != nil {
		return nil, err
	}
	p := &Pending{ID: s.homed(rand.Text()), ctx: ctx, waiting: w, done: make(chan Touched, 1)}
	if err := s.awaiting.add(p); err != nil {
		return nil, err
	}
	ctx, p.cancel = context.WithCancelCause(ctx)
	late := gateway.Refused("touch-late", "connect again and touch within that time", "nobody touched within %s", PendingTime)
	ctx, stop := context.WithTimeoutCause(ctx, PendingTime, late)
	context.AfterFunc(ctx, func() {
		stop()
		s.awaiting.end(p, Touched{Err: context.Cause(ctx)})
	})
	return p, nil
}

func (l *pendings) add(p *Pending) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	each, codes := 0, map[string]bool{}
	for _, o := range l.open {
		if o.waiting.Person.Name == p.waiting.Person.Name {
			each, codes[o.Code] = each+1, true
		}
	}
	if each >= maxPendingEach || len(l.open) >= maxPending {
		return &gateway.Error{Code: gateway.CodeTooMany, Rule: "waiting", Text: "too many connections wait for a touch", Next: "touch or close the ones that wait, then connect again"}
	}
	for p.Code = newCode(); codes[p.Code]; {
		p.Code = newCode()
	}
	l.open[p.ID] = p
	return nil
}

// newCode draws six signs; each has 24 values, so no byte is favoured if
// those of 240 and above are drawn again.
func newCode() string {
	code := make([]byte, 0, 7)
	for b := make([]byte, 1); len(code) < 7; {
		if len(code) == 3 {
			code = append(code, '-')
		}
		_, _ = rand.Read(b)
		if b[0] < 240 {
			code = append(code, codeAlphabet[int(b[0])%len(codeAlphabet)])
		}
	}
	return string(code)
}

// end gives the answer, once; false if there was one before.
func (l *pendings) end(p *Pending, t Touched) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[p.ID] != p {
		return false
	}
	delete(l.open, p.ID)
	p.done <- t
	return true
}

func (l *pendings) find(id, person string) (*Pending, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.open[id]
	// Another person's link is as unknown as one that never was.
	if p == nil || p.waiting.Person.Name != person {
		e := gateway.NotFound("waiting connection", id)
		e.Text, e.Next = "no connection of yours waits behind this link", "connect again and open the new link"
		return nil, e
	}
	return p, nil
}

// PendingOf finds a waiting connection for the page that its link opens.
func (s *Service) PendingOf(id, person string) (Waiting, string, error) {
	p, err := s.awaiting.find(id, person)
	if err != nil {
		return Waiting{}, "", err
	}
	return p.waiting, p.Code, nil
}

// Deliver hands the touch to the connection that it was made for and to no
// other: grant, transport and code must be its own.
func (s *Service) Deliver(id, person string, signed statement.Signed) error {
	p, err := s.awaiting.find(id, person)
	if err != nil {
		return err
	}
	_, body, err := signed.Parse()
	if err != nil {
		return touchRefused(err)
	}
	b, ok := body.(*statement.Open)
	if !ok || b.Person != person || b.Grant != p.waiting.Grant.ID || b.Binding != statement.BindSSH || b.Transport != p.waiting.TransportID || b.Code != p.Code {
		return gateway.Refused("touch", "open the link that the terminal shows", "the text that was signed is not about this connection")
	}
	if !s.awaiting.end(p, Touched{Signed: signed}) {
		return gateway.Conflict("touch", "the connection has gone or was answered a moment ago")
	}
	p.cancel(nil)
	return nil
}

// Refuse ends the waiting because its person said no in the browser. Somebody
// may have connected with his key, so the log tells it.
func (s *Service) Refuse(id, person string) error {
	p, err := s.awaiting.find(id, person)
	if err != nil {
		return err
	}
	no := gateway.Refused("touch-refused", "connect again if that was a mistake; if the connection was not yours call the operator's control room", "the touch was refused in the browser")
	if s.awaiting.end(p, Touched{Err: no}) {
		p.cancel(nil)
		e := refusal(audit.TouchRefused, p.waiting.Person, p.waiting.Source, no)
		e.Target, e.Account, e.Grant, e.Request = p.waiting.Grant.Target, p.waiting.Grant.Account, p.waiting.Grant.ID, p.waiting.Grant.Request
		s.record(p.ctx, e)
	}
	return nil
}
