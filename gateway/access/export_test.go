package access

import (
	"context"
	"time"
)

// Turn does what Run does once.
func (s *Service) Turn(ctx context.Context) time.Duration { return s.turn(ctx) }

// SetMono gives the service another monotonic clock.
func (s *Service) SetMono(f func() time.Duration) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.mono = f
}
