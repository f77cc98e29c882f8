package session

import "github.com/portcullis/portcullis/gateway"

// Subscribe returns a channel of changes: the session as it is after each. A
// subscriber that is too slow misses some and should list again; cancel closes
// the channel and must be called. A nil channel means that there are too many
// subscribers.
func (m *Manager) Subscribe() (changes <-chan gateway.Session, cancel func()) {
	m.fmu.Lock()
	defer m.fmu.Unlock()
	if len(m.followers) >= maxFollowers {
		return nil, func() {}
	}
	ch := make(chan gateway.Session, followerRoom)
	m.followers[ch] = struct{}{}
	return ch, func() {
		m.fmu.Lock()
		defer m.fmu.Unlock()
		if _, ok := m.followers[ch]; ok {
			delete(m.followers, ch)
			close(ch)
		}
	}
}

func (m *Manager) publish(s gateway.Session) {
	m.fmu.Lock()
	defer m.fmu.Unlock()
	for ch := range m.followers {
		select {
		case ch <- s:
		default: // slow: it lists again
		}
	}
}
