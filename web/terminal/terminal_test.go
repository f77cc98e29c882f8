package terminal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/terminal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// shell plays a shell: what is typed is kept, what show gets is shown.
type shell struct {
	id   string
	show io.Writer
	ctx  context.Context
	end  context.CancelCauseFunc
	why  chan error

	pumps sync.WaitGroup // what it still shows

	mu    sync.Mutex
	typed []byte
	size  [2]int
}

func (s *shell) Session() string          { return s.id }
func (s *shell) Context() context.Context { return s.ctx }
func (s *shell) Close()                   { s.over(&gateway.Ended{Reason: gateway.EndClientLeft}) }
func (s *shell) over(e *gateway.Ended) {
	select {
	case s.why <- e: // before the context ends, which has a word of its own
	default:
	}
	s.end(e)
}
func (s *shell) Wait() error {
	why := <-s.why
	s.pumps.Wait()
	return why
}
func (s *shell) Resize(c, r int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = [2]int{c, r}
	return nil
}
func (s *shell) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.typed = append(s.typed, p...)
	return len(p), nil
}
func (s *shell) has() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.typed)
}

// stand is a Desk behind a server, whose visitor stands in the query.
type stand struct {
	t      *testing.T
	url    string
	shells chan *shell
	mu     sync.Mutex
	refuse error // of the next opening
	login  error // what asking for the login says
}

func newStand(t *testing.T, back time.Duration) *stand {
	t.Helper()
	s := &stand{t: t, shells: make(chan *shell, 16)}
	n := 0
	d, err := terminal.New(t.Context(), terminal.Config{BackWithin: back, Beat: 20 * time.Millisecond, Open: func(ctx context.Context, _ terminal.Opening, show io.Writer) (terminal.Shell, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.refuse != nil {
			return nil, s.refuse
		}
		n++
		x := &shell{id: fmt.Sprintf("ses_%d", n), show: show, why: make(chan error, 1)}
		x.ctx, x.end = context.WithCancelCause(ctx)
		context.AfterFunc(x.ctx, func() { x.over(&gateway.Ended{Reason: gateway.EndStopping}) })
		s.shells <- x
		return x, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		v := terminal.Visit{Session: q.Get("session"), Origin: r.Host, Still: func(context.Context, bool) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.login
		}}
		_, _ = fmt.Sscan(q.Get("from"), &v.From)
		v.Person, v.Login, v.Grant = gateway.Person{Name: q.Get("person")}, q.Get("login"), gateway.Grant{ID: q.Get("grant")}
		v.Cols, v.Rows = 80, 24
		if err := d.Serve(w, r, v); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	s.url = srv.URL
	t.Cleanup(func() { cancel(); <-done; srv.Close() })
	return s
}

func (s *stand) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

// page is one socket.
type page struct {
	t     *testing.T
	ws    *websocket.Conn
	shown []byte
	at    int64
	said  map[string]any
	code  websocket.StatusCode
}

func (s *stand) page(query string) *page {
	s.t.Helper()
	q, _ := url.ParseQuery("person=ana&login=l1&grant=g1")
	more, _ := url.ParseQuery(query)
	for k, v := range more {
		q[k] = v
	}
	ws, res, err := websocket.Dial(s.t.Context(), s.url+"?"+q.Encode(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.Body != nil {
		res.Body.Close()
	}
	s.t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(1 << 20)
	return &page{t: s.t, ws: ws, said: map[string]any{}}
}

// until reads until the page has what it waits for, or its socket is closed.
func (p *page) until(what func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for !what() {
		kind, raw, err := p.ws.Read(ctx)
		if err != nil {
			p.code = websocket.CloseStatus(err)
			if !what() && ctx.Err() != nil {
				p.t.Fatalf("not within %s: said %v, shown %d bytes", patience, p.said, len(p.shown))
			}
			return
		}
		if kind == websocket.MessageBinary {
			p.shown, p.at = append(p.shown, raw...), p.at+int64(len(raw))
			continue
		}
		_ = json.Unmarshal(raw, &p.said)
		if h, ok := p.said["hello"].(map[string]any); ok && strings.Contains(string(raw), "hello") {
			p.at = int64(h["from"].(float64))
		}
	}
}

func (p *page) shows(text string) {
	p.until(func() bool { return strings.Contains(string(p.shown), text) })
}
func (p *page) closed() { p.until(func() bool { return p.code != 0 }) }
func (p *page) say(text string) {
	p.t.Helper()
	if err := p.ws.Write(p.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}
func (p *page) typed(text string) {
	p.t.Helper()
	if err := p.ws.Write(p.t.Context(), websocket.MessageBinary, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// A socket that was lost comes back to the same shell and gets what it has
// not got; another login, person or grant does not.
func TestComesBack(t *testing.T) {
	s := newStand(t, 0)
	a := s.page("")
	x := <-s.shells
	_, _ = io.WriteString(x.show, "one ")
	a.shows("one")
	a.typed("ls\r")
	a.say(`{"size":[100,30]}`)
	a.until(func() bool { return a.said["took"] != nil })
	_ = a.ws.CloseNow()
	_, _ = io.WriteString(x.show, "two ")
	for _, other := range []string{"login=l2", "person=bob", "grant=g2", "session=ses_9"} {
		q := "session=" + x.id + "&" + other
		if strings.HasPrefix(other, "session") {
			q = other
		}
		b := s.page(q)
		b.closed()
		if b.code != 4001 || !strings.Contains(fmt.Sprint(b.said["refused"]), "this terminal is over") {
			t.Errorf("%s: closed with %d, %v", other, b.code, b.said)
		}
	}
	b := s.page(fmt.Sprintf("session=%s&from=%d", x.id, a.at))
	b.shows("two ")
	if string(b.shown) != "two " {
		t.Errorf("shown %q", b.shown)
	}
	if h := b.said["hello"].(map[string]any); h["got"] != 3.0 || x.has() != "ls\r" {
		t.Errorf("hello %v, typed %q", h, x.has())
	}
	fresh := s.page("session=" + x.id) // a page that was reloaded has nothing
	fresh.shows("one two ")
	b.closed()
	if b.code != 4002 {
		t.Errorf("the page before was closed with %d", b.code)
	}
	fresh.say(`{"end":true}`)
	fresh.closed()
	if fresh.code != 4000 || fresh.said["ended"] != "you have ended the session" {
		t.Errorf("closed with %d, %v", fresh.code, fresh.said)
	}
}

// Whoever stays away for too long finds the shell hung up.
func TestStaysAway(t *testing.T) {
	s := newStand(t, 50*time.Millisecond)
	a := s.page("")
	x := <-s.shells
	a.until(func() bool { return a.said["hello"] != nil })
	_ = a.ws.CloseNow()
	select {
	case <-x.ctx.Done():
	case <-time.After(patience):
		t.Fatal("the shell goes on without anybody")
	}
}

// A shell that shows more than its page takes waits, and loses nothing; its
// end is not held up by such a page.
func TestShellWaitsForPage(t *testing.T) {
	s := newStand(t, 0)
	a := s.page("")
	x := <-s.shells
	const all = terminal.Ahead * 4
	wrote := make(chan struct{})
	go func() { defer close(wrote); _, _ = io.WriteString(x.show, strings.Repeat("x", all)) }()
	a.until(func() bool { return len(a.shown) == terminal.Ahead })
	select {
	case <-wrote:
		t.Error("more was taken than was acknowledged")
	case <-time.After(50 * time.Millisecond):
	}
	for len(a.shown) < all {
		a.say(fmt.Sprintf(`{"ack":%d}`, a.at))
		n := len(a.shown)
		a.until(func() bool { return len(a.shown) > n })
	}
	<-wrote
	x.pumps.Go(func() { _, _ = io.WriteString(x.show, strings.Repeat("y", all)) })
	a.until(func() bool { return strings.HasSuffix(string(a.shown), "y") })
	x.over(&gateway.Ended{Reason: gateway.EndByStaff, By: "ben", Detail: "drill"})
	a.closed()
	if a.code != 4000 || !strings.Contains(fmt.Sprint(a.said["ended"]), "drill (by ben)") {
		t.Errorf("closed with %d, %v", a.code, a.said["ended"])
	}
}

// A terminal ends with the login that opened it.
func TestEndsWithLogin(t *testing.T) {
	s := newStand(t, 0)
	a := s.page("")
	x := <-s.shells
	a.until(func() bool { return a.said["beat"] != nil })
	s.set(func() { s.login = gateway.Refused("login", "sign in again", "this login has ended") })
	a.closed()
	if a.code != 4000 || !strings.Contains(fmt.Sprint(a.said["ended"]), "this login has ended") || x.ctx.Err() == nil {
		t.Errorf("closed with %d, %v", a.code, a.said)
	}
}

// What a page may not do to a terminal.
func TestBounds(t *testing.T) {
	s := newStand(t, 0)
	s.set(func() { s.refuse = gateway.Refused("ticket", "touch", "no touch waits") })
	a := s.page("")
	a.closed()
	if a.code != 4001 || !strings.Contains(fmt.Sprint(a.said["refused"]), "no touch waits") {
		t.Errorf("refused: %d, %v", a.code, a.said)
	}
	s.set(func() { s.refuse = nil })
	for range terminal.MaxOfPerson {
		p := s.page("person=bob")
		p.until(func() bool { return p.said["hello"] != nil })
	}
	p := s.page("person=bob")
	p.closed()
	if p.code != 4001 || !strings.Contains(fmt.Sprint(p.said["refused"]), "as many terminals") {
		t.Errorf("one more: %d, %v", p.code, p.said)
	}
	for name, bad := range map[string]string{"no JSON": "{", "too long": strings.Repeat("x", terminal.MaxMessage+1)} {
		q := s.page("")
		q.until(func() bool { return q.said["hello"] != nil })
		q.say(bad)
		q.closed()
		if q.code == 4000 {
			t.Errorf("%s ended the shell", name)
		}
	}
	q := s.page("")
	q.until(func() bool { return q.said["hello"] != nil })
	for range len(s.shells) - 1 {
		<-s.shells
	}
	x := <-s.shells
	for _, size := range []string{"[0,0]", "[-1,24]", "[1000000,24]", "[120,40]"} {
		q.say(`{"size":` + size + `}`)
	}
	q.say(`{"ack":99999999999}`)
	q.typed("x")
	q.until(func() bool { return q.said["took"] != nil })
	if x.size != [2]int{120, 40} {
		t.Errorf("size %v", x.size)
	}
}

// The gateway's stop is said to the page.
func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d, err := terminal.New(ctx, terminal.Config{Open: func(context.Context, terminal.Opening, io.Writer) (terminal.Shell, error) {
		return nil, errors.New("not reached")
	}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := d.Run(ctx); err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	err = d.Serve(rec, httptest.NewRequest(http.MethodGet, "/", nil), terminal.Visit{})
	if err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("%v", err)
	}
}
