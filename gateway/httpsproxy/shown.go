package httpsproxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

const (
	// A body of which that much came, each piece within that time, is a fast one.
	fastFrom = 1 << 20
	fastTime = 5 * time.Millisecond

	// streamWrite is what one frame of HTTP/2 takes so that it fills one TLS
	// record with its head (RFC 9113 clause 4.1); of 16 KiB nine bytes would be a
	// record, and a system call, of their own.
	streamWrite = 16<<10 - 9
)

// shown is an answer's body on its way to the browser.
type shown struct {
	tally
	x     *exchange
	res   *http.Response
	buf   []byte
	list  []gateway.HTTPPiece // of the recording; none yet
	scrub *capture.Stream     // nil: it passes as it came
	limit int64               // of a file; 0: none
	left  int64               // of what was announced; negative: unknown

	announced map[string]bool // trailers
	most      int             // bytes of one write
	fast      int             // bytes that came without a wait
	lost      bool            // buf may still be read: nobody else's bytes may come there
	broken    error           // met already, behind what has been read
	renew     time.Time       // when the bound on a stalled browser is set anew
}

var errTooLong = errors.New("longer than the grant lets")

// run shows head, body and trailers; the head is recorded.
func (s *shown) run(first []byte) {
	s.head()
	defer s.unbound()
	if s.left < 0 && s.x.r.Method != http.MethodHead { // the head may be all there is for a while
		s.flush()
	}
	if err := s.body(first); err != nil {
		s.cut(err)
	}
	s.trailers()
	s.x.ended(gateway.HTTPRecord{Header: s.c.capture.Fields(s.res.Trailer)})
}

// head shows the head.
func (s *shown) head() {
	h := s.x.w.Header()
	s.c.forBrowser(h, s.res.Header)
	for name := range s.res.Trailer {
		if s.announced == nil {
			s.announced = map[string]bool{}
		}
		s.announced[name] = true
		h.Add("Trailer", name)
	}
	s.x.w.WriteHeader(s.res.StatusCode)
}

// cut records why an answer stopped short, and cuts the browser's stream.
func (s *shown) cut(err error) {
	x, word := s.x, "the console broke off"
	switch {
	case s.c.cause() != nil:
		word = s.c.cause().Error()
	case errors.Is(err, errTooLong):
		no := tooLarge("download", s.limit)
		word = no.Text
		s.c.live.Refuse(x.r.Context(), "https "+x.r.Method, no.Sentence())
	case x.r.Context().Err() != nil:
		word = "the browser left"
	}
	x.end(word)
	panic(http.ErrAbortHandler)
}

func (s *shown) body(first []byte) error {
	if len(first) > 0 {
		if err := s.show(first); err != nil {
			return err
		}
	}
	if s.broken != nil {
		return s.broken
	}
	for {
		n, err := s.read()
		if n > 0 {
			if err := s.show(s.buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if s.scrub != nil {
		if rest := s.scrub.Rest(); len(rest) > 0 {
			if err := s.write(rest); err != nil {
				return err
			}
		}
	}
	return s.rest()
}

// read takes the next piece: of a long body that comes fast a whole buffer,
// since each piece has its price; of others what has come.
func (s *shown) read() (int, error) {
	if s.left <= int64(len(s.buf)) {
		return s.res.Body.Read(s.buf)
	}
	least := 1
	if s.fast >= fastFrom {
		least = len(s.buf)
	}
	began := time.Now()
	n, err := io.ReadAtLeast(s.res.Body, s.buf, least)
	if s.fast += n; time.Since(began) > fastTime {
		s.fast = 0
	}
	return n, err
}

// show passes one piece, after it was recorded.
func (s *shown) show(p []byte) error {
	if s.limit > 0 && s.acc.Bytes()+int64(len(p)) > s.limit {
		return errTooLong
	}
	if s.left >= 0 {
		s.left -= int64(len(p))
	}
	if s.scrub != nil {
		if p = s.scrub.Next(p); len(p) == 0 {
			return nil
		}
	}
	return s.write(p)
}

func (s *shown) write(p []byte) error {
	if err := s.pass(p); err != nil {
		return err
	}
	slow := s.left > 0 && len(p) < 4<<10
	s.stalled()
	if err := s.put(p); err != nil {
		return err
	}
	if s.left < 0 || slow {
		s.flush()
	}
	return nil
}

// put hands bytes to the library. After an error it may still be reading them:
// of HTTP/2, a frame of a stream that was reset goes on in its own goroutine.
func (s *shown) put(p []byte) error {
	for piece := range slices.Chunk(p, s.most) {
		if _, err := s.x.w.Write(piece); err != nil {
			s.lost = true
			return err
		}
	}
	return nil
}

func (s *shown) flush() {
	_ = http.NewResponseController(s.x.w).Flush() // a browser that has gone is seen by the next write
}

// trailers shows what came behind the body (RFC 9110 clause 6.5).
func (s *shown) trailers() {
	if len(s.res.Trailer) == 0 {
		return
	}
	s.flush() // or the server announces a length
	h := s.x.w.Header()
	for name, values := range s.res.Trailer {
		if !s.announced[name] {
			name = http.TrailerPrefix + name
		}
		for _, v := range values {
			h.Add(name, s.c.scrub.String(v))
		}
	}
}

// stalled bounds how long a browser may take nothing of what it is sent. There
// is no bound on the whole.
func (s *shown) stalled() {
	if s.left == 0 {
		return
	}
	if now := time.Now(); now.After(s.renew) {
		s.renew = now.Add(BodyIdleTime / 4)
		_ = http.NewResponseController(s.x.w).SetWriteDeadline(now.Add(BodyIdleTime))
	}
}

// unbound lifts the bound: the connection may carry other exchanges.
func (s *shown) unbound() {
	if !s.renew.IsZero() {
		_ = http.NewResponseController(s.x.w).SetWriteDeadline(time.Time{})
	}
}
