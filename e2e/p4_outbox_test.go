package e2e

import (
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestP4SuspendedWithoutTheStore: PostgreSQL is gone, root suspends at one
// node's socket, that node closes at once, is killed and started again, and all
// nodes follow when PostgreSQL is back.
func TestP4SuspendedWithoutTheStore(t *testing.T) {
	c := newCluster(t)
	c.grant("ana", "pump", time.Hour)
	shell := c.shellAt(0, "ana")
	c.must(c.all.PostgresDown())
	began := time.Now()
	res, err := c.CLI(c.ctx, "suspend", "vendor", rig.Acme, "--reason", "breach news")
	c.must(err)
	says(t, "the command", res.Out, "PENDING", "only this node has closed")
	if _, err := shell.Wait(5 * time.Second); err != nil {
		t.Errorf("the session goes on: %v", err)
	}
	if took := time.Since(began); took > clusterLease-time.Second {
		t.Errorf("closed after %s, which the lease does by itself", took)
	}
	if files, _ := filepath.Glob(filepath.Join(c.Data, "outbox", "*.order")); len(files) != 1 {
		t.Errorf("outbox: %v", files)
	}
	c.Kill()
	c.must(c.all.Postgres.Up())
	c.must(c.Start(c.ctx))
	c.must(rig.Until(c.ctx, 30*time.Second, func() error {
		var v struct {
			State string `json:"state"`
		}
		if err := c.Machine().Get(c.ctx, "/api/v1/vendors/"+rig.Acme, &v); err != nil {
			return err
		}
		if v.State != "suspended" {
			return io.ErrNoProgress
		}
		return nil
	}))
}
