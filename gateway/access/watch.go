package access

import (
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// watchBuffer is how many changes wait for a subscriber who is slow.
const watchBuffer = 64

// Change tells that a request or grant is another than before. Where Missed
// is set the subscriber was too slow and reads again what it shows.
type Change struct {
	Kind    string `json:"kind"` // "request" or "grant"
	ID      string `json:"id"`
	Request string `json:"request"`
	Vendor  string `json:"vendor"`
	Person  string `json:"person"`
	Target  string `json:"target"`
	State   string `json:"state"`
	Missed  bool   `json:"missed,omitempty"`
}

type watchers struct {
	mu   *sync.Mutex
	list map[chan Change]struct{}
}

func newWatchers() watchers {
	return watchers{mu: new(sync.Mutex), list: make(map[chan Change]struct{})}
}

// Subscribe returns changes from now on, after each is durable. cancel closes
// the channel and may be called twice.
func (s *Service) Subscribe() (changes <-chan Change, cancel func()) {
	ch := make(chan Change, watchBuffer)
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	s.watch.list[ch] = struct{}{}
	return ch, sync.OnceFunc(func() {
		s.watch.mu.Lock()
		defer s.watch.mu.Unlock()
		delete(s.watch.list, ch)
		close(ch)
	})
}

func (w watchers) tell(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.list {
		select {
		case ch <- c:
			continue
		default:
		}
		// Only tell sends, and it holds the lock: after one is taken out there is room.
		select {
		case <-ch:
		default:
		}
		c := c
		c.Missed = true
		ch <- c
	}
}

func (s *Service) tellRequest(r gateway.Request) {
	s.watch.tell(Change{Kind: "request", ID: r.ID, Request: r.ID, Vendor: r.Vendor, Person: r.Person, Target: r.Target, State: string(r.State)})
	s.nudge()
}

func (s *Service) tellGrant(g gateway.Grant) {
	s.watch.tell(Change{Kind: "grant", ID: g.ID, Request: g.Request, Vendor: g.Vendor, Person: g.Person, Target: g.Target, State: string(g.State)})
	s.nudge()
}

// nudge has Run look at what is due now.
func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
