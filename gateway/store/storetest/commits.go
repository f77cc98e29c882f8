package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/store"
)

var errChanged = errors.New("changed my mind")

func event(name audit.Name, actor string) audit.Event {
	return audit.Event{Name: name, Actor: actor, At: began}
}

func sound(t testing.TB, db *store.DB, size int64) {
	t.Helper()
	r, faults, err := audit.Verify(t.Context(), db.Audit(), Signer(t).Verifier(), audit.Checkpoint{})
	if err != nil || len(faults) > 0 || r.Size != size || r.Signed.Size != size {
		t.Errorf("the log has %d entries, %d signed, want %d: %v %v", r.Size, r.Signed.Size, size, faults, err)
	}
}

// whole tells the story of updates that fail beside others that do not.
func whole(t *testing.T, db *store.DB) {
	ctx := t.Context()
	together(60, func(i int) {
		err := db.Directory().Update(ctx, func(tx directoryTx) error {
			if err := errors.Join(tx.PutVendor(vendor(fmt.Sprintf("v%02d", i))), tx.Append(event(audit.VendorAdmitted, "olga"))); err != nil {
				return err
			}
			if i%3 == 0 {
				return errChanged
			}
			return nil
		})
		if i%3 == 0 {
			want(t, "its own error", err, errChanged)
		} else if err != nil {
			t.Error(err)
		}
	})
	list, err := db.Directory().Vendors(ctx)
	if err != nil || len(list) != 40 {
		t.Errorf("%d vendors, want 40: %v", len(list), err)
	}
	sound(t, db, 40)

	// An event that cannot be written fails the update, though f forgives it.
	err = db.Directory().Update(ctx, func(tx directoryTx) error {
		_ = tx.PutVendor(vendor("quiet"))
		_ = tx.Append(audit.Event{Name: "vendor.sneaked-in"})
		return nil
	})
	if err == nil {
		t.Error("an update was made durable without its event")
	}
	_, err = db.Directory().Vendor(ctx, "quiet")
	want(t, "what it wrote", err, gateway.ErrNotFound)
	sound(t, db, 40)
}

func panics(t *testing.T, db *store.DB) {
	ctx := t.Context()
	together(20, func(i int) {
		defer func() {
			if r := recover(); (r != nil) != (i%2 == 0) {
				t.Errorf("update %d recovered %v", i, r)
			}
		}()
		_ = db.Directory().Update(ctx, func(tx directoryTx) error {
			_ = errors.Join(tx.PutVendor(vendor(fmt.Sprint("v", i))), tx.Append(event(audit.VendorAdmitted, "olga")))
			if i%2 == 0 {
				panic("oh no")
			}
			return nil
		})
	})
	list, err := db.Directory().Vendors(ctx)
	if err != nil || len(list) != 10 {
		t.Errorf("%d vendors, want 10: %v", len(list), err)
	}
	sound(t, db, 10)
}

func cancelled(t *testing.T, db *store.DB) {
	gone := errors.New("the engineer left")
	ctx, cancel := context.WithCancelCause(t.Context())
	inside, leave := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- db.Directory().Update(ctx, func(tx directoryTx) error {
			close(inside)
			<-leave
			return tx.PutVendor(vendor("acme"))
		})
	}()
	<-inside
	second := make(chan error, 1)
	go func() {
		second <- db.Directory().Update(ctx, func(directoryTx) error {
			t.Error("an update began after its caller had left")
			return nil
		})
	}()
	cancel(gone)
	want(t, "the one that waited", <-second, gone)
	close(leave)
	if err := <-first; err != nil {
		t.Errorf("the one that had begun is seen through: %v", err)
	}
	want(t, "one that comes later", db.Directory().Update(ctx, func(directoryTx) error { return nil }), gone)
	if _, err := db.Directory().Vendor(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
}

// logOrder appends from many goroutines; each one's own events must stand in
// the order it wrote them in.
func logOrder(t *testing.T, db *store.DB) {
	const writers, each = 20, 5
	log := audit.NewLog(db.Audit(), Signer(t).Verifier())
	together(writers, func(i int) {
		for n := range each {
			e := event(audit.SessionOpened, fmt.Sprint("p", i))
			e.Detail = map[string]string{"n": fmt.Sprint(n)}
			if err := log.Append(t.Context(), e); err != nil {
				t.Error(err)
			}
		}
	})
	sound(t, db, writers*each)
	entries, err := log.Tail(t.Context(), writers*each)
	ok(t, err)
	next := map[string]int{}
	for i, entry := range entries {
		e, err := entry.Event()
		ok(t, err)
		if entry.Seq != int64(i) || e.Detail["n"] != fmt.Sprint(next[e.Actor]) {
			t.Fatalf("entry %d has number %d and is %s's %s", i, entry.Seq, e.Actor, e.Detail["n"])
		}
		next[e.Actor]++
	}
}

func logRead(t *testing.T, db *store.DB) {
	ctx, stop := context.WithCancel(t.Context())
	log := audit.NewLog(db.Audit(), Signer(t).Verifier())
	ok(t, log.Append(ctx, event(audit.GatewayStarted, "gateway")))
	follow := log.Follow(ctx)
	for i := range 30 {
		e := audit.Event{Name: audit.SessionEnded, At: began.Add(time.Duration(i) * time.Minute), Actor: "gateway", Person: "ana", Vendor: "acme", Session: fmt.Sprint("ses_", i), Reason: `the "window" is over — näch 100%_`}
		if i%2 == 1 {
			e.Name, e.Actor, e.Person = audit.LoginMade, "ana", ""
		}
		ok(t, log.Append(ctx, e))
	}
	for i := range int64(30) {
		if e := <-follow; e.Seq != i+1 {
			t.Fatalf("followed entry %d, want %d", e.Seq, i+1)
		}
	}
	stop()
	for range follow { // closed once its context is done
		t.Error("an entry that nobody wrote")
	}
	for what, q := range map[string]struct {
		q    audit.Query
		want int
	}{
		"all":            {audit.Query{Limit: audit.MaxPage}, 31},
		"by name":        {audit.Query{Name: audit.LoginMade}, 15},
		"by person":      {audit.Query{Person: "ana"}, 30},
		"by vendor":      {audit.Query{Vendor: "acme", Limit: 7}, 7},
		"by session":     {audit.Query{Session: "ses_3"}, 1},
		"by time":        {audit.Query{From: began.Add(10 * time.Minute), To: began.Add(12 * time.Minute)}, 2},
		"below":          {audit.Query{Before: 5, Limit: 100}, 5},
		"text":           {audit.Query{Text: `THE "Window"`}, 30},
		"text with %":    {audit.Query{Text: `100%_`}, 30},
		"text with ä":    {audit.Query{Text: `NÄCH`, Limit: 3}, 3},
		"text of JSON":   {audit.Query{Text: `metadata`}, 0},
		"text and below": {audit.Query{Text: "window", Before: 3}, 2},
	} {
		got, err := log.Search(t.Context(), q.q)
		if err != nil || len(got) != q.want {
			t.Errorf("%s: %d entries, want %d: %v", what, len(got), q.want, err)
		}
	}
	tail, err := log.Tail(t.Context(), 2)
	if err != nil || len(tail) != 2 || tail[0].Seq != 29 || tail[1].Seq != 30 {
		t.Errorf("tail: %v %v", tail, err)
	}
}

// groupCommit opens two hundred sessions while a commit is held up, and counts
// the commits that it took.
func groupCommit(t *testing.T, db *store.DB) {
	inside, leave, begun := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var saw, waiting atomic.Int64
	held := make(chan error, 1)
	go func() {
		held <- db.Session().Update(t.Context(), func(tx sessionTx) error {
			close(inside)
			<-leave
			return tx.Append(event(audit.GatewayStarted, "gateway"))
		})
	}()
	<-inside
	go func() { // lets go when all of them are on their way
		<-begun
		close(leave)
	}()
	together(200, func(i int) {
		if waiting.Add(1) == 200 {
			close(begun)
		}
		err := db.Session().Update(t.Context(), func(tx sessionTx) error {
			s := session(i, "ana", "acme")
			saw.Add(1)
			return errors.Join(tx.PutSession(s), tx.Append(audit.Event{Name: audit.SessionOpened, At: began, Session: s.ID}))
		})
		if err != nil {
			t.Error(err)
		}
	})
	ok(t, <-held)
	r, faults, err := audit.Verify(t.Context(), db.Audit(), Signer(t).Verifier(), audit.Checkpoint{})
	if err != nil || len(faults) > 0 || r.Size != 201 || saw.Load() != 200 {
		t.Fatalf("%d entries from %d updates: %v %v", r.Size, saw.Load(), faults, err)
	}
	// Each commit that appended signed one checkpoint.
	if r.Checkpoints > 40 {
		t.Errorf("201 updates took %d commits", r.Checkpoints)
	}
	t.Logf("201 updates took %d commits", r.Checkpoints)
}

func closed(t *testing.T, db *store.DB) {
	ok(t, db.Healthy(t.Context()))
	ok(t, db.Close())
	ok(t, db.Close())
	for what, err := range map[string]error{
		"update": db.Directory().Update(t.Context(), func(directoryTx) error { return nil }),
		"health": db.Healthy(t.Context()),
		"read":   second(db.Directory().Vendors(t.Context())),
	} {
		if !gateway.IsCode(err, gateway.CodeUnavailable) || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
