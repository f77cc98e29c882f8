package transfer

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/portcullis/portcullis/gateway"
)

// maxQueued bounds the pieces of a recorded scp channel that came before the
// answer in front of them. An answer is written down a moment after it was
// understood, so that one or two pieces may stand before it.
const maxQueued = 64

// Piece is what passed at once in a recorded channel, in one direction.
type Piece struct {
	Client bool // from the client to the target
	Bytes  []byte
}

// Carve writes to w the bytes of the file that has that sum, out of what passed
// in a recorded channel. replay tells the channel's pieces in the order of time,
// from the first one each time that it is called, and gives back tell's error;
// it is called twice, so that no file is held in memory. A sum that no file of
// the channel has is *gateway.Error "file". What was written before any other
// error is not the whole file.
func Carve(ch gateway.Channel, replay func(tell func(Piece) error) error, sum gateway.Digest, w io.Writer) error {
	find := &carver{want: sum, only: -1}
	if err := find.play(ch, replay); err != nil {
		return err
	}
	if !find.done {
		return gateway.NotFound("file", sum.String())
	}
	cut := &carver{want: sum, only: find.at, w: w}
	if err := cut.play(ch, replay); err != nil {
		return err
	}
	if !cut.done {
		return gateway.Conflict("recording", "the recording of this channel changed while the file was read")
	}
	return nil
}

// errCarved ends a replay early.
var errCarved = errors.New("the file was found")

// carver plays a channel again. Its sums are numbered in the order in which
// they begin, which is the same in each play.
type carver struct {
	want  gateway.Digest
	only  int // the sum whose bytes go to w; -1 is none
	w     io.Writer
	begun int
	at    int // the sum that came out as wanted
	done  bool
	err   error // of w
}

// Judge implements Sink: what was recorded had been let.
func (c *carver) Judge(gateway.FileOp) error { return nil }

// File implements Sink.
func (c *carver) File(gateway.File) {}

func (c *carver) play(ch gateway.Channel, replay func(func(Piece) error) error) error {
	p, closing := c.player(ch)
	if p == nil {
		return gateway.Invalid("channel", "a channel of kind %s carries no files", ch.Kind)
	}
	err := replay(func(x Piece) error {
		if err := p(x); err != nil {
			return err
		}
		return c.enough()
	})
	if err != nil && !errors.Is(err, errCarved) {
		return err
	}
	if err == nil {
		closing()
	}
	return c.err
}

func (c *carver) enough() error {
	switch {
	case c.err != nil:
		return c.err
	case c.done:
		return errCarved
	}
	return nil
}

// player makes what takes the pieces, and what ends it.
func (c *carver) player(ch gateway.Channel) (take func(Piece) error, closing func()) {
	var t Tap
	switch ch.Kind {
	case gateway.ChannelSFTP:
		s := newSFTP(c, func([]byte) error { return nil })
		s.again, s.sums = true, c.sum
		t = s
	case gateway.ChannelSCP:
		s := newSCP(ch, c)
		s.again, s.sums = true, c.sum
		return (&again{scp: s}).take, s.Close
	case gateway.ChannelRsync, gateway.ChannelGit:
		s := newStream(ch, c)
		s.sum = c.sum()
		t = s
	default:
		return nil, nil
	}
	return func(x Piece) error {
		if x.Client {
			return t.Client(x.Bytes, pass)
		}
		return t.Target(x.Bytes, pass)
	}, t.Close
}

func pass([]byte) error { return nil }

// again plays scp: what its source sent waits for the answer that it had.
type again struct {
	scp   *scp
	queue [][]byte
}

func (a *again) take(x Piece) error {
	switch {
	case x.Client != a.scp.up:
		if err := a.scp.answer(x.Bytes, pass); err != nil {
			return err
		}
	case len(a.queue) >= maxQueued:
		return broken("the answers of this channel are not in its recording")
	default:
		a.queue = append(a.queue, append([]byte(nil), x.Bytes...))
	}
	for len(a.queue) > 0 && a.scp.waits == 0 {
		next := a.queue[0]
		a.queue = a.queue[1:]
		if err := a.scp.source(next, pass); err != nil {
			return err
		}
	}
	return nil
}

// summer makes what sums one file; nil is SHA-256 and nothing else.
type summer func() hash.Hash

func (m summer) begin() hash.Hash {
	if m == nil {
		return sha256.New()
	}
	return m()
}

func (c *carver) sum() hash.Hash {
	s := &sieve{Hash: sha256.New(), c: c, at: c.begun}
	c.begun++
	return s
}

// sieve is one sum of a carver.
type sieve struct {
	hash.Hash
	c  *carver
	at int
}

func (s *sieve) Write(p []byte) (int, error) {
	if s.at == s.c.only && s.c.err == nil {
		_, s.c.err = s.c.w.Write(p)
	}
	return s.Hash.Write(p)
}

func (s *sieve) Sum(b []byte) []byte {
	var d gateway.Digest
	s.Hash.Sum(d[:0])
	if d.Equal(s.c.want) && !s.c.done && (s.c.only < 0 || s.c.only == s.at) {
		s.c.done, s.c.at = true, s.at
	}
	return append(b, d[:]...)
}
