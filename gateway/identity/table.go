package identity

import (
	"crypto/rand"
	"sync"
	"time"
)

// Bounds of what lies in memory. An owner who goes over his own share loses
// his oldest entry; nobody can push out another's.
const (
	maxDrafts     = 4096
	maxDraftsEach = 16
	maxEnrols     = 1024
	maxEnrolsEach = 4
	maxSpent      = 65536 // sign-ins finished within ceremonyTime
)

type entry[V any] struct {
	owner   string
	expires time.Time
	serial  uint64
	value   V
}

// table keeps short-lived values by an unguessable id, bounded in total and
// for each owner.
type table[V any] struct {
	now        func() time.Time
	most, each int

	mu      sync.Mutex
	serial  uint64
	entries map[string]entry[V]
}

func newTable[V any](now func() time.Time, most, each int) *table[V] {
	return &table[V]{now: now, most: most, each: each, entries: map[string]entry[V]{}}
}

// put files a value under a fresh id; false if the table is full.
func (t *table[V]) put(owner string, v V, expires time.Time) (string, bool) {
	id := rand.Text()
	return id, t.putAs(id, owner, v, expires)
}

// putAs is put under a given id; false also if that id is there already.
func (t *table[V]) putAs(id, owner string, v V, expires time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.entries[id]; ok && t.now().Before(e.expires) {
		return false
	}
	if len(t.entries) >= t.most || t.each < t.most {
		t.sweep(owner)
	}
	if len(t.entries) >= t.most {
		return false
	}
	t.serial++
	t.entries[id] = entry[V]{owner: owner, expires: expires, serial: t.serial, value: v}
	return true
}

// sweep drops what has expired, and the owner's oldest if his share is full.
func (t *table[V]) sweep(owner string) {
	now, count, oldest := t.now(), 0, ""
	for id, e := range t.entries {
		if !now.Before(e.expires) {
			delete(t.entries, id)
			continue
		}
		if e.owner != owner {
			continue
		}
		count++
		if oldest == "" || e.serial < t.entries[oldest].serial {
			oldest = id
		}
	}
	if count >= t.each {
		delete(t.entries, oldest)
	}
}

// get reads a value of that owner that has not expired.
func (t *table[V]) get(id, owner string) (V, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.entries[id]
	if !ok || e.owner != owner || !t.now().Before(e.expires) {
		var none V
		return none, false
	}
	return e.value, true
}

// take is get, once.
func (t *table[V]) take(id, owner string) (V, bool) {
	v, ok := t.get(id, owner)
	if !ok {
		return v, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok = t.entries[id]; !ok {
		var none V
		return none, false
	}
	delete(t.entries, id)
	return v, true
}

func (t *table[V]) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}
