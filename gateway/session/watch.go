package session

import (
	"context"
	"slices"
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// Watch notes that by, who is of the staff, watches a live session, in its
// recording and for Watchers, until leave is called. What is typed in a
// supervised session passes from then on, and is held again when the last one
// leaves. A session that is not live here may be watched too: there is nothing
// to note then.
func (m *Manager) Watch(ctx context.Context, id, by string) (leave func(), err error) {
	l, ok := m.Get(id)
	if !ok {
		return func() {}, nil
	}
	l.mu.Lock()
	if len(l.watchers) >= MaxWatchers {
		l.mu.Unlock()
		return nil, &gateway.Error{Code: gateway.CodeTooMany, Rule: "watchers", Text: "as many people watch this session as may", Next: "try again when somebody has left"}
	}
	l.watchers = append(l.watchers, by)
	l.mu.Unlock()
	if l.alive() == nil {
		l.mark("watched by " + by)
	}
	if err := l.attend(ctx, by); err != nil {
		l.unwatch(by)
		return nil, err
	}
	return sync.OnceFunc(func() {
		l.unwatch(by)
		l.unattend(by)
	}), nil
}

func (l *Live) unwatch(by string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.watchers, by); i >= 0 {
		l.watchers = slices.Delete(l.watchers, i, i+1)
	}
}

// Watchers are the people who watch a live session of this node now, each
// once, in the order of their coming.
func (m *Manager) Watchers(id string) []string {
	l, ok := m.Get(id)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, w := range l.watchers {
		if !slices.Contains(names, w) {
			names = append(names, w)
		}
	}
	return names
}
