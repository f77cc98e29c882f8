package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestClusterTunnel: a tunnel is the node's that opened it. Its configuration
// is worth nothing at another, where a new key and a new touch open another
// tunnel; the gate that falls at one node ends what runs at all.
func TestClusterTunnel(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	c := newClusterOf(t, rig.ClusterOptions{Nodes: 2, Lease: clusterLease.String(), Stage: rig.Options{
		Lab: lab, Targets: func(*rig.Stage) string { return lab.Target("plc", "headers") },
	}})
	s := &tunnelStory{c.story, lab, make(chan chan error, 8)}
	s.echoes()
	grant := s.networkGrant("ana", time.Hour, "hmi.plant:7/tcp")

	site, err := lab.Site("ana")
	s.must(err)
	private, public, err := rig.NewPeer()
	s.must(err)
	first, err := s.OpenTunnel(s.ctx, "ana", grant, public)
	s.must(err)
	there := first
	there.Endpoint = c.all.Nodes[1].VPN
	s.must(site.Up(s.ctx, there.Conf(private)))
	s.silent(site)
	s.must(site.Down(s.ctx))
	s.must(site.Up(s.ctx, first.Conf(private)))
	one := s.flows(site)

	ana := s.People["ana"].At(c.all.Nodes[1])
	other, err := lab.Site("ana2")
	s.must(err)
	var no *rig.Problem
	if err := ana.Act(s.ctx, "session.open", map[string]string{"grant": grant, "peer": public}, nil); !errors.As(err, &no) {
		t.Errorf("a key that has a tunnel at node 1 at node 2: %v", err)
	}
	private, public, err = rig.NewPeer()
	s.must(err)
	var second rig.Tunnel
	s.must(ana.Act(s.ctx, "session.open", map[string]string{"grant": grant, "peer": public}, &second))
	if second.Endpoint != c.all.Nodes[1].VPN || second.ServerKey == first.ServerKey || second.Address4 == first.Address4 {
		t.Errorf("node 2 gives %s, %s, %s, and node 1 %s, %s, %s", second.Endpoint, second.ServerKey, second.Address4, first.Endpoint, first.ServerKey, first.Address4)
	}
	s.must(other.Up(s.ctx, second.Conf(private)))
	two := s.flows(other)

	r, err := s.CLI(s.ctx, "doctor")
	s.must(err)
	says(t, "doctor of the nodes' tunnels", r.Out, "node-2's tunnels are in nobody's way")
	s.suspend("vendor", rig.Acme, "breach") // at node 1
	answered := time.Now()
	s.reset(one, answered)
	s.reset(two, answered)
	for _, session := range []string{first.Session, second.Session} {
		if got := s.ended(session); got.Reason != "suspended" {
			t.Errorf("%s ended by %q", session, got.Reason)
		}
	}
}
