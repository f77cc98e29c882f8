package access

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// keeperTick is the longest that Run sleeps: what another node wrote, and a
// clock that was set, are seen within it.
const keeperTick = time.Second

// Run keeps the time until ctx ends: it opens planned grants, closes ended
// ones and lapses requests, each by compare-and-swap with its event. A store
// that does not answer is tried again; nothing opens or stays open because of
// it. It returns nil when ctx ends.
func (s *Service) Run(ctx context.Context) error {
	s.clock.step()
	for {
		next := s.turn(ctx)
		timer := time.NewTimer(min(max(next, 0), keeperTick))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-s.wake:
			timer.Stop()
		}
	}
}

// turn does what is due and returns how long until something else is.
func (s *Service) turn(ctx context.Context) time.Duration {
	if by := s.clock.step(); by != 0 {
		s.log.Warn("clock stepped", "by", by)
		reason := "the wall clock was set by " + by.Round(time.Millisecond).String()
		if by < 0 {
			reason += "; windows go on ending by the time before it until the gateway is restarted"
		}
		s.record(ctx, audit.Event{
			Name: audit.ClockStep, Actor: "gateway", Reason: reason,
			Detail: map[string]string{"node": s.node, "by": by.String(), "now": stamp(s.clock.now())},
		})
	}
	now := s.clock.late()
	requests, grants, next, err := s.store.Due(ctx, now)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Error("read what is due", "error", err)
		}
		return keeperTick
	}
	for _, r := range requests {
		s.warn(ctx, "lapse request", r.ID, s.lapse(ctx, r.ID, now))
	}
	for _, g := range grants {
		s.warn(ctx, "keep grant", g.ID, s.due(ctx, g, now))
	}
	if next.IsZero() {
		return keeperTick
	}
	return next.Sub(s.clock.late())
}

// due opens or closes a grant. One whose whole window went by while no gateway
// ran is closed without having been open.
func (s *Service) due(ctx context.Context, g gateway.Grant, now time.Time) error {
	if now.Before(g.To) {
		if err := s.grants(); err != nil {
			return nil //nolint:nilerr // the clock is off; whoever opens it then hears why
		}
		_, err := s.openGrant(ctx, g.ID)
		return err
	}
	_, err := s.closeGrant(ctx, g.ID, gateway.EndWindow, "gateway", "", func(g gateway.Grant) error {
		if now.Before(g.To) {
			return gateway.Conflict("window", "grant %s has not ended", g.ID)
		}
		return nil
	})
	return err
}

// warn logs what could not be done; somebody else having been faster is no
// fault.
func (s *Service) warn(ctx context.Context, what, id string, err error) {
	if err != nil && ctx.Err() == nil && !gateway.IsCode(err, gateway.CodeConflict) {
		s.log.Error(what, "id", id, "error", err)
	}
}
