package directory_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

func TestCommitRefusesWithASentenceAndAnEvent(t *testing.T) {
	acme := func(w *trusttest.World) *statement.VendorAdmit {
		row := w.Store.Vendors["acme"]
		return &statement.VendorAdmit{Name: "acme", Title: "Acme", Version: row.Version + 1, Previous: row.Statement}
	}
	for _, c := range []struct {
		name string
		make func(d *desk) statement.Signed
		code gateway.Code
		want string
	}{
		{"an approver is no administrator", func(d *desk) statement.Signed {
			return d.w.Sign(trusttest.Approver, acme(d.w))
		}, gateway.CodeRefused, "only admin"},
		{"an engineer raises himself", func(d *desk) statement.Signed {
			return d.w.Sign(trusttest.Engineer, d.w.Person(trusttest.Engineer, "acme", gateway.Engineer, gateway.Nominator))
		}, gateway.CodeRefused, "only admin"},
		{"built on an older version", func(d *desk) statement.Signed {
			b := acme(d.w)
			d.w.Do(trusttest.Admin, acme(d.w))
			b.Title = "Other"
			return d.w.Sign(trusttest.Admin, b)
		}, gateway.CodeConflict, "changed by somebody else"},
		{"built on another statement", func(d *desk) statement.Signed {
			b := acme(d.w)
			b.Previous = gateway.DigestOf(nil)
			return d.w.Sign(trusttest.Admin, b)
		}, gateway.CodeConflict, "changed by somebody else"},
		{"signed too long ago", func(d *desk) statement.Signed {
			s := d.w.Sign(trusttest.Admin, acme(d.w))
			d.w.Advance(statement.Fresh + time.Second)
			return s
		}, gateway.CodeRefused, "drawn up 1m1s ago"},
		{"person moved to the staff", func(d *desk) statement.Signed {
			return d.w.Sign(trusttest.Admin, d.w.Person(trusttest.Engineer, "", gateway.Admin))
		}, gateway.CodeInvalid, "belongs to one vendor"},
		{"person of an unknown vendor", func(d *desk) statement.Signed {
			return d.w.Sign(trusttest.Admin, d.w.Person("zoe", "nobody", gateway.Engineer))
		}, gateway.CodeInvalid, "is not admitted"},
		{"another room's statement", func(d *desk) statement.Signed {
			return d.w.Sign(trusttest.Responder, &statement.Suspend{ID: gateway.NewID("sus", d.w.Now()), Scope: gateway.Scope{Kind: "vendor", Name: "acme"}, Epoch: 2, Reason: "x"})
		}, gateway.CodeInvalid, "not for the directory"},
		{"unsigned", func(d *desk) statement.Signed {
			s := d.w.Sign(trusttest.Admin, acme(d.w))
			s.Proofs = nil
			return s
		}, gateway.CodeRefused, "0 proofs"},
		{"changed after it was signed", func(d *desk) statement.Signed {
			s := d.w.Sign(trusttest.Admin, acme(d.w))
			s.Bytes = []byte(strings.Replace(string(s.Bytes), "Acme", "Ac3e", 2))
			return s
		}, gateway.CodeRefused, "does not read as what was signed"},
		{"the present row was edited", func(d *desk) statement.Signed {
			s := d.w.Sign(trusttest.Admin, acme(d.w))
			row := d.w.Store.Vendors["acme"]
			row.Networks = nil
			row.Contact = "mallory@example.com"
			d.w.Store.Vendors["acme"] = row
			return s
		}, gateway.CodeRefused, "its contact is not what was signed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, trusttest.New(t))
			s := c.make(d)
			before := len(d.w.Store.Statements)
			_, err := d.Commit(t.Context(), s)
			if !gateway.IsCode(err, c.code) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s %q", err, c.code, c.want)
			}
			if len(d.w.Store.Statements) != before {
				t.Error("the statement was written")
			}
			if e := d.m.last(t); e.Outcome != audit.Refused || e.Reason == "" || e.Rule == "" || e.Statement != s.Digest {
				t.Errorf("event: %+v", e)
			}
		})
	}
}

func TestAStatementIsGoodForOneAct(t *testing.T) {
	d := open(t, trusttest.New(t))
	b, err := d.DraftVendor(t.Context(), statement.VendorAdmit{Name: "beta", Title: "Beta"})
	if err != nil {
		t.Fatal(err)
	}
	s := d.w.Sign(trusttest.Admin, b)
	if _, err := d.Commit(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(t.Context(), s); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("second time: %v", err)
	}
	if _, err := d.DraftVendor(t.Context(), statement.VendorAdmit{Name: "beta", Title: "Beta"}); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("draft that changes nothing: %v", err)
	}
}

func TestOneOfManyAtOnceWinsAndTheOthersAreTold(t *testing.T) {
	d := open(t, trusttest.New(t))
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	var all []statement.Signed
	for i := range 20 {
		b, err := d.DraftVendor(t.Context(), statement.VendorAdmit{Name: "acme", Title: "Acme " + string(rune('A'+i))})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d.w.Sign(trusttest.Admin, b))
	}
	for _, s := range all {
		wg.Go(func() {
			switch _, err := d.Commit(t.Context(), s); {
			case err == nil:
				won.Add(1)
			case gateway.IsCode(err, gateway.CodeConflict):
				lost.Add(1)
			default:
				t.Errorf("commit: %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 19 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
	if v, err := d.w.Chain.Vendor(t.Context(), "acme"); err != nil || v.Version != 2 {
		t.Errorf("acme: %+v, %v", v, err)
	}
}

// Whoever edits a row must not have the next honest signature say it.
func TestAnEditedRowIsNeitherSignedForNorExported(t *testing.T) {
	d := open(t, trusttest.New(t))
	row := d.w.Store.Targets[trusttest.Target]
	row.Address = "203.0.113.9:22"
	d.w.Store.Targets[trusttest.Target] = row
	if _, err := d.DraftTarget(t.Context(), statement.TargetDefine{Name: trusttest.Target, Removed: true}); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("draft: %v", err)
	}
	if _, err := d.Export(t.Context()); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("export: %v", err)
	}
	if got, err := d.Target(t.Context(), trusttest.Target); err != nil || got.Address != row.Address {
		t.Errorf("a read shows the row: %+v, %v", got, err)
	}
}

// nobody gets a role.
func TestAStoreThatDoesNotAnswerIsSaidSo(t *testing.T) {
	d := open(t, trusttest.New(t))
	s := d.w.Sign(trusttest.Admin, d.w.Person("zoe", "", gateway.Auditor))
	d.w.Store.Down = errors.New("disk on fire")
	if _, err := d.Commit(t.Context(), s); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("commit: %v", err)
	}
	if _, err := d.Vendors(t.Context()); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("list: %v", err)
	}
}
