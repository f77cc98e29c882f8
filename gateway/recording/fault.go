package recording

import (
	"context"
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// fault is the first thing that went wrong with a recording. There is no way
// back from it: after a write or a sync that did not succeed nobody knows what
// the disk holds.
type fault struct {
	ctx  context.Context // done when there is one
	tell context.CancelCauseFunc
	mu   sync.Mutex
	err  *gateway.Error
}

func newFault() *fault {
	f := &fault{}
	f.ctx, f.tell = context.WithCancelCause(context.Background())
	return f
}

// fail notes the first cause and tells; it answers the error that every later
// call gets. A new segment that could not be begun and a sync that failed may
// both report: the first one counts.
func (f *fault) fail(cause error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = gateway.Unavailable("recorder", cause)
		f.tell(f.err)
	}
	return f.err
}

func (f *fault) get() error {
	select {
	case <-f.ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.err
	default:
		return nil
	}
}
