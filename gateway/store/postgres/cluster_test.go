package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/postgres"
	"github.com/portcullis/portcullis/gateway/store/storetest"
)

func admit(ctx context.Context, db *store.DB, name string) error {
	return db.Directory().Update(ctx, func(tx directory.Tx) error {
		return errors.Join(tx.PutVendor(gateway.Vendor{Name: name, State: gateway.Active, Epoch: 1, Version: 1}), tx.Append(audit.Event{Name: audit.VendorAdmitted, Vendor: name}))
	})
}

func node(name string) func(*postgres.Options) {
	return func(o *postgres.Options) { o.Node = name }
}

// sound verifies the whole log, and that each vendor has its entry.
func sound(t *testing.T, db *store.DB, floor audit.Checkpoint) int {
	t.Helper()
	vendors, err := db.Directory().Vendors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, faults, err := audit.Verify(t.Context(), db.Audit(), storetest.Signer(t).Verifier(), floor)
	if err != nil || len(faults) > 0 || r.Size != int64(len(vendors)) || r.Signed.Size != r.Size {
		t.Errorf("%d vendors, %d entries, %d signed: %v %v", len(vendors), r.Size, r.Signed.Size, faults, err)
	}
	return len(vendors)
}

// TestNodesWriteOneLog lets two nodes write at once, from many goroutines and
// for the same names: one of the two is first, the tree is one tree, and both
// followers see each entry in order.
func TestNodesWriteOneLog(t *testing.T) {
	const names = 60
	url := server.Database(t)
	nodes := []*store.DB{open(t, url, node("node-1")), open(t, url, node("node-2"))}
	var follow []<-chan audit.Entry
	for _, db := range nodes {
		follow = append(follow, audit.NewLog(db.Audit(), storetest.Signer(t).Verifier()).Follow(t.Context()))
	}
	var wg sync.WaitGroup
	won := make(chan string, 2*names)
	for i := range names {
		for _, db := range nodes {
			wg.Go(func() {
				name := fmt.Sprint("v", i)
				switch err := admit(t.Context(), db, name); {
				case err == nil:
					won <- name
				case !errors.Is(err, gateway.ErrStale):
					t.Error(err)
				}
				if err := db.Healthy(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if n := sound(t, nodes[0], audit.Checkpoint{}); n != names || len(won) != names {
		t.Fatalf("%d vendors, %d admitted, want %d", n, len(won), names)
	}
	for _, f := range follow {
		for seq := range int64(names) {
			if e := <-f; e.Seq != seq {
				t.Fatalf("followed entry %d, want %d", e.Seq, seq)
			}
		}
	}
}

// TestOtherNodeIsHeard: what one node commits, another's followers hear within
// a second.
func TestOtherNodeIsHeard(t *testing.T) {
	url := server.Database(t)
	a, b := open(t, url, node("node-1")), open(t, url, node("node-2"))
	follow := audit.NewLog(b.Audit(), storetest.Signer(t).Verifier()).Follow(t.Context())
	for i := range 20 {
		begun := time.Now()
		if err := admit(t.Context(), a, fmt.Sprint("v", i)); err != nil {
			t.Fatal(err)
		}
		<-follow
		if took := time.Since(begun); took > time.Second {
			t.Errorf("entry %d was heard after %s", i, took)
		}
	}
}

// TestFrozenWriterHoldsNobodyUp stops a node inside its transaction, with the
// one lock in its hand. The other is through soon after idleLimit, and the
// frozen one, when it thaws, is told that it did nothing.
func TestFrozenWriterHoldsNobodyUp(t *testing.T) {
	url := server.Database(t)
	a, b := open(t, url, node("node-1")), open(t, url, node("node-2"))
	inside, thaw, thawed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		thawed <- a.Directory().Update(t.Context(), func(tx directory.Tx) error {
			err := tx.PutVendor(gateway.Vendor{Name: "acme", State: gateway.Active, Epoch: 1, Version: 1})
			close(inside)
			<-thaw
			return errors.Join(err, tx.Append(audit.Event{Name: audit.VendorAdmitted, Vendor: "acme"}))
		})
	}()
	<-inside
	begun := time.Now()
	err := admit(t.Context(), b, "acme")
	took := time.Since(begun)
	if err != nil || took > postgres.IdleLimit+time.Second {
		t.Errorf("the other node waited %s: %v", took, err)
	}
	close(thaw)
	if err := <-thawed; !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("the one that froze: %v", err)
	}
	if err := admit(t.Context(), a, "nova"); err != nil {
		t.Errorf("after it thawed: %v", err)
	}
	if n := sound(t, a, audit.Checkpoint{}); n != 2 {
		t.Errorf("%d vendors", n)
	}
	t.Logf("the other node waited %s", took)
}

// TestRestoredBackupIsNoticed puts an older copy of the database in its place:
// the checkpoint that a node keeps outside says so.
func TestRestoredBackupIsNoticed(t *testing.T) {
	url := server.Database(t)
	var floor audit.Checkpoint
	keep := func(o *postgres.Options) { o.AfterCommit = func(cp audit.Checkpoint) { floor = cp } }
	write := func(names ...string) {
		db, err := postgres.Open(t.Context(), url, postgres.Options{Sealer: storetest.Signer(t), Machine: storetest.Machine(), AfterCommit: func(cp audit.Checkpoint) { floor = cp }})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if err := admit(t.Context(), db, n); err != nil {
				t.Error(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, name, _ := strings.Cut(strings.TrimSuffix(url, "?sslmode=disable"), "/t")
	write("acme", "nova")
	if err := server.Exec(t.Context(), "postgres", "CREATE DATABASE backup"+name+" TEMPLATE t"+name); err != nil {
		t.Fatal(err)
	}
	write("later")
	restored := open(t, strings.Replace(url, "/t"+name, "/backup"+name, 1), keep)
	_, faults, err := audit.Verify(t.Context(), restored.Audit(), storetest.Signer(t).Verifier(), floor)
	if err != nil || !strings.Contains(fmt.Sprint(faults), "the log was cut") {
		t.Errorf("an older backup: %v %v", faults, err)
	}
}
