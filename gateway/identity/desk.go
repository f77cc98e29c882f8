package identity

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of terminals that wait. Nobody has proven anything for them yet, so
// that each address has a small share.
const (
	TerminalTime     = 5 * time.Minute
	maxTerminals     = 1024
	maxTerminalsEach = 8
)

// Terminal is a machine that waits for what a touch brings it, as the page
// shows it to whoever opens its link.
type Terminal struct {
	Fingerprint string // of the SSH key; of a tunnel the key of its peer
	Code        string // to compare terminal and page
	Source      string // address:port
	Client      string // what the machine calls itself; nobody has proven it
	Expires     time.Time
}

// TerminalBegun is what the machine itself is told. Ticket fetches the answer;
// who knows the link alone cannot.
type TerminalBegun struct {
	Link, Ticket, Code string
	Expires            time.Time
}

// waiter is one terminal: what it brought, and the answer A once there is one.
type waiter[A any] struct {
	Terminal
	key  string
	done chan struct{} // closed when said and err are set
	said A
	err  error
	once sync.Once
}

func (t *waiter[A]) answer(said A, err error) {
	t.once.Do(func() { t.said, t.err = said, err; close(t.done) })
}

// desk holds the terminals that wait for one kind of answer. They are in memory
// alone; they begin again after a restart.
type desk[A any] struct {
	now     func() time.Time
	command string // that begins anew
	double  func() error

	mu       sync.Mutex
	byLink   map[string]*waiter[A]
	byTicket map[string]*waiter[A]
}

func newDesk[A any](now func() time.Time, command string, double func() error) *desk[A] {
	return &desk[A]{now: now, command: command, double: double, byLink: map[string]*waiter[A]{}, byTicket: map[string]*waiter[A]{}}
}

// add puts up a terminal that calls from an address.
func (l *desk[A]) add(fingerprint, key, client, source string) (TerminalBegun, error) {
	if err := gateway.CheckText("client", client, gateway.MaxTitle, false); err != nil {
		return TerminalBegun{}, err
	}
	if _, err := address(source); err != nil {
		return TerminalBegun{}, gateway.Invalid("source", "the address that asks is not known")
	}
	t := &waiter[A]{
		Terminal: Terminal{Fingerprint: fingerprint, Code: newCode(), Source: source, Client: client, Expires: gateway.Instant(l.now().Add(TerminalTime))},
		key:      key, done: make(chan struct{}),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep()
	each, from := 0, addressOf(source)
	for _, o := range l.byTicket {
		if o.Fingerprint == fingerprint {
			return TerminalBegun{}, l.double()
		}
		if addressOf(o.Source) == from {
			each++
		}
	}
	if each >= maxTerminalsEach || len(l.byTicket) >= maxTerminals {
		return TerminalBegun{}, &gateway.Error{Code: gateway.CodeTooMany, Rule: "waiting", Text: "too many terminals wait for a touch", Next: "wait a few minutes and begin again"}
	}
	b := TerminalBegun{Link: rand.Text(), Ticket: rand.Text(), Code: t.Code, Expires: t.Expires}
	l.byLink[b.Link], l.byTicket[b.Ticket] = t, t
	return b, nil
}

func (l *desk[A]) sweep() {
	now := l.now()
	for _, m := range []map[string]*waiter[A]{l.byLink, l.byTicket} {
		for id, t := range m {
			if !now.Before(t.Expires) {
				delete(m, id)
			}
		}
	}
}

func (l *desk[A]) find(link string) (*waiter[A], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.byLink[link]; t != nil && l.now().Before(t.Expires) {
		return t, nil
	}
	e := gateway.NotFound("terminal", "")
	e.Text, e.Next = "no terminal waits behind this link", "run `"+l.command+"` again and open the new link"
	return nil, e
}

// take finds the terminal that something was drawn up for, once.
func (l *desk[A]) take(fingerprint, key, source string) (*waiter[A], bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for link, t := range l.byLink {
		if t.Fingerprint == fingerprint && t.key == key && t.Source == source && l.now().Before(t.Expires) {
			delete(l.byLink, link)
			return t, true
		}
	}
	return nil, false
}

// refuse sends the terminal behind a link away.
func (l *desk[A]) refuse(link, text string) error {
	t, err := l.find(link)
	if err != nil {
		return err
	}
	l.mu.Lock()
	delete(l.byLink, link)
	l.mu.Unlock()
	var none A
	t.answer(none, gateway.Refused("touch-refused", "begin again if that was a mistake", "%s", text))
	return nil
}

// await waits for the answer to a terminal until done is closed; false means
// that there is none yet and it may be asked again.
func (l *desk[A]) await(done <-chan struct{}, ticket string) (said A, answered bool, err error) {
	l.mu.Lock()
	t := l.byTicket[ticket]
	l.mu.Unlock()
	if t == nil || !l.now().Before(t.Expires) {
		return said, false, gateway.Refused("touch-late", "begin again and touch within that time", "nobody touched within %s", TerminalTime)
	}
	select {
	case <-t.done:
		return t.said, true, t.err
	case <-done:
		return said, false, nil
	}
}
