package recording

import "context"

// Exchange tells what passed in one channel, both directions in the order of
// time, up to now: what the engineer's client sent (client), and what the
// target's standard output answered. p holds until tell returns, whose error
// comes back. It may hold passwords: it is for the few whom the caller lets. A
// damaged recording is told up to the damage, and the error names it.
func (v *Vault) Exchange(ctx context.Context, session string, channel uint32, tell func(client bool, p []byte) error) error {
	dir, err := v.find(session)
	if err != nil {
		return err
	}
	in, out := newSide(dir, input, kindInput, channel), newSide(dir, output, kindStdout, channel)
	defer in.tape.close()
	defer out.tape.close()
	if err := in.advance(ctx); err != nil {
		return err
	}
	if err := out.advance(ctx); err != nil {
		return err
	}
	for in.end == nil || out.end == nil {
		// What was asked stands before its answer, at the same instant too.
		s := out
		if in.end == nil && (out.end != nil || in.head.at <= out.head.at) {
			s = in
		}
		if err := tell(s == in, s.head.payload); err != nil {
			return err
		}
		if err := s.advance(ctx); err != nil {
			return err
		}
	}
	if err := v.damaged(dir, in.end); err != nil {
		return err
	}
	return v.damaged(dir, out.end)
}

// side is one direction of a channel, with the frame that is next.
type side struct {
	tape    *tape
	kind    kind
	channel uint32
	head    frame
	end     error // io.EOF or errTorn: there is no next
}

func newSide(dir string, st stream, k kind, channel uint32) *side {
	return &side{tape: newTape(dir, st), kind: k, channel: channel}
}

func (s *side) advance(ctx context.Context) error {
	for {
		f, err := s.tape.next()
		switch {
		case isEnd(err):
			s.end = err
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case f.kind == s.kind && f.channel == s.channel:
			s.head = f
			return nil
		}
	}
}
