package e2e

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestP9WrittenBeforeDone: when the target is first dialled the event that
// announces the session is in the log already, and a kill -9 at that very
// moment does not take it back.
func TestP9WrittenBeforeDone(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newStory(t, rig.Options{Targets: func(s *rig.Stage) string {
		return fmt.Sprintf("  - {name: slow, title: A slow target, kind: ssh, address: %q, zone: pumps, impact: low, vendors: [acme], host_keys: [%q], accounts: [{name: ops, login: ops, proof: certificate}]}\n",
			l.Addr().String(), s.Plant.HostKey)
	}})
	g := s.grant("ana", "slow", time.Hour)
	s.must(s.Ticket(s.ctx, "ana", g.ID))

	ctx, stop := context.WithCancel(s.ctx)
	defer stop()
	term, err := rig.OpenTerminal(80, 24, "ssh", s.Args("ana", "slow", "-tt")...)
	s.must(err)
	defer term.Close()
	go func() { // a gateway that never dials must not hang the test
		select {
		case <-time.After(30 * time.Second):
			l.Close()
		case <-ctx.Done():
		}
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("the target was not dialled: %v\n%s", err, term.Shown())
	}
	defer c.Close()

	written := s.events("session.opened")
	if len(written) != 1 || written[0].Target != "slow" || written[0].Session == "" {
		t.Fatalf("dialled, and the log says %+v", written)
	}
	if open := s.events("ticket.taken"); len(open) != 1 {
		t.Errorf("dialled before the touch was taken: %+v", open)
	}
	s.Kill()
	s.must(s.Start(s.ctx))
	if again := s.events("session.opened"); len(again) != 1 || again[0].Session != written[0].Session {
		t.Errorf("after kill -9 the log says %+v", again)
	}
	if ended := s.events("session.ended"); len(ended) != 1 {
		t.Errorf("the session of before kill -9 did not come to an end: %+v", ended)
	}
	s.verified()
}
