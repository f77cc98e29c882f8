package recording

import (
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// fault is the first thing that went wrong with a recording. There is no way
// back from it: after a write or a sync that did not succeed nobody knows what
// the disk holds.
type fault struct {
	done   chan struct{} // closed when there is one
	notify chan error    // cap 1: sent once, then closed
	mu     sync.Mutex
	err    *gateway.Error
}

func newFault() *fault {
	return &fault{done: make(chan struct{}), notify: make(chan error, 1)}
}

// fail notes the first cause and tells; it answers the error that every later
// call gets. A new segment that could not be begun and a sync that failed may
// both report: the first one counts.
func (f *fault) fail(cause error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = gateway.Unavailable("recorder", cause)
		f.notify <- f.err
		close(f.notify)
		close(f.done)
	}
	return f.err
}

func (f *fault) get() error {
	select {
	case <-f.done:
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.err
	default:
		return nil
	}
}
