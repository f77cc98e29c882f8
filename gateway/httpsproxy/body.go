package httpsproxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

// A body that is longer than what is kept of it is told of this often, so that
// the session is not taken for idle and a crash leaves a figure behind.
const (
	progressBytes = 8 << 20
	progressTime  = 20 * time.Second
)

// tally records one direction of an exchange.
type tally struct {
	c    *console
	part gateway.HTTPPart
	n    uint32
	acc  *capture.Body

	toldBytes int64
	toldAt    time.Time
}

// pass records and counts p, which may pass when it returns nil.
func (t *tally) pass(p []byte) error {
	in, out := len(p), 0
	if t.part == gateway.HTTPShown {
		in, out = 0, len(p)
	}
	if err := t.c.carry(in, out); err != nil {
		return err
	}
	if err := t.record(p); err != nil {
		return err
	}
	t.c.ch.Carried(in, out)
	return nil
}

func (t *tally) record(p []byte) error {
	keep, redacted := t.acc.Add(p)
	if len(keep) > 0 {
		t.toldBytes, t.toldAt = t.acc.Bytes(), time.Now()
		return t.c.ch.Exchange(gateway.HTTPRecord{Part: t.part, N: t.n, Redacted: redacted}, keep)
	}
	if err := t.c.ch.Passes(); err != nil {
		return errOver
	}
	if now := time.Now(); t.acc.Bytes()-t.toldBytes >= progressBytes || now.Sub(t.toldAt) >= progressTime {
		t.toldBytes, t.toldAt = t.acc.Bytes(), now
		r := gateway.HTTPRecord{Part: t.part, N: t.n}
		so := gateway.HTTPBody{Bytes: t.acc.Bytes(), Kept: t.acc.Kept()}
		if t.part == gateway.HTTPSent {
			r.Sent = &so
		} else {
			r.Shown = &so
		}
		return t.c.record(r)
	}
	return nil
}

// rest records what redaction had held back at the body's end.
func (t *tally) rest() error {
	if rest := t.acc.Rest(); len(rest) > 0 {
		return t.c.ch.Exchange(gateway.HTTPRecord{Part: t.part, N: t.n, Redacted: true}, rest)
	}
	return nil
}

// sentBody is a request's body on its way to the target: each piece is held
// while the session is frozen, counted, and recorded before it passes. The
// transport may read it after the answer has begun, and has one reader.
type sentBody struct {
	x     *exchange
	whole bool // held is all of it, and recorded

	mu   sync.Mutex
	held []byte // read already
	over bool   // the handler has returned, or is about to
	err  error  // the browser's own, not the target's
	tally
}

var errSent = errors.New("the exchange is over")

// Read gives the next piece.
func (b *sentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.over {
		b.mu.Unlock()
		return 0, errSent
	}
	if len(b.held) > 0 || b.whole {
		n := copy(p, b.held)
		b.held = b.held[n:]
		defer b.mu.Unlock()
		if b.whole && n == 0 {
			return 0, io.EOF
		}
		if b.whole {
			return n, nil
		}
		return b.counted(p[:n], nil)
	}
	b.patience(BodyIdleTime)
	b.mu.Unlock()
	n, err := b.x.r.Body.Read(p)
	if no := b.x.c.ch.Hold(); no != nil {
		err = no
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, errSent
	}
	return b.counted(p[:n], err)
}

// counted is what Read returns of a piece; b.mu is held.
func (b *sentBody) counted(p []byte, err error) (int, error) {
	if err != nil {
		b.patience(0)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = badBody()
		return 0, err
	}
	if no := b.admit(p); no != nil {
		b.err = no
		return 0, no
	}
	if errors.Is(err, io.EOF) {
		if no := b.rest(); no != nil {
			return 0, no
		}
	}
	return len(p), err
}

func (b *sentBody) admit(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if limit := b.x.c.abilities.MaxUpload; limit > 0 && b.acc.Bytes()+int64(len(p)) > limit {
		return tooLarge("upload", limit)
	}
	if b.pass(p) != nil {
		return gateway.Unavailable("recorder", nil)
	}
	return nil
}

// patience bounds the wait for the browser's next bytes; 0 lifts the bound.
func (b *sentBody) patience(d time.Duration) { patience(b.x.w, d) }

func patience(w http.ResponseWriter, d time.Duration) {
	var by time.Time
	if d > 0 {
		by = time.Now().Add(d)
	}
	_ = http.NewResponseController(w).SetReadDeadline(by) // the server's own time stands where it cannot
}

// recordHeld records a body that is held whole.
func (b *sentBody) recordHeld() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.admit(b.held); err != nil {
		b.err = err
		return err
	}
	return b.rest()
}

// Close is the transport's; the browser's body is the server's to close.
func (b *sentBody) Close() error { return nil }

// finish lets nothing more be read: the exchange is over. A read that is under
// way ends when the server closes the body, and passes nothing.
func (b *sentBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
}

func (b *sentBody) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *sentBody) account() gateway.HTTPBody {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.acc.Account()
}
