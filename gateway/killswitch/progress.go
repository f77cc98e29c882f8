package killswitch

import "github.com/portcullis/portcullis/gateway"

// Progress is the counter that runs to zero.
type Progress struct {
	Suspension string          `json:"suspension"`
	Live       int             `json:"live"` // on this node, of the scope
	Closed     int             `json:"closed"`
	Verdict    gateway.Verdict `json:"verdict,omitempty"`
	Done       bool            `json:"done"`
}

// Watch follows one suspension until the report is there. Values that a slow
// reader misses are skipped, except that the last one always has room. cancel
// closes the channel and must be called; a nil channel means too many watch.
func (s *Service) Watch(id string) (progress <-chan Progress, cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.watchers[id]) >= maxWatchers {
		return nil, func() {}
	}
	ch := make(chan Progress, 1)
	if s.watchers[id] == nil {
		s.watchers[id] = map[chan Progress]struct{}{}
	}
	s.watchers[id][ch] = struct{}{}
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.watchers[id][ch]; !ok {
			return
		}
		delete(s.watchers[id], ch)
		if len(s.watchers[id]) == 0 {
			delete(s.watchers, id)
		}
		close(ch)
	}
}

func (s *Service) watched(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers[id]) > 0
}

func (s *Service) tell(id string, p Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.watchers[id] {
		select {
		case <-ch: // what was not read gives way
		default:
		}
		ch <- p // has room: only tell sends, under mu
	}
}
