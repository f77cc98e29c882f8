package transfer

import (
	"crypto/sha256"
	"testing"
)

// A client may read a piece twice; the file is the same then. A piece that has
// changed in between belongs to no one file, and no digest is told.
func TestPieceThatComesTwice(t *testing.T) {
	a, b := []byte("the first piece."), []byte("and the second")
	for name, c := range map[string]struct {
		feed func(r *run, room *int)
		ok   bool
	}{
		"after it was summed": {func(r *run, room *int) { r.feed(0, a, room); r.feed(0, a, room); r.feed(16, b, room) }, true},
		"ahead of its turn":   {func(r *run, room *int) { r.feed(16, b, room); r.feed(16, b, room); r.feed(0, a, room) }, true},
		"long after":          {func(r *run, room *int) { r.feed(0, a, room); r.feed(16, b, room); r.feed(0, a, room) }, true},
		"and has changed": {func(r *run, room *int) {
			r.feed(0, a, room)
			r.feed(0, []byte("the fist piece.."), room)
			r.feed(16, b, room)
		}, false},
		"changed, ahead": {func(r *run, room *int) {
			r.feed(16, b, room)
			r.feed(16, []byte("and the sicond"), room)
			r.feed(0, a, room)
		}, false},
		"in another cut": {func(r *run, room *int) { r.feed(0, a, room); r.feed(0, a[:4], room); r.feed(16, b, room) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, room := run{}, maxAhead
			c.feed(&r, &room)
			sum, ok := r.finish(&room)
			if ok != c.ok {
				t.Fatalf("a digest: %v", ok)
			}
			if want := sha256.Sum256(append(append([]byte(nil), a...), b...)); ok && sum != want {
				t.Errorf("the digest is %s", sum)
			}
			if room != maxAhead {
				t.Errorf("%d of the room is not given back", maxAhead-room)
			}
		})
	}
}

func TestSeenIsBounded(t *testing.T) {
	r, room := run{}, maxAhead
	for off := range uint64(3 * maxSeen) {
		r.feed(off, []byte{byte(off)}, &room)
	}
	if len(r.seen) != maxSeen || r.lost {
		t.Errorf("%d pieces kept, lost %v", len(r.seen), r.lost)
	}
	if r.finish(&room); room != maxAhead {
		t.Errorf("%d of the room is not given back", maxAhead-room)
	}
	none := 0
	r = run{}
	r.feed(0, []byte("a"), &none)
	if len(r.seen) != 0 || none != 0 {
		t.Errorf("%d pieces kept without room, %d left", len(r.seen), none)
	}
}
