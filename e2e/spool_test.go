package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestR06SpooledOutage: PostgreSQL is gone, a session ends, the node is killed.
// The end is told with its own reason and time once both are back; nothing was
// agreed to meanwhile.
func TestR06SpooledOutage(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, rig.ClusterOptions{Nodes: 1, Lease: clusterLease.String()})
	c.grant("ana", "pump", time.Hour)
	asked, err := c.Ask(c.ctx, "bob", "pump", time.Hour)
	c.must(err)
	leaves := c.shellAt(0, "ana")
	left := c.sessionAt(0, "ana")
	stays := c.shellAt(0, "ana")
	cut := c.sessionAt(0, "ana") // the newest first

	c.must(c.all.PostgresDown())
	c.lives("a shell without the store", leaves, stays)
	if err := c.Approve(c.ctx, "ben", asked.ID); err == nil {
		t.Error("R-05: something was agreed to without the store")
	}
	c.must(leaves.Type("exit\n"))
	if _, err := leaves.Wait(5 * time.Second); err != nil {
		t.Error(err)
	}
	spool := filepath.Join(c.Data, "spool", "events")
	c.must(rig.Until(c.ctx, 15*time.Second, func() error {
		raw, err := os.ReadFile(spool)
		if err == nil && !strings.Contains(string(raw), `"session.ended"`) {
			err = errors.New("the end is not in the spool")
		}
		return err
	}))
	ended := time.Now()
	c.Kill()
	c.must(c.all.Postgres.Up())
	c.must(c.Start(c.ctx))

	if x := c.ended(left); x.Reason != "target-left" && x.Reason != "client-left" {
		t.Errorf("the session that ended in the outage is on file as %+v", x)
	}
	if x := c.ended(cut); x.Reason != "gateway-crashed" {
		t.Errorf("the session that was live at the kill is on file as %+v", x)
	}
	told := 0
	for _, e := range c.events("session.ended") {
		if e.Session != left {
			continue
		}
		if told++; !strings.HasPrefix(e.Detail["spooled"], "spo_") || time.UnixMicro(e.At).After(ended) {
			t.Errorf("the end reads %+v", e)
		}
	}
	if told != 1 {
		t.Errorf("the end is told %d times", told)
	}
	if _, err := os.Stat(spool); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the spool is still there: %v", err)
	}
	c.verified()
}
