package postgres_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/store/postgres"
)

func TestFaultsAreWorded(t *testing.T) {
	for code, want := range map[string]gateway.Code{
		"08006": gateway.CodeUnavailable, "25006": gateway.CodeUnavailable, "25P03": gateway.CodeUnavailable, "40001": gateway.CodeUnavailable,
		"40P01": gateway.CodeUnavailable, "42501": gateway.CodeUnavailable, "53100": gateway.CodeUnavailable, "53300": gateway.CodeUnavailable,
		"55P03": gateway.CodeUnavailable, "57014": gateway.CodeUnavailable, "57P01": gateway.CodeUnavailable, "57P03": gateway.CodeUnavailable,
		"58030": gateway.CodeUnavailable, "XX001": gateway.CodeUnavailable, "28P01": gateway.CodeUnavailable, "": gateway.CodeUnavailable,
		"22021": gateway.CodeInternal, "23505": gateway.CodeInternal, "23502": gateway.CodeInternal, "25P02": gateway.CodeInternal,
		"42601": gateway.CodeInternal, "42P01": gateway.CodeInternal, "54000": gateway.CodeInternal,
	} {
		var err error = &pgconn.PgError{Code: code}
		if code == "" {
			err = io.ErrUnexpectedEOF
		}
		if got := postgres.Fault(fmt.Errorf("exec: %w", err)); !gateway.IsCode(got, want) {
			t.Errorf("%s is worded %v, want %s", code, got, want)
		}
	}
}

// TestRestartedServer takes the server away, by order and by a crash. Until
// it is back everything is Unavailable; after that the same store works, and
// what was told is there.
func TestRestartedServer(t *testing.T) {
	url := server.Database(t)
	db := open(t, url)
	for i, how := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := admit(t.Context(), db, fmt.Sprint("before", i)); err != nil {
			t.Fatal(err)
		}
		if err := server.Down(how); err != nil {
			t.Fatal(err)
		}
		_, read := db.Directory().Vendors(t.Context())
		for what, err := range map[string]error{"update": admit(t.Context(), db, "lost"), "read": read, "health": db.Healthy(t.Context())} {
			if !gateway.IsCode(err, gateway.CodeUnavailable) {
				t.Errorf("%s without a server: %v", what, err)
			}
		}
		if err := server.Up(); err != nil {
			t.Fatal(err)
		}
		if err := admit(t.Context(), db, fmt.Sprint("after", i)); err != nil {
			t.Errorf("with the server back: %v", err)
		}
	}
	if n := sound(t, db, audit.Checkpoint{}); n != 4 {
		t.Errorf("%d vendors, want 4", n)
	}
}

// TestOrderedOffInTheMiddle ends the writer's session inside its transaction.
func TestOrderedOffInTheMiddle(t *testing.T) {
	url := server.Database(t)
	db := open(t, url)
	other := raw(t, url)
	err := db.Directory().Update(t.Context(), func(tx directory.Tx) error {
		if _, err := other.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"); err != nil {
			t.Error(err)
		}
		return tx.PutVendor(gateway.Vendor{Name: "acme", State: gateway.Active, Epoch: 1, Version: 1})
	})
	if !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("ordered off: %v", err)
	}
	if err := admit(t.Context(), db, "acme"); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// relay stands between a node and the server, and can go silent or cut.
type relay struct {
	net.Listener
	to string

	mu     sync.Mutex // guards what follows
	silent chan struct{}
	cutAt  string // drops both sides when the node has sent this, and the server has had it
}

func newRelay(t *testing.T) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: fmt.Sprint("127.0.0.1:", server.Port)}
	t.Cleanup(func() { _ = l.Close(); r.talk() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", r.to)
			if err != nil {
				_ = c.Close()
				continue
			}
			go r.carry(s, c, true)
			go r.carry(c, s, false)
		}
	}()
	return r
}

func (r *relay) hush() { r.mu.Lock(); defer r.mu.Unlock(); r.silent = make(chan struct{}) }

func (r *relay) talk() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.silent != nil {
		close(r.silent)
		r.silent = nil
	}
}

func (r *relay) carry(to, from net.Conn, up bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		silent, cut := r.silent, up && r.cutAt != "" && strings.Contains(string(buf[:n]), r.cutAt)
		if cut {
			_ = from.Close() // before the answer can come
			r.cutAt = ""
		}
		r.mu.Unlock()
		if silent != nil {
			<-silent
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		if cut {
			_, _ = io.Copy(io.Discard, to)
			return
		}
	}
}

// through is the same database by way of the relay.
func (r *relay) through(url string) string {
	return strings.Replace(url, r.to, r.Addr().String(), 1)
}

// TestSilentServer: a server that takes what is sent and answers nothing, as
// one that is frozen or cut off, holds an update up for silenceLimit.
func TestSilentServer(t *testing.T) {
	url := server.Database(t)
	r := newRelay(t)
	db := open(t, r.through(url))
	if err := admit(t.Context(), db, "acme"); err != nil {
		t.Fatal(err)
	}
	r.hush()
	begun := time.Now()
	err := admit(t.Context(), db, "nova")
	took := time.Since(begun)
	if !gateway.IsCode(err, gateway.CodeUnavailable) || took > 2*postgres.SilenceLimit+time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	r.talk()
	if err := admit(t.Context(), db, "nova"); err != nil {
		t.Errorf("with the server back: %v", err)
	}
}

// TestLostAnswerIsAnError cuts the connection between a COMMIT and its answer.
// The update is there, its caller is told an error, and a second try is told
// that somebody was first.
func TestLostAnswerIsAnError(t *testing.T) {
	url := server.Database(t)
	r := newRelay(t)
	db := open(t, r.through(url))
	r.mu.Lock()
	r.cutAt = postgres.CommitText
	r.mu.Unlock()
	if err := admit(t.Context(), db, "acme"); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Fatalf("the answer was lost: %v", err)
	}
	begun := time.Now() // the server ends it on its own, a moment later
	var err error
	for err = admit(t.Context(), db, "acme"); err == nil || gateway.IsCode(err, gateway.CodeUnavailable); err = admit(t.Context(), db, "acme") {
		if err == nil || time.Since(begun) > 10*time.Second {
			t.Fatalf("the second try: %v", err)
		}
	}
	if !errors.Is(err, gateway.ErrStale) {
		t.Errorf("the second try: %v", err)
	}
	sound(t, db, audit.Checkpoint{})
}
