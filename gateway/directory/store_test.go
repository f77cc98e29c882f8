package directory_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store/storetest"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// The same story on the real store: what it writes, the chain reads back and
// verifies, field by field.
func TestTheRealStoreKeepsWhatTheChainVerifies(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	floor, err := trust.OpenFloor(filepath.Join(t.TempDir(), "floor"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = floor.Close() })
	db := storetest.Open(t)
	machine := statement.MachineKey{Private: private, Gateway: trusttest.URL}
	root, _ := private.Public().(ed25519.PublicKey)
	chain := trust.New(trust.Config{Store: db.Trust(), Roots: []ed25519.PublicKey{root}, RP: trusttest.RP, Gateway: trusttest.URL, Floor: floor})
	d := directory.New(directory.Config{Store: db.Directory(), Chain: chain, Floor: floor})
	sign := func(b statement.Body) (statement.Signed, error) { return machine.Sign(time.Now(), b) }
	apply := func(file string, want directory.Action) {
		t.Helper()
		changes, err := d.Apply(t.Context(), []byte(file), sign, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if c.Action != want {
				t.Errorf("%s %s is %s: %v; want %s", c.Kind, c.Name, c.Action, c.Lines, want)
			}
		}
	}
	file := strings.Replace(plant, "HOSTKEY", trusttest.SSHKeyLine(t), 1)
	apply(file, directory.Added)
	apply(file, directory.Unchanged)
	out, err := d.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	apply(string(out), directory.Unchanged)

	race(t, d, sign)
	if v, err := chain.Vendor(t.Context(), "acme"); err != nil || v.Version != 2 || floor.At("vendor:acme") != 2 {
		t.Errorf("acme after the race: %+v, %v, floor %d", v, err, floor.At("vendor:acme"))
	}
	apply("vendors: [{name: acme, removed: true}]", directory.Removed)
	if v, err := d.Vendor(t.Context(), "acme"); err != nil || v.State != gateway.Removed {
		t.Errorf("acme after its removal: %+v, %v", v, err)
	}
	if _, err := chain.Epochs(context.Background(), "eve"); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("eve after the removal of her vendor: %v", err)
	}
}

// race commits ten changes of one vendor that were all drawn up before any.
func race(t *testing.T, d *directory.Directory, sign func(statement.Body) (statement.Signed, error)) {
	t.Helper()
	var all []statement.Signed
	for i := range 10 {
		b, err := d.DraftVendor(t.Context(), statement.VendorAdmit{Name: "acme", Title: "Acme " + string(rune('A'+i))})
		if err != nil {
			t.Fatal(err)
		}
		s, err := sign(b)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	var wg sync.WaitGroup
	won := make(chan struct{}, len(all))
	for _, s := range all {
		wg.Go(func() {
			if _, err := d.Commit(t.Context(), s); err == nil {
				won <- struct{}{}
			} else if !gateway.IsCode(err, gateway.CodeConflict) {
				t.Errorf("commit: %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d of %d won", len(won), len(all))
	}
}
