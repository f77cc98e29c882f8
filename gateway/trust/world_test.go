package trust_test

import (
	"context"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// check reads everything that stands in the rows and reports the first that
// the chain refuses.
func check(w *trusttest.World) error {
	ctx := context.Background()
	for name := range w.Store.Vendors {
		if _, err := w.Chain.Vendor(ctx, name); err != nil {
			return err
		}
	}
	for name := range w.Store.People {
		if _, err := w.Chain.Person(ctx, name); err != nil {
			return err
		}
	}
	for name := range w.Store.Targets {
		if _, err := w.Chain.Target(ctx, name); err != nil {
			return err
		}
	}
	for id := range w.Store.Authenticators {
		if _, err := w.Chain.Authenticator(ctx, id); err != nil {
			return err
		}
	}
	for _, s := range w.Log {
		if _, err := w.Chain.Check(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func TestTheWorldHolds(t *testing.T) {
	w := trusttest.New(t)
	w.AddSSHKey(trusttest.Engineer)
	w.EnrolMore(trusttest.Approver)
	if err := check(w); err != nil {
		t.Fatal(err)
	}
	for fp := range w.Store.SSHKeys {
		if k, err := w.Chain.SSHKey(context.Background(), fp); err != nil || k.Person != trusttest.Engineer {
			t.Errorf("SSH key: %+v, %v", k, err)
		}
	}
	for id := range w.Store.Invitations {
		if _, err := w.Chain.Invitation(context.Background(), id); err != nil {
			t.Errorf("invitation: %v", err)
		}
	}
	if _, err := w.Chain.Vendor(context.Background(), "nobody"); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("unknown vendor: %v", err)
	}
}
