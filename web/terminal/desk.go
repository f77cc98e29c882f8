package terminal

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds and times.
const (
	BackWithin   = 60 * time.Second // for a socket that was lost to come back
	Kept         = 256 << 10        // bytes shown that a page can get again
	Ahead        = 128 << 10        // bytes shown that no page has acknowledged
	TypedAhead   = 256 << 10        // bytes typed that the shell has not taken
	MaxMessage   = 32 << 10         // bytes of one message of the page
	MaxOfPerson  = 8                // terminals of one person at once
	MaxTerminals = 256              // of everybody
	Beat         = 10 * time.Second // between two asks for a sign of life, of the page and of the login
	Silence      = 25 * time.Second // after which a socket is lost
	SendTime     = 10 * time.Second // for one message to leave
	LastWords    = 2 * time.Second  // for a page to take what is shown when a session ends
	chunk        = 16 << 10         // bytes of one message to the page
	messageRate  = rate.Limit(400)  // messages a second of one page
	messageBurst = 400
	typeRate     = rate.Limit(1 << 20) // bytes a second
	maxCols      = 500
	maxRows      = 300
)

// Shell is one shell, as the proxy opens it.
type Shell interface {
	io.Writer // what is typed
	Session() string
	// Context is the session's: cancelled with a *gateway.Ended.
	Context() context.Context
	Resize(cols, rows int) error
	// Close hangs up, and returns when the session has ended.
	Close()
	// Wait returns when the last byte was shown, with why.
	Wait() error
}

// Opening is what a shell is opened for.
type Opening struct {
	Person     gateway.Person
	Login      string // identifier
	Grant      gateway.Grant
	Source     string // address:port
	Cols, Rows int
}

// Config is what a Desk needs.
type Config struct {
	// Open opens a shell by the ticket of that login's touch; its errors are
	// *gateway.Error. ctx is the Desk's. What is shown goes to show, from more
	// than one goroutine.
	Open       func(ctx context.Context, o Opening, show io.Writer) (Shell, error)
	BackWithin time.Duration // 0: BackWithin
	Beat       time.Duration // 0: Beat
	Logger     *slog.Logger
}

// Desk is every browser terminal of this gateway.
type Desk struct {
	cfg  Config
	work sync.WaitGroup

	ctx  context.Context // the shells'
	stop context.CancelCauseFunc
	hard context.Context // the sockets', which outlive them by LastWords
	cut  context.CancelFunc

	mu     sync.Mutex
	closed bool
	terms  map[string]*term // by session
	held   map[string]int   // by person, with those that are being opened
	all    int
}

// New returns a Desk, on which nothing opens after its Run has ended.
func New(ctx context.Context, cfg Config) (*Desk, error) {
	if cfg.Open == nil {
		return nil, errors.New("terminal: no Open")
	}
	if cfg.BackWithin <= 0 {
		cfg.BackWithin = BackWithin
	}
	if cfg.Beat <= 0 {
		cfg.Beat = Beat
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Desk{cfg: cfg, terms: map[string]*term{}, held: map[string]int{}}
	d.ctx, d.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	d.hard, d.cut = context.WithCancel(context.WithoutCancel(ctx))
	return d, nil
}

// Run waits for ctx, then ends every terminal and waits for it. Their pages
// are told why.
func (d *Desk) Run(ctx context.Context) error {
	<-ctx.Done()
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop(&gateway.Ended{Reason: gateway.EndStopping})
	late := time.AfterFunc(LastWords, d.cut)
	defer late.Stop()
	d.work.Wait()
	d.cut()
	return nil
}

// enter counts a socket in, for Run to wait for.
func (d *Desk) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return gateway.Refused("stopping", "come back when it is up again", "the gateway is stopping")
	}
	d.work.Add(1)
	return nil
}

// open opens a terminal for a person who has room for one more.
func (d *Desk) open(o Opening) (*term, error) {
	if err := d.reserve(o.Person.Name); err != nil {
		return nil, err
	}
	t := &term{d: d, of: o, screen: newScreen(), typed: newTyped(), attach: make(chan *link), ended: make(chan struct{}), over: make(chan struct{})}
	shell, err := d.cfg.Open(d.ctx, o, t.screen)
	if err != nil {
		d.release(o.Person.Name)
		return nil, err
	}
	t.shell = shell
	d.mu.Lock()
	d.terms[shell.Session()] = t
	d.work.Add(1)
	d.mu.Unlock()
	go func() { // owned by Run
		defer d.work.Done()
		defer d.forget(t)
		t.run()
	}()
	return t, nil
}

func (d *Desk) reserve(person string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.held[person] >= MaxOfPerson:
		return &gateway.Error{Code: gateway.CodeTooMany, Rule: "terminals", Text: "you have as many terminals open in browsers as one person may", Next: "end one of them"}
	case d.all >= MaxTerminals:
		return &gateway.Error{Code: gateway.CodeTooMany, Rule: "terminals", Text: "too many terminals are open in browsers", Next: "use ssh, or try again in a minute"}
	}
	d.held[person]++
	d.all++
	return nil
}

func (d *Desk) release(person string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held[person]--; d.held[person] <= 0 {
		delete(d.held, person)
	}
	d.all--
}

func (d *Desk) forget(t *term) {
	d.release(t.of.Person.Name)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.terms, t.shell.Session())
}

// find finds a terminal for a socket that came back. Whoever may not have it
// hears what he would hear if it were not there.
func (d *Desk) find(session string, o Opening) (*term, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.terms[session]
	if t == nil || t.of.Person.Name != o.Person.Name || t.of.Login != o.Login || t.of.Grant.ID != o.Grant.ID {
		return nil, d.gone()
	}
	return t, nil
}

func (d *Desk) gone() error {
	return gateway.Refused("terminal", "open a new one", "this terminal is over: it was ended, or its page was away for more than %s", d.cfg.BackWithin)
}
