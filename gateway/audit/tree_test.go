package audit

import (
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// TestTreeAgreesWithTlog grows a log and compares each step with the
// reference: the hashes to store, the root, and the edge read back from what
// was stored.
func TestTreeAgreesWithTlog(t *testing.T) {
	var tree Tree
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		var list []tlog.Hash
		for _, i := range at {
			list = append(list, stored[i])
		}
		return list, nil
	})
	for n := range int64(300) {
		body := fmt.Appendf(nil, "entry %d", n)
		want, err := tlog.StoredHashes(n, body, reader)
		if err != nil {
			t.Fatal(err)
		}
		got := tree.Append(tlog.Hash(LeafHash(body)))
		if fmt.Sprint(got) != fmt.Sprint(want) || int64(len(stored)) != tlog.StoredHashIndex(0, n) {
			t.Fatalf("entry %d stores %d hashes, want %d", n, len(got), len(want))
		}
		stored = append(stored, got...)
		root, err := tlog.TreeHash(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		edge, _ := reader(EdgeIndexes(n + 1))
		again, err := NewTree(n+1, edge)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Root() != root || again.Root() != root {
			t.Fatalf("at size %d the root is %v, want %v; read back %v", n+1, tree.Root(), root, again.Root())
		}
	}
	empty, err := tlog.TreeHash(0, reader)
	if err != nil || new(Tree).Root() != empty {
		t.Errorf("empty root %v, want %v (%v)", new(Tree).Root(), empty, err)
	}
	if _, err := NewTree(5, stored[:1]); err == nil {
		t.Error("a tree was made of too few hashes")
	}
}
