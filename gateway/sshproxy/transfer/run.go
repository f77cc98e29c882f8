package transfer

import (
	"bytes"
	"hash"
	"hash/maphash"
	"slices"

	"github.com/portcullis/portcullis/gateway"
)

// maxAhead bounds what one channel keeps of bytes that came before those in
// front of them; a client with 64 requests of 32 KiB under way fits twice.
const maxAhead = 4 << 20

// aheadCost is what a kept piece costs besides its bytes.
const aheadCost = 128

// maxSeen bounds the pieces of one file that are known again when they come
// once more. paramiko gives up what it has asked for ahead when one piece is not
// there yet, and reads the rest of the file a second time. Each is paid for from
// the channel's room.
const (
	maxSeen  = 4096
	seenCost = 32
)

// seen is a piece that was summed. The mark is of this process alone, so that
// no target can make two pieces look alike.
type seen struct {
	off  uint64
	n    int
	mark uint64
}

var marks = maphash.MakeSeed()

// run sums the bytes of one file in the file's order, in whatever order
// they come, as long as they can be brought into one row.
type run struct {
	sums        summer
	sum         hash.Hash
	begun, lost bool
	start, next uint64
	ahead       map[uint64][]byte
	seen        []seen // the last maxSeen pieces, in no order
	oldest      int    // of them
	bytes       int64
}

// feed takes bytes that stand at off. room is what the channel may still keep.
func (r *run) feed(off uint64, p []byte, room *int) {
	r.bytes += int64(len(p))
	if r.lost || len(p) == 0 {
		return
	}
	if !r.begun && off == 0 {
		r.begin(0)
	}
	if !r.begun && *room < len(p)+aheadCost {
		r.begin(min(off, r.lowest(off)))
		r.drain(room)
	}
	held, twice := r.ahead[off]
	switch {
	case twice && bytes.Equal(held, p), r.begun && off < r.next && r.again(off, p):
	case r.begun && off == r.next:
		r.take(p, room)
		r.drain(room)
	case r.begun && off < r.next, twice, *room < len(p)+aheadCost:
		r.lose(room)
	default:
		if r.ahead == nil {
			r.ahead = map[uint64][]byte{}
		}
		r.ahead[off] = append([]byte(nil), p...)
		*room -= len(p) + aheadCost
	}
}

// follow takes bytes that stand wherever the last ones ended.
func (r *run) follow(first uint64, p []byte, room *int) {
	if !r.begun {
		r.begin(first)
	}
	r.feed(r.next, p, room)
}

func (r *run) begin(off uint64) {
	r.begun, r.start, r.next, r.sum = true, off, off, r.sums.begin()
}

// again reports whether p is a piece that was summed before.
func (r *run) again(off uint64, p []byte) bool {
	return slices.Contains(r.seen, seen{off, len(p), maphash.Bytes(marks, p)})
}

func (r *run) take(p []byte, room *int) {
	piece := seen{r.next, len(p), maphash.Bytes(marks, p)}
	switch {
	case len(r.seen) < maxSeen && *room >= seenCost:
		r.seen = append(r.seen, piece)
		*room -= seenCost
	case len(r.seen) > 0:
		r.oldest %= len(r.seen)
		r.seen[r.oldest] = piece
		r.oldest++
	}
	_, _ = r.sum.Write(p) // a hash takes everything
	r.next += uint64(len(p))
}

func (r *run) drain(room *int) {
	for {
		p, ok := r.ahead[r.next]
		if !ok {
			return
		}
		delete(r.ahead, r.next)
		*room += len(p) + aheadCost
		r.take(p, room)
	}
}

func (r *run) lowest(off uint64) uint64 {
	for at := range r.ahead {
		off = min(off, at)
	}
	return off
}

func (r *run) lose(room *int) {
	for _, p := range r.ahead {
		*room += len(p) + aheadCost
	}
	r.forget(room)
	r.lost, r.ahead, r.sum = true, nil, nil
}

// forget gives back what the pieces that were seen cost.
func (r *run) forget(room *int) {
	*room += len(r.seen) * seenCost
	r.seen = nil
}

// finish says what the bytes were; ok is false when they made no row.
func (r *run) finish(room *int) (sum gateway.Digest, ok bool) {
	if !r.begun && !r.lost {
		var first uint64
		if len(r.ahead) > 0 {
			first = r.lowest(^uint64(0))
		}
		r.begin(first)
		r.drain(room)
	}
	if len(r.ahead) > 0 {
		r.lose(room)
	}
	if r.lost {
		return sum, false
	}
	r.forget(room)
	r.sum.Sum(sum[:0])
	return sum, true
}
