package trust

import (
	"container/list"
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// maxProven bounds how many statements are remembered as proven.
const maxProven = 4096

// cache remembers statements whose proofs were verified. A statement is
// immutable and named by its digest, so what was proven once stays proven;
// what can change (heads, suspensions, removals) is never kept here. The
// longest unused one is forgotten first.
type cache struct {
	mu    sync.Mutex
	limit int
	order *list.List // of *fact, most recently used in front
	at    map[gateway.Digest]*list.Element
}

func newCache(limit int) *cache {
	return &cache{limit: limit, order: list.New(), at: make(map[gateway.Digest]*list.Element)}
}

func (c *cache) get(d gateway.Digest) *fact {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.at[d]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	f, _ := e.Value.(*fact)
	return f
}

func (c *cache) put(f *fact) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.at[f.s.Digest]; ok {
		e.Value = f
		c.order.MoveToFront(e)
		return
	}
	c.at[f.s.Digest] = c.order.PushFront(f)
	if c.order.Len() > c.limit {
		last := c.order.Back()
		f, _ := c.order.Remove(last).(*fact)
		delete(c.at, f.s.Digest)
	}
}
