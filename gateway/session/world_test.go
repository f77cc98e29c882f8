package session_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
)

// memStore is the store of one test: a transaction at a time, all or nothing.
type memStore struct {
	mu       sync.Mutex
	rows     map[string]gateway.Session
	put      map[gateway.Digest]bool
	used     map[gateway.Digest]bool
	peers    map[string]bool
	events   []audit.Event
	epochs   gateway.Epochs
	inactive bool
	down     error
	before   func() // runs at the beginning of each Update, outside the lock
}

func newMemStore() *memStore {
	return &memStore{rows: map[string]gateway.Session{}, put: map[gateway.Digest]bool{}, used: map[gateway.Digest]bool{}, peers: map[string]bool{}, epochs: gateway.Epochs{Vendor: 1, Person: 1}}
}

func (s *memStore) Session(_ context.Context, id string) (gateway.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.rows[id]
	if !ok {
		return r, gateway.ErrNotFound
	}
	return r, nil
}

func (s *memStore) Passed(_ context.Context, grant string) (in, out int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		if r.Grant == grant && r.State == gateway.SessionEnded {
			in, out = in+r.BytesIn, out+r.BytesOut
		}
	}
	return in, out, s.down
}

func (s *memStore) Sessions(_ context.Context, f session.Filter) ([]gateway.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []gateway.Session
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(s.rows))) {
		r := s.rows[id]
		if (f.Before == "" || id < f.Before) && (!f.Live || r.State != gateway.SessionEnded) {
			out = append(out, r)
		}
	}
	return out[:min(len(out), 3)], nil
}

type memTx struct {
	s      *memStore
	rows   map[string]gateway.Session
	put    []gateway.Digest
	used   []gateway.Digest
	peers  []string
	events []audit.Event
}

func (s *memStore) Update(ctx context.Context, f func(session.Tx) error) error {
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &memTx{s: s, rows: map[string]gateway.Session{}}
	if err := f(tx); err != nil {
		return err
	}
	maps.Copy(s.rows, tx.rows)
	for _, d := range tx.put {
		s.put[d] = true
	}
	for _, d := range tx.used {
		s.used[d] = true
	}
	for _, k := range tx.peers {
		s.peers[k] = true
	}
	s.events = append(s.events, tx.events...)
	return nil
}

func (t *memTx) Append(e audit.Event) error { t.events = append(t.events, e); return nil }
func (t *memTx) PutStatement(s statement.Signed) error {
	if t.s.put[s.Digest] {
		return gateway.ErrUsed
	}
	t.put = append(t.put, s.Digest)
	return nil
}
func (t *memTx) UseTouch(d gateway.Digest) error {
	if t.s.used[d] {
		return gateway.ErrUsed
	}
	t.used = append(t.used, d)
	return nil
}
func (t *memTx) UsePeer(key string, _ gateway.Digest) error {
	if t.s.peers[key] {
		return gateway.ErrUsed
	}
	t.peers = append(t.peers, key)
	return nil
}
func (t *memTx) PutSession(r gateway.Session) error                   { t.rows[r.ID] = r; return nil }
func (t *memTx) Wide(gateway.Reach) (gateway.WideEpochs, bool, error) { return nil, true, nil }

func (t *memTx) Epochs(string, string) (gateway.Epochs, bool, bool, error) {
	return t.s.epochs, !t.s.inactive, true, nil
}

func (s *memStore) suspend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inactive = true
	s.epochs.Vendor++
}

func (s *memStore) setDown(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

func (s *memStore) names() []audit.Name {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n []audit.Name
	for _, e := range s.events {
		n = append(n, e.Name)
	}
	return n
}

func (s *memStore) last(t *testing.T, name audit.Name) audit.Event {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range slices.Backward(s.events) {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no event %s", name)
	return audit.Event{}
}

// memRecorder is a recorder that can fail.
type memRecorder struct {
	mu     sync.Mutex
	start  error
	fail   error
	out    bytes.Buffer
	in     bytes.Buffer
	seals  []gateway.EndReason
	notes  []string
	failed context.Context
	breaks context.CancelCauseFunc
	order  *[]string

	sealing chan struct{} // nil, or closed when seals may finish
}

func (r *memRecorder) Start(context.Context, recording.Meta) (session.Recorder, error) {
	if r.start != nil {
		return nil, r.start
	}
	return r, nil
}
func (r *memRecorder) File(gateway.File) error { return nil }
func (r *memRecorder) Exchange(_ gateway.HTTPRecord, body []byte) error {
	return r.write(&r.out, body)
}
func (r *memRecorder) Exchanges(pieces ...gateway.HTTPPiece) error {
	for _, p := range pieces {
		if err := r.Exchange(p.Record, p.Body); err != nil {
			return err
		}
	}
	return nil
}
func (r *memRecorder) NetworkFlow(f gateway.NetworkFlow) error {
	return r.write(&r.out, []byte(f.Name))
}
func (r *memRecorder) Packets(batch []gateway.Packet) error {
	for _, p := range batch {
		if err := r.write(&r.in, p.Data); err != nil {
			return err
		}
	}
	return nil
}
func (r *memRecorder) Channel(_ uint32, ch gateway.Channel) (session.Track, error) {
	if ch.Pty != nil && ch.Pty.Term == unrecordable {
		return nil, gateway.Invalid("command", "it has too many bytes to be recorded")
	}
	return r, nil
}

// unrecordable is the terminal of a channel that the recorder does not take.
const unrecordable = "unrecordable"

func newMemRecorder() *memRecorder {
	r := &memRecorder{}
	r.failed, r.breaks = context.WithCancelCause(context.Background())
	return r
}

func (r *memRecorder) Failed() context.Context { return r.failed }
func (r *memRecorder) Seal(why gateway.EndReason) (recording.Sealed, error) {
	if r.sealing != nil {
		<-r.sealing
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seals = append(r.seals, why)
	return recording.Sealed{Digest: gateway.DigestOf(r.out.Bytes()), BytesOut: int64(r.out.Len())}, nil
}
func (r *memRecorder) write(b *bytes.Buffer, p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	if r.order != nil {
		*r.order = append(*r.order, "recorded")
	}
	_, err := b.Write(p)
	return err
}
func (r *memRecorder) Output(_ recording.Stream, p []byte) error { return r.write(&r.out, p) }
func (r *memRecorder) Input(p []byte) error                      { return r.write(&r.in, p) }
func (r *memRecorder) Resize(uint32, uint32) error               { return nil }
func (r *memRecorder) Exit(*uint32, string) error                { return nil }
func (r *memRecorder) Note(s string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, s)
	return nil
}

// fakeAccess entitles to whatever the world says.
type fakeAccess struct {
	ent  session.Entitlement
	err  error
	mark string // of what Credential gives
}

func (a *fakeAccess) Entitle(context.Context, string, statement.Signed) (session.Entitlement, error) {
	return a.ent, a.err
}
func (a *fakeAccess) Credential(context.Context, session.Entitlement, string) (session.Credential, error) {
	return session.Credential{Mark: a.mark}, nil
}

type world struct {
	t      *testing.T
	store  *memStore
	rec    *memRecorder
	access *fakeAccess
	m      *session.Manager
	now    func() time.Time
	key    ed25519.PrivateKey
}

const grantID = "grt_0000000000000000000000000z"

func newWorld(t *testing.T, window time.Duration, now func() time.Time) *world {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	from := gateway.Instant(now())
	to := from.Add(window)
	w := &world{t: t, store: newMemStore(), rec: newMemRecorder(), now: now, key: key}
	w.access = &fakeAccess{ent: session.Entitlement{
		Grant:  gateway.Grant{ID: grantID, Person: "ana", Vendor: "acme", Target: "pump-7", Account: "root", From: from, To: to, Epochs: gateway.Epochs{Vendor: 1, Person: 1}},
		Target: gateway.Target{Name: "pump-7", Kind: gateway.KindSSH}, Account: gateway.Account{Name: "root", Login: "root"},
		Person: gateway.Person{Name: "ana", Vendor: "acme"}, Vendor: gateway.Vendor{Name: "acme"},
		Abilities: gateway.Abilities{Shell: true}, From: from, To: to,
	}}
	w.m, err = session.New(session.Config{Store: w.store, Access: w.access, Recorder: w.rec, Node: "node-1", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) touch(edit func(*statement.Open)) statement.Signed {
	w.t.Helper()
	b := &statement.Open{
		Grant: grantID, Request: gateway.DigestOf([]byte("ask")), Person: "ana", Vendor: "acme", Target: "pump-7", Account: "root",
		Abilities: gateway.Abilities{Shell: true}, From: w.access.ent.From, To: w.access.ent.To, Binding: statement.BindSSH, Transport: "aa", Source: "192.0.2.1:5", Code: "K7",
	}
	if edit != nil {
		edit(b)
	}
	s, err := statement.MachineKey{Private: w.key, Gateway: "http://localhost:8080"}.Sign(w.now(), b)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) opening() session.Opening {
	return session.Opening{Touch: w.touch(nil), Person: "ana", Grant: grantID, Protocol: gateway.KindSSH, Transport: "aa", Source: "192.0.2.1:5", Client: "OpenSSH"}
}

func (w *world) open() *session.Live {
	w.t.Helper()
	l, err := w.m.Open(w.t.Context(), w.opening())
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	return l
}

type closer struct{ closed chan struct{} }

func newCloser() *closer { return &closer{make(chan struct{})} }
func (c *closer) Close() error {
	select {
	case <-c.closed:
		return errors.New("closed twice")
	default:
		close(c.closed)
		return nil
	}
}

func ended(t *testing.T, l *session.Live) *gateway.Ended {
	t.Helper()
	var e *gateway.Ended
	if !errors.As(context.Cause(l.Context()), &e) {
		t.Fatalf("session has no cause: %v", context.Cause(l.Context()))
	}
	return e
}

var _ io.Closer = (*closer)(nil)
