package postgres_test

import (
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/postgres"
)

// Each node writes its own line, while another holds the writers' turn, and
// sees the others' until they say goodbye.
func TestNodesKnowEachOther(t *testing.T) {
	url := server.Database(t)
	one, two := open(t, url, node("node-1")), open(t, url, node("node-2"))
	rolls := map[string]*store.Roll{"node-1": one.Roll("1"), "node-2": two.Roll("1")}
	began := time.Now()
	for name, r := range rolls {
		if err := r.Beat(t.Context(), 7*time.Second, false); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	list, err := rolls["node-1"].Members(t.Context())
	if err != nil || len(list) != 2 || list[1].Name != "node-2" || list[1].Lease != 7*time.Second {
		t.Fatalf("%+v, %v", list, err)
	}
	if off := list[1].Seen.Sub(began); off.Abs() > time.Second {
		t.Errorf("seen %s from now", off)
	}
	rolls["node-2"].Leave()
	if err := rolls["node-2"].Beat(t.Context(), 7*time.Second, false); err != nil {
		t.Fatal(err)
	}
	if list, err := rolls["node-1"].Members(t.Context()); err != nil || len(list) != 2 || list[0].Leaving || !list[1].Leaving {
		t.Errorf("while node-2 drains: %+v, %v", list, err)
	}
	if err := rolls["node-2"].Beat(t.Context(), 7*time.Second, true); err != nil {
		t.Fatal(err)
	}
	if list, err := rolls["node-1"].Members(t.Context()); err != nil || len(list) != 1 || list[0].Name != "node-1" {
		t.Errorf("after the goodbye: %+v, %v", list, err)
	}
}

// The store tells the time by its own clock, whatever this node takes it for.
func TestClockIsTheServers(t *testing.T) {
	db := open(t, server.Database(t), func(o *postgres.Options) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	at, err := db.Clock()(t.Context())
	if off := time.Since(at); err != nil || off.Abs() > time.Second {
		t.Errorf("%s from now, %v", off, err)
	}
}
