package audit

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/portcullis/portcullis/gateway"
)

// Tree is the right edge of the log's Merkle tree (RFC 6962 clause 2.1): the
// hash of each complete subtree that the size divides into. That is enough to
// append and to know the root, in memory that grows with the logarithm of the
// log. The zero Tree is the empty log. It is a value: a copy is a savepoint.
type Tree struct {
	size int64
	edge [63]tlog.Hash // edge[l] counts where bit l of size is set
}

// EdgeIndexes returns where the edge of a log of that size lies among the
// stored hashes (tlog.StoredHashIndex), smallest subtree first.
func EdgeIndexes(size int64) []int64 {
	var at []int64
	for l := range 63 {
		if size>>l&1 == 1 {
			at = append(at, tlog.StoredHashIndex(l, size>>l-1))
		}
	}
	return at
}

// NewTree returns the tree of that size whose edge is given in the order of
// EdgeIndexes.
func NewTree(size int64, edge []tlog.Hash) (Tree, error) {
	t := Tree{size: size}
	if size < 0 || len(edge) != bits.OnesCount64(uint64(size)) {
		return Tree{}, fmt.Errorf("a log of %d entries does not have an edge of %d hashes", size, len(edge))
	}
	for l := range t.edge {
		if size>>l&1 == 1 {
			t.edge[l], edge = edge[0], edge[1:]
		}
	}
	return t, nil
}

// Size is the number of entries.
func (t *Tree) Size() int64 { return t.size }

// Append adds a leaf hash and returns the hashes to be stored with it, from
// tlog.StoredHashIndex(0, size before) on: the leaf, then each subtree that it
// completes.
func (t *Tree) Append(leaf tlog.Hash) []tlog.Hash {
	h, out, l := leaf, []tlog.Hash{leaf}, 0
	for ; t.size>>l&1 == 1; l++ {
		h = tlog.NodeHash(t.edge[l], h)
		out = append(out, h)
	}
	t.edge[l] = h
	t.size++
	return out
}

// Root is the tree head.
func (t *Tree) Root() tlog.Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	l := bits.TrailingZeros64(uint64(t.size))
	h := t.edge[l]
	for l++; l < len(t.edge); l++ {
		if t.size>>l&1 == 1 {
			h = tlog.NodeHash(t.edge[l], h)
		}
	}
	return h
}

// LeafHash is the RFC 6962 leaf hash of an entry's body.
func LeafHash(body []byte) gateway.Digest { return gateway.Digest(tlog.RecordHash(body)) }
