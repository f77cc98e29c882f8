package terminal

import "sync"

// typed is what pages have typed, numbered by bytes over all of them, until
// the shell takes it.
type typed struct {
	mu    sync.Mutex
	queue [][]byte
	got   int64         // bytes that came
	took  int64         // bytes that the shell has taken
	more  chan struct{} // closed and replaced when any of this changes
	over  bool
}

func newTyped() *typed { return &typed{more: make(chan struct{})} }

func (t *typed) changed() {
	close(t.more)
	t.more = make(chan struct{})
}

// put takes what a page sent, unless the page ran ahead of TypedAhead.
func (t *typed) put(p []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || t.got-t.took+int64(len(p)) > TypedAhead {
		return false
	}
	t.queue = append(t.queue, p)
	t.got += int64(len(p))
	t.changed()
	return true
}

// next waits for something that was typed; false: nothing comes any more.
func (t *typed) next() ([]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) == 0 && !t.over {
		more := t.more
		t.mu.Unlock()
		<-more
		t.mu.Lock()
	}
	if t.over {
		return nil, false
	}
	p := t.queue[0]
	t.queue = t.queue[1:]
	return p, true
}

// done says that the shell took n bytes.
func (t *typed) done(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took += int64(n)
	t.changed()
}

func (t *typed) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.changed()
}

// counts are the bytes that came and those that were taken; more is closed at
// the next change.
func (t *typed) counts() (got, took int64, more <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.got, t.took, t.more
}
