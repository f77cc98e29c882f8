package e2e

import (
	"database/sql"
	"net"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite" // opens the gateway's database as a thief would

	"github.com/portcullis/portcullis/e2e/rig"
)

// edit changes the gateway's database under its feet.
func (s *story) edit(statements ...string) {
	s.Helper()
	db, err := sql.Open("sqlite", "file:"+s.Store()+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(0)")
	s.must(err)
	defer db.Close()
	for _, text := range statements {
		r, err := db.ExecContext(s.ctx, text)
		if err != nil {
			s.Fatalf("%s: %v", text, err)
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			s.Fatalf("%s changed nothing: the test no longer knows the database", text)
		}
	}
}

// shut fails if ana gets anything through by a ticket or by her key alone.
func (s *story) shut(grant string) {
	s.Helper()
	ticket := s.Ticket(s.ctx, "ana", grant)
	status, out, errOut := s.ssh("ana", "pump", "echo in; uname -a")
	if status == 0 || out != "" {
		s.Errorf("the edited database opened the target: %d %q (ticket: %v)", status, out, ticket)
	}
	if errOut == "" {
		s.Errorf("shut without a word")
	}
}

// TestP5EditedStore: whoever writes to the database cannot mint, widen or
// redirect anything with it.
func TestP5EditedStore(t *testing.T) {
	t.Parallel()
	t.Run("a longer window", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		g := s.grant("ana", "pump", time.Hour)
		s.edit(`UPDATE grants SET ends = ends + 3600000000 WHERE person = 'ana'`)
		s.shut(g.ID)
	})
	t.Run("a grant opened again", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		g := s.grant("ana", "pump", time.Hour)
		s.must(s.People["ben"].Post(s.ctx, "/api/v1/grants/"+g.ID+"/revoke", map[string]string{"word": "enough"}, nil))
		s.edit(`UPDATE grants SET state = 'open', closed = 0, closed_by = '', why = '' WHERE person = 'ana'`)
		s.shut(g.ID)
		s.Kill()
		s.must(s.Start(s.ctx))
		s.shut(g.ID)
	})
	t.Run("a grant of somebody else's", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		g := s.grant("bob", "pump", time.Hour)
		s.edit(`UPDATE grants SET person = 'ana', vendor = 'acme'`, `UPDATE requests SET person = 'ana', vendor = 'acme'`)
		s.shut(g.ID)
	})
	t.Run("a request that nobody approved", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		asked, err := s.Ask(s.ctx, "ana", "pump", time.Hour)
		s.must(err)
		g := s.grant("bob", "pump", time.Hour)
		s.edit(`UPDATE requests SET state = 'granted' WHERE id = '`+asked.ID+`'`,
			`INSERT INTO approvals (request, person, starts, ends, length, abilities, statement, made) SELECT '`+asked.ID+`', person, starts, ends, length, abilities, statement, made FROM approvals`,
			`UPDATE grants SET person = 'ana', vendor = 'acme', request = '`+asked.ID+`'`)
		s.shut(g.ID)
	})
	t.Run("more than was agreed", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		var asked rig.Request
		s.must(s.People["ana"].Post(s.ctx, "/api/v1/requests", map[string]any{
			"target": "pump", "account": "ops", "seconds": 3600, "abilities": []string{"shell"}, "reason": "look at the panel",
		}, &asked))
		s.must(s.Approve(s.ctx, "ben", asked.ID))
		g, err := s.GrantOf(s.ctx, "ana", asked.ID)
		s.must(err)
		s.edit(`UPDATE grants SET abilities = '{"exec":true,"shell":true}'`)
		s.shut(g.ID)
	})
	t.Run("another address for the target", func(t *testing.T) {
		trap, dialled := listener(t)
		s := newStory(t, rig.Options{})
		g := s.grant("ana", "pump", time.Hour)
		s.edit(`UPDATE targets SET address = '` + trap + `'`)
		s.shut(g.ID)
		if dialled.Load() != 0 {
			t.Error("the gateway dialled the address that the thief wrote")
		}
	})
	t.Run("a foreign SSH key as hers", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		s.grant("ana", "pump", time.Hour)
		s.edit(`DELETE FROM ssh_keys WHERE person = 'ana'`, `UPDATE ssh_keys SET person = 'ana' WHERE person = 'bob'`)
		status, out, _ := s.ssh("bob", "pump", "echo in")
		if status == 0 || out != "" {
			t.Errorf("bob's key came in as ana: %d %q", status, out)
		}
	})
	t.Run("a foreign FIDO2 key as an approver's", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		asked, err := s.Ask(s.ctx, "ana", "pump", time.Hour)
		s.must(err)
		s.edit(`UPDATE authenticators SET public_key = (SELECT public_key FROM authenticators WHERE person = 'ana') WHERE person = 'ben'`)
		c, err := s.People["ben"].Draft(s.ctx, "request.approve", map[string]string{"request": asked.ID})
		if err != nil {
			refused(t, err)
			return
		}
		assertion, err := s.People["ana"].Key.Get(c.Options)
		s.must(err)
		refused(t, s.People["ben"].Post(s.ctx, "/api/v1/acts/"+c.ID, map[string]any{"assertion": assertion}, nil))
	})
	t.Run("a role for herself", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		asked, err := s.Ask(s.ctx, "bob", "pump", time.Hour)
		s.must(err)
		s.edit(`UPDATE people SET vendor = '', roles = '["approver","admin"]' WHERE name = 'ana'`)
		refused(t, s.Approve(s.ctx, "ana", asked.ID))
		refused(t, s.People["ana"].Act(s.ctx, "person.invite", map[string]string{"person": "ana"}, nil))
	})
	t.Run("an approver's login", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		asked, err := s.Ask(s.ctx, "ana", "pump", time.Hour)
		s.must(err)
		s.edit(`UPDATE logins SET person = 'ben', vendor_epoch = 0 WHERE person = 'ana'`)
		refused(t, s.Approve(s.ctx, "ana", asked.ID)) // ana's cookie, ana's key
	})
	t.Run("a vendor lifted from its suspension", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		g := s.grant("ana", "pump", time.Hour)
		s.suspend("vendor", rig.Acme, "breach notice")
		s.edit(`UPDATE vendors SET state = 'active', epoch = 1 WHERE name = 'acme'`,
			`UPDATE grants SET state = 'open', closed = 0, closed_by = '', why = ''`,
			`DELETE FROM suspensions`, `DELETE FROM statements WHERE kind = 'suspend'`)
		s.shut(g.ID)
		s.Kill()
		if err := s.Start(s.ctx); err == nil { // refusing to start on such a store would do as well
			s.shut(g.ID)
		}
	})
	//
	t.Run("an older copy of all of it", func(t *testing.T) {
		s := newStory(t, rig.Options{})
		g := s.grant("ana", "pump", time.Hour)
		old := s.backup()
		s.suspend("vendor", rig.Acme, "breach notice")
		s.putBack(old)
		s.shut(g.ID)
		refused(t, s.People["ana"].Get(s.ctx, "/api/v1/requests", nil))
		r, err := s.CLI(s.ctx, "audit", "verify")
		s.must(err)
		if r.Status == 0 {
			t.Errorf("an older copy passes: %s", r.Out)
		}
	})
}

// listener counts who dials it.
func listener(t *testing.T) (addr string, dialled *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialled = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), dialled
}
