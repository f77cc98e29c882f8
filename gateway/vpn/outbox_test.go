package vpn

import (
	"context"
	"errors"
	"testing"
)

// slabOf is so many packets of that size for a tunnel.
func slabOf(o *outbox, t *tunnel, packets, size int) *slab {
	b := o.slabs.get(t, packets*size)
	for range packets {
		b.data = append(b.data, make([]byte, size)...)
		b.ends = append(b.ends, len(b.data))
	}
	return b
}

func room(n, size int) (bufs [][]byte, sizes []int) {
	for range n {
		bufs = append(bufs, make([]byte, size))
	}
	return bufs, make([]int, n)
}

// What the stack sent at once leaves at once: what would be cut in two by the
// end of a batch waits for the next. What is larger than any batch is cut.
func TestSentTogetherLeavesTogether(t *testing.T) {
	for _, c := range []struct {
		name  string
		batch int
		slabs []int
		want  []int // packets of each batch
	}{
		{"third waits", 128, []int{45, 45, 45}, []int{90, 45}},
		{"small ones fill it", 128, []int{45, 45, 1, 1, 45}, []int{92, 45}},
		{"larger than a batch", 16, []int{45}, []int{16, 16, 13}},
		{"rest and a new one", 16, []int{20, 14}, []int{16, 4, 14}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, tn := newOutbox(), &tunnel{}
			for _, n := range c.slabs {
				o.push(slabOf(o, tn, n, 100))
			}
			bufs, sizes := room(c.batch, 100)
			for _, want := range c.want {
				if n := o.pull(bufs, sizes, 0); n != want {
					t.Errorf("a batch of %d packets, want %d", n, want)
				}
			}
			if len(o.turns) > 0 {
				t.Error("something is left")
			}
		})
	}
}

// A flow waits while its own tunnel's queue is long, and for no other one's
// (N-24).
func TestFlowsWaitForTheQueue(t *testing.T) {
	o, tn, other := newOutbox(), &tunnel{}, &tunnel{}
	const size = 1 << 10
	for range QueueShort / size {
		o.push(slabOf(o, tn, 1, size))
	}
	check(t, o.wait(t.Context(), other))
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if err := o.wait(ctx, tn); !errors.Is(err, gone) {
		t.Errorf("waited to %v", err)
	}
	waited := make(chan error, 1)
	go func() { waited <- o.wait(t.Context(), tn) }()
	eventually(t, "it waits", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return tn.queue.room != nil
	})
	bufs, sizes := room(1, size)
	o.pull(bufs, sizes, 0)
	check(t, <-waited)
	go func() { waited <- o.wait(t.Context(), tn) }()
	o.close()
	check(t, <-waited)
}
