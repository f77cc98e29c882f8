package audit

import (
	"context"
	"path/filepath"

	"github.com/portcullis/portcullis/gateway"
)

// Replay writes to the store what waits, in its order, and returns nil when
// nothing does any more. What was written before a crash is not written twice.
// What the store would not have, and a spool that was edited, are kept under
// refused, and an event says so.
func (s *Spool) Replay(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	for {
		batch, done, err := s.next()
		if done || err != nil {
			return err
		}
		if len(batch) == 0 { // what is left of the file is not ours
			if err := s.write(ctx, s.broken(s.fault.Error())); err != nil {
				return err
			}
			s.mu.Lock()
			s.fault = nil
			s.mu.Unlock()
			continue
		}
		if err := s.replay(ctx, batch); err != nil {
			return err
		}
		s.mu.Lock()
		s.waiting = s.waiting[len(batch):]
		s.mu.Unlock()
	}
}

// next takes what is to be written next. Once nothing waits the file is put
// away, before anything else can be added to it.
func (s *Spool) next() (batch []Happened, done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.file == nil:
		return nil, true, nil
	case len(s.waiting) > 0:
		return s.waiting[:min(len(s.waiting), replayBatch)], false, nil
	case s.fault != nil:
		s.refused = true
		return nil, false, nil
	}
	to := ""
	if s.refused {
		to = filepath.Join(s.c.Dir, "refused", s.file.id)
	}
	if err := s.file.putAway(to); err != nil {
		return nil, false, err
	}
	if n := s.file.n - 1; n > 0 { // a file that had no room for its first line has none
		s.c.Logger.Warn("the store is back and has what happened meanwhile", "spool", s.file.id, "things", n)
	}
	s.file, s.waiting, s.refused = nil, nil, false
	return nil, true, nil
}

func (s *Spool) write(ctx context.Context, all ...Happened) error {
	ctx, cancel := context.WithTimeout(ctx, ReplayWait)
	defer cancel()
	err := s.c.Write(ctx, all...)
	if ctx.Err() != nil && err != nil {
		err = gateway.Unavailable("store", err)
	}
	return err
}

// replay writes a batch. Where the store answers and will not have it, each is
// tried by itself, so that one keeps back no other.
func (s *Spool) replay(ctx context.Context, batch []Happened) error {
	err := s.write(ctx, batch...)
	if err == nil || gateway.IsCode(err, gateway.CodeUnavailable) {
		return err
	}
	for _, h := range batch {
		err := s.write(ctx, h)
		if gateway.IsCode(err, gateway.CodeUnavailable) {
			return err
		}
		if err == nil {
			continue
		}
		s.c.Logger.Error("the store would not have something of the spool", "spooled", h.Spooled, "error", err)
		s.mu.Lock()
		s.refused = true
		s.mu.Unlock()
		if err := s.write(ctx, s.broken("the store would not have "+h.Spooled)); err != nil {
			return err
		}
	}
	return nil
}

// broken is the event of a spool that is not all told. Its time is that of the
// spool, so that a second replay finds it in the log.
func (s *Spool) broken(why string) Happened {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := s.file.id + "/broken"
	return Happened{Spooled: mark, Weight: Final, Events: []Event{{
		Name: SpoolBroken, At: s.file.began, Actor: "gateway", Outcome: Failed, Reason: why,
		Detail: map[string]string{"node": s.file.node, "kept": "refused/" + s.file.id, spooledDetail: mark},
	}}}
}
