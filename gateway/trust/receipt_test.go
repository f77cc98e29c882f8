package trust_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// An administrator of last week keeps his key and can write to the database.
// He dates a redirection of the target back to when he was one.
func TestBackdatingIsFoundOut(t *testing.T) {
	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		with func(w *trusttest.World, s statement.Signed) statement.Receipt
		want string
	}{
		{"without a receipt", func(*trusttest.World, statement.Signed) statement.Receipt { return statement.Receipt{} }, "no gateway has received it"},
		{"with a receipt of now", func(w *trusttest.World, s statement.Signed) statement.Receipt {
			return w.Machine.Receive(s.Digest, w.Now())
		}, "from when it was received"},
		{"with another statement's receipt", func(w *trusttest.World, s statement.Signed) statement.Receipt {
			return w.Store.Statements[w.Store.People[trusttest.Admin].Statement].Receipt
		}, "its receipt"},
		{"with a receipt whose time was changed", func(w *trusttest.World, s statement.Signed) statement.Receipt {
			r := w.Machine.Receive(s.Digest, w.Now())
			st, _, _ := s.Parse()
			r.At = st.At
			return r
		}, "its receipt"},
		{"with a foreign machine's receipt", func(w *trusttest.World, s statement.Signed) statement.Receipt {
			st, _, _ := s.Parse()
			return statement.MachineKey{Private: foreign, Gateway: trusttest.URL}.Receive(s.Digest, st.At)
		}, "not in roots[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trusttest.New(t)
			old := w.Store.Targets[trusttest.Target]
			body := &statement.TargetDefine{
				Name: old.Name, Title: old.Title, Kind_: old.Kind, Address: "203.0.113.66:22", Zone: old.Zone, Impact: old.Impact, Owner: old.Owner,
				Vendors: old.Vendors, HostKeys: []string{trusttest.SSHKeyLine(t)}, Accounts: old.Accounts, Version: 2, Previous: old.Statement,
			}
			forged := w.Sign(trusttest.Admin, body)
			w.Advance(7 * 24 * time.Hour)
			w.Do(statement.Machine, &statement.PersonAdmit{
				Name: trusttest.Admin, Title: "Ada", Roles: []gateway.Role{gateway.Auditor}, Version: 2, Previous: w.Store.People[trusttest.Admin].Statement,
			})
			w.Commit(forged)
			forged.Receipt = c.with(w, forged)
			w.Store.Statements[forged.Digest] = forged
			_, err := w.Cold(nil).Target(t.Context(), trusttest.Target)
			if !gateway.IsCode(err, gateway.CodeRefused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the chain answers %v, want %q", err, c.want)
			}
			if _, err := w.Cold(nil).Check(t.Context(), statement.Signed{Digest: forged.Digest, Bytes: forged.Bytes, Proofs: forged.Proofs}); err == nil {
				t.Error("handed in, it holds")
			}
		})
	}
}

// The same statement, filed in its day, holds: what an administrator defined
// stays defined after he left.
func TestAReceiptInTimeHolds(t *testing.T) {
	w := trusttest.New(t)
	w.Advance(7 * 24 * time.Hour)
	if _, err := w.Cold(nil).Target(t.Context(), trusttest.Target); err != nil {
		t.Error(err)
	}
}
