package vpn

import (
	"context"
	"sync"
	"time"
)

// bucket lets so many things a second pass. The zero bucket lets everything.
type bucket struct {
	rate, burst float64

	mu   sync.Mutex
	left float64
	at   time.Time
}

func newBucket(rate, burst float64) bucket { return bucket{rate: rate, burst: burst, left: burst} }

func (b *bucket) fill(now time.Time) {
	if !b.at.IsZero() {
		b.left = min(b.burst, b.left+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
}

// take takes n if they are there.
func (b *bucket) take(n float64) bool {
	if b.rate <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(time.Now())
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

// wait takes n, on credit, and waits until they were due: who asks first is
// served first, and one large piece does not starve behind small ones.
func (b *bucket) wait(ctx context.Context, n float64) error {
	if b.rate <= 0 {
		return nil
	}
	b.mu.Lock()
	b.fill(time.Now())
	b.left -= n
	due := time.Duration(-b.left / b.rate * float64(time.Second))
	b.mu.Unlock()
	if due <= 0 {
		return nil
	}
	late := time.NewTimer(due)
	defer late.Stop()
	select {
	case <-late.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
