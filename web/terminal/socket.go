package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/portcullis/portcullis/gateway"
)

// Why a socket leaves its terminal.
var (
	errElsewhere = errors.New("the terminal goes on in another tab")
	errSlow      = errors.New("more was typed ahead than the shell can take; try again with less")
)

// Close codes of the socket, of the range for private use (RFC 6455 clause
// 7.4.2). At all others the page comes back.
const (
	codeEnded     websocket.StatusCode = 4000 // the shell is over
	codeRefused   websocket.StatusCode = 4001
	codeElsewhere websocket.StatusCode = 4002
)

// Visit is one socket of somebody who is signed in.
type Visit struct {
	Opening
	Session string // the terminal to come back to; empty: a new one
	From    int64  // bytes of it that the page has
	Origin  string // host of the pages, the only origin that may connect
	// Still asks whether the login holds. active: the person has typed since
	// it was asked last.
	Still func(ctx context.Context, active bool) error
}

// Serve carries one socket, and returns when it is closed. Refusals are said
// on the socket: a page cannot read why there is none.
func (d *Desk) Serve(w http.ResponseWriter, r *http.Request, v Visit) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.work.Done()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{v.Origin}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil // Accept has answered
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(MaxMessage)
	ctx, leave := context.WithCancelCause(d.hard)
	defer leave(nil)
	s := &socket{d: d, v: v, ws: ws, ctx: ctx, leave: leave}
	if err := s.carry(); err != nil {
		d.cfg.Logger.Info("browser terminal: socket left", "person", v.Person.Name, "source", v.Source, "error", err)
	}
	return nil
}

// socket is one WebSocket at a terminal. Its writer alone writes.
type socket struct {
	d      *Desk
	v      Visit
	ws     *websocket.Conn
	t      *term
	ctx    context.Context
	leave  context.CancelCauseFunc
	at     int64       // bytes that the page was sent
	active atomic.Bool // something was typed since the last beat
	told   bool
}

func (s *socket) carry() error {
	t, err := s.terminal()
	if err != nil {
		return s.refuse(err)
	}
	s.t = t
	l := &link{out: s.leave, gone: make(chan struct{})}
	if err := t.take(l); err != nil {
		return s.refuse(err)
	}
	done := make(chan struct{})
	reading, stop := context.WithCancel(s.d.hard) // not s.ctx: a read that is cut short cuts the goodbye
	go func() {                                   // waited for below
		defer close(done)
		s.leave(s.read(reading))
	}()
	err = s.write()
	if cause := context.Cause(s.ctx); cause != nil && err != nil {
		err = cause
	}
	s.goodbye(err)
	stop()
	<-done
	l.told = s.told
	close(l.gone)
	return err
}

// terminal is the one to show: a new one, or one that is come back to.
func (s *socket) terminal() (*term, error) {
	if s.v.Session == "" {
		return s.d.open(s.v.Opening)
	}
	t, err := s.d.find(s.v.Session, s.v.Opening)
	if err == nil && s.v.Cols > 0 {
		s.resize(t, s.v.Cols, s.v.Rows)
	}
	return t, err
}

func (s *socket) refuse(err error) error {
	_ = s.send(toPage{Refused: gateway.AsError(err).Sentence()})
	_ = s.ws.Close(codeRefused, "refused")
	return err
}

func (s *socket) goodbye(err error) {
	switch {
	case s.told:
		_ = s.ws.Close(codeEnded, "the shell is over")
	case errors.Is(err, errElsewhere):
		_ = s.ws.Close(codeElsewhere, "elsewhere")
	default:
		_ = s.ws.CloseNow()
	}
}

// toPage is a message to the page; one field is set.
type toPage struct {
	Hello   *hello `json:"hello,omitempty"`
	Took    *int64 `json:"took,omitempty"`
	Beat    bool   `json:"beat,omitempty"`
	Ended   string `json:"ended,omitempty"`
	Refused string `json:"refused,omitempty"`
}

// hello begins a socket: where what follows begins, and what has come of what
// the page typed.
type hello struct {
	Session string `json:"session"`
	From    int64  `json:"from"`
	Got     int64  `json:"got"`
	Took    int64  `json:"took"`
	Back    int64  `json:"back"` // seconds that a lost page has to come back
}

// fromPage is a message of the page.
type fromPage struct {
	Ack  *int64  `json:"ack"`
	Size *[2]int `json:"size"`
	End  bool    `json:"end"`
}

func (s *socket) send(m toPage) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.put(websocket.MessageText, raw)
}

// put writes a message. What has the socket leave does not cut it in half.
func (s *socket) put(kind websocket.MessageType, p []byte) error {
	ctx, cancel := context.WithTimeout(s.d.hard, SendTime)
	defer cancel()
	return s.ws.Write(ctx, kind, p)
}

// write sends what the terminal shows until the socket or the shell is over.
func (s *socket) write() error {
	_, begin, _ := s.t.screen.from(s.v.From, 0)
	got, took, _ := s.t.typed.counts()
	s.at = begin
	if err := s.send(toPage{Hello: &hello{Session: s.t.shell.Session(), From: begin, Got: got, Took: took, Back: int64(s.d.cfg.BackWithin / time.Second)}}); err != nil {
		return err
	}
	beat := time.NewTicker(s.d.cfg.Beat)
	defer beat.Stop()
	for {
		ended := isClosed(s.t.ended) // before the look at the screen: then all of it is there
		p, begin, more := s.t.screen.from(s.at, chunk)
		_, now, typed := s.t.typed.counts()
		switch {
		case now != took:
			took = now
			if err := s.send(toPage{Took: &took}); err != nil {
				return err
			}
		case len(p) > 0:
			if err := s.show(p, begin); err != nil {
				return err
			}
		case ended:
			s.told = s.send(toPage{Ended: s.t.ending()}) == nil
			return nil
		default:
			if err := s.idle(more, typed, beat.C); err != nil {
				return err
			}
			continue
		}
		if err := s.pulse(beat.C); err != nil {
			return err
		}
	}
}

// show sends a piece. One that does not follow on the last one (the page was
// too far behind) is said to begin elsewhere.
func (s *socket) show(p []byte, begin int64) error {
	if begin != s.at {
		got, took, _ := s.t.typed.counts()
		if err := s.send(toPage{Hello: &hello{Session: s.t.shell.Session(), From: begin, Got: got, Took: took}}); err != nil {
			return err
		}
	}
	s.at = begin + int64(len(p))
	return s.put(websocket.MessageBinary, p)
}

// idle waits for something to do.
func (s *socket) idle(more, typed <-chan struct{}, beat <-chan time.Time) error {
	select {
	case <-more:
	case <-typed:
	case <-s.t.ended:
	case <-beat:
		return s.beat()
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	return nil
}

// pulse is a beat, if it is time for one.
func (s *socket) pulse(beat <-chan time.Time) error {
	select {
	case <-beat:
		return s.beat()
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	default:
		return nil
	}
}

// beat asks the page for a sign of life, and whether the login still holds: a
// terminal ends with it.
func (s *socket) beat() error {
	if err := s.v.Still(s.ctx, s.active.Swap(false)); err != nil {
		if s.ctx.Err() == nil {
			s.t.hangUp(gateway.AsError(err).Sentence())
		}
		return nil
	}
	return s.send(toPage{Beat: true})
}

// read takes the page's messages until the socket is over.
func (s *socket) read(ctx context.Context) error {
	limit := rate.NewLimiter(messageRate, messageBurst)
	for {
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		heard, cancel := context.WithTimeout(ctx, Silence)
		kind, p, err := s.ws.Read(heard)
		cancel()
		if err != nil {
			return err
		}
		if kind == websocket.MessageBinary {
			s.active.Store(true)
			if !s.t.typed.put(p) {
				return errSlow
			}
			continue
		}
		if err := s.control(p); err != nil {
			return err
		}
	}
}

// control does what a text message says. One that cannot be read ends the
// socket: it is not from our page.
func (s *socket) control(p []byte) error {
	var m fromPage
	if err := json.Unmarshal(p, &m); err != nil {
		return gateway.Invalid("message", "the message cannot be read")
	}
	switch {
	case m.Ack != nil:
		s.t.screen.ack(*m.Ack)
	case m.Size != nil:
		s.resize(s.t, m.Size[0], m.Size[1])
	case m.End:
		s.t.hangUp("you have ended the session")
	}
	return nil
}

// resize passes a size on that a terminal can have.
func (s *socket) resize(t *term, cols, rows int) {
	if Fits(cols, rows) {
		_ = t.shell.Resize(cols, rows) // the shell may just have ended
	}
}

// Fits says whether a terminal may be of that size.
func Fits(cols, rows int) bool { return cols >= 2 && cols <= maxCols && rows >= 1 && rows <= maxRows }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
