package transfer

import (
	"bytes"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// The bounds of one scp channel.
const (
	// maxLine bounds a line in either direction. The programs in use read lines
	// into 2048 bytes and take the rest for another line.
	maxLine = 2000
	// maxDepth bounds folders in folders.
	maxDepth = 512
	// answerTime is how long a client may be ahead of the target's answers
	// before it is taken to have lost step.
	answerTime = 20 * time.Second
)

// scp is the tap of scp's own protocol: one side, the source, sends lines and
// files, and waits after each for a byte of the other. What cannot be in step
// is not passed on: a source that is ahead waits here, so that bytes which the
// other side would take for lines are never taken for a file.
type scp struct {
	sink  Sink
	sums  summer
	again bool // a recording is played: nothing comes while this waits
	up    bool
	call  moved
	came  chan struct{} // an answer has come; holds one

	part []byte // of the source's line; of the goroutine that carries the source
	talk []byte // of an answer that is a text; of the other goroutine

	mu    sync.Mutex // guards what follows, and the sink
	mode  byte       // what the source may send now: one of the modes below
	waits byte       // what the source waits for an answer to; 0 is nothing
	early bool       // the answer for the file came before the byte behind it
	left  int64      // bytes of the file that are still to come
	dirs  []string   // folders that the source is in, by their whole paths
	now   *piece
}

const (
	inLine = 'L'
	inData = 'D'
	inTail = 'T' // the byte behind a file
	inNone = 'N' // the other side has said that it ends

	onBegin = 'b'
	onEnd   = 'e' // of a file
)

func newSCP(ch gateway.Channel, s Sink) *scp {
	return &scp{sink: s, up: ch.Upload, call: calledWith(ch), came: make(chan struct{}, 1), mode: inLine, waits: onBegin}
}

// Client implements Tap.
func (s *scp) Client(p []byte, forward func([]byte) error) error {
	if s.up {
		return s.source(p, forward)
	}
	return s.answer(p, forward)
}

// Target implements Tap.
func (s *scp) Target(p []byte, forward func([]byte) error) error {
	if s.up {
		return s.answer(p, forward)
	}
	return s.source(p, forward)
}

// Close implements Tap.
func (s *scp) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told(gateway.FileCut, "")
}

// source takes what the side with the files sends.
func (s *scp) source(p []byte, forward func([]byte) error) error {
	for len(p) > 0 {
		if err := s.inStep(); err != nil {
			return err
		}
		s.mu.Lock()
		pass, n, err := s.next(p)
		s.mu.Unlock()
		if err == nil && len(pass) > 0 {
			err = forward(pass)
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// inStep waits until the source has its answer.
func (s *scp) inStep() error {
	var late *time.Timer
	for {
		s.mu.Lock()
		waits := s.waits != 0
		s.mu.Unlock()
		switch {
		case !waits:
			return nil
		case !s.up, s.again:
			return broken("the target sends files faster than they are asked for")
		case late == nil:
			late = time.NewTimer(answerTime)
			defer late.Stop()
		}
		select {
		case <-s.came:
		case <-late.C:
			return broken("the client sends files faster than the target answers")
		}
	}
}

// next takes the beginning of p: what of it may pass, and how much was taken.
func (s *scp) next(p []byte) (pass []byte, n int, err error) {
	switch s.mode {
	case inData:
		n = int(min(s.left, int64(len(p))))
		s.now.take(p[:n])
		if s.left -= int64(n); s.left == 0 {
			s.mode = inTail
		}
		return p[:n], n, nil
	case inTail:
		if len(s.part) == 0 && p[0] == 0 {
			s.behind()
			return p[:1], 1, nil
		}
	case inNone:
		return nil, 0, broken("scp went on after its end")
	}
	n = len(p)
	if at := bytes.IndexByte(p, '\n'); at >= 0 {
		n = at + 1
	}
	if s.part = append(s.part, p[:n]...); len(s.part) > maxLine {
		return nil, 0, broken("a line of scp's is longer than it may be")
	}
	if s.part[len(s.part)-1] != '\n' {
		return nil, n, nil
	}
	line := s.part
	s.part = nil
	return line, n, s.line(line[:len(line)-1])
}

// answer takes what the side without the files sends: a byte, or a text.
func (s *scp) answer(p []byte, forward func([]byte) error) error {
	s.mu.Lock()
	err := s.answers(p)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case s.came <- struct{}{}:
	default:
	}
	return forward(p)
}

func (s *scp) answers(p []byte) error {
	for _, c := range p {
		switch {
		case s.waits == 0 && s.mode == inTail && !s.up && !s.early && c == 0:
			s.early = true // PuTTY answers for a file when it has the last of its bytes
		case s.waits == 0:
			return broken("scp gave an answer that nothing asked for")
		case len(s.talk) > 0:
			if s.talk = append(s.talk, c); len(s.talk) > maxLine {
				return broken("a line of scp's is longer than it may be")
			}
			if c == '\n' {
				s.answered(s.talk[0], string(s.talk[1:len(s.talk)-1]))
				s.talk = nil
			}
		case c == 0:
			s.answered(0, "")
		case c == 1 || c == 2:
			s.talk = append(s.talk, c)
		default:
			return broken("what came is no answer of scp's: the target's account may print something when it logs in")
		}
	}
	return nil
}
