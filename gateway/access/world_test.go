package access_test

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/sqlite"
	"github.com/portcullis/portcullis/gateway/store/storetest"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
	"github.com/portcullis/portcullis/policy"
)

// core is a target of high impact: two agree.
const core = "core"

// world is the access room on a real store and a real chain, with people who
// hold software keys.
type world struct {
	*trusttest.World
	t     *testing.T
	db    *store.DB
	path  string // of the database
	chain *trust.Chain
	svc   *access.Service
	done  int // of World.Log is in the database

	mu    sync.Mutex
	ended []string // what OnGrantClosed was told
}

func newWorld(t *testing.T, change ...func(*access.Config)) *world {
	t.Helper()
	t.Parallel()
	w := &world{World: trusttest.New(t), t: t}
	w.start(storetest.Empty(t), change...)
	w.define(core, gateway.High, trusttest.Vendor)
	return w
}

// start opens a database with these bytes and the room on it.
func (w *world) start(database []byte, change ...func(*access.Config)) {
	w.t.Helper()
	w.path = filepath.Join(w.t.TempDir(), "portcullis.db")
	w.ok(os.WriteFile(w.path, database, 0o600))
	var err error
	w.db, err = sqlite.Open(w.path, sqlite.Options{Sealer: storetest.Signer(w.t), Machine: w.Machine, Now: w.Now})
	w.ok(err)
	w.t.Cleanup(func() { _ = w.db.Close() })
	w.chain = trust.New(trust.Config{Store: w.db.Trust(), Roots: []ed25519.PublicKey{w.Root()}, RP: trusttest.RP, Gateway: trusttest.URL, Floor: w.Floor, Now: w.Now})
	seals, err := certs.Open(filepath.Join(w.t.TempDir(), "keys"))
	w.ok(err)
	cfg := access.Config{
		Store: w.db.Access(), Chain: w.chain, Policy: policy.Default(), Certs: seals, Floor: w.Floor, Now: w.Now, Node: "node-1", Gateway: trusttest.URL,
		OnGrantClosed: func(id string, why gateway.EndReason, by string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ended = append(w.ended, fmt.Sprintf("%s %s %s", id, why, by))
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	w.svc, err = access.New(cfg)
	w.ok(err)
	w.svc.SetMono(func() time.Duration { return 0 }) // the world's clock is the only one
}

// stop closes the database and returns it, for many worlds to start from.
func (w *world) stop() []byte {
	w.t.Helper()
	w.ok(w.db.Close())
	raw, err := os.ReadFile(w.path)
	w.ok(err)
	return raw
}

// fork is the same world on a copy of its database, for one case.
func (w *world) fork(t *testing.T, database []byte) *world {
	t.Helper()
	next := &world{World: w.World, t: t, done: w.done}
	next.start(database)
	return next
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// do signs and commits, in the database too.
func (w *world) do(who string, body statement.Body) statement.Signed {
	w.t.Helper()
	s := w.World.Do(who, body)
	w.mirror()
	return s
}

// define defines a target, or defines it anew.
func (w *world) define(name string, impact gateway.Impact, vendors ...string) {
	w.t.Helper()
	w.mirror()
	row := w.World.Store.Targets[name]
	w.do(trusttest.Admin, &statement.TargetDefine{
		Name: name, Title: "Target " + name, Kind_: gateway.KindSSH, Address: fmt.Sprintf("127.0.0.1:%d", 2300+row.Version), Zone: "yard", Impact: impact, Vendors: vendors,
		HostKeys: []string{trusttest.SSHKeyLine(w.t)}, Version: row.Version + 1, Previous: row.Statement,
		Accounts: []gateway.Account{{Name: "ops", Login: "ops", Proof: gateway.ProofCertificate}, {Name: "root", Login: "root", Proof: gateway.ProofCertificate}},
	})
}

// mirror writes into the database what the other rooms would have written.
func (w *world) mirror() {
	w.t.Helper()
	if w.done == len(w.Log) {
		return
	}
	w.ok(w.db.KillSwitch().Update(w.t.Context(), func(tx killswitch.Tx) error {
		for ; w.done < len(w.Log); w.done++ {
			s := w.Log[w.done]
			_, body, err := s.Parse()
			if err != nil {
				return err
			}
			if err := tx.PutStatement(s); err != nil {
				return err
			}
			if err := w.row(tx.(*store.Tx), body); err != nil {
				return fmt.Errorf("mirror %s: %w", body.Kind(), err)
			}
		}
		return nil
	}))
}

func (w *world) row(tx *store.Tx, body statement.Body) error {
	rows := w.World.Store
	switch b := body.(type) {
	case *statement.VendorAdmit:
		return tx.PutVendor(rows.Vendors[b.Name])
	case *statement.PersonAdmit:
		return tx.PutPerson(rows.People[b.Name])
	case *statement.TargetDefine:
		return tx.PutTarget(rows.Targets[b.Name])
	case *statement.Invite:
		i := rows.Invitations[b.ID]
		i.Used = time.Time{}
		return tx.PutInvitation(i)
	case *statement.Enrol:
		return tx.PutAuthenticator(rows.Authenticators[b.Credential])
	case *statement.KeyRemove:
		return tx.RemoveAuthenticator(b.Credential, w.Now())
	case *statement.Suspend:
		_, err := tx.Cancel(b.Scope, statement.Machine, w.Now())
		return errors.Join(err, w.stand(tx, b.Scope, killswitch.Standing{State: gateway.Suspended, Epoch: b.Epoch}))
	case *statement.Restore:
		was, err := tx.Standing(b.Scope)
		if err != nil || was.State == gateway.Suspended {
			return errors.Join(err, w.stand(tx, b.Scope, killswitch.Standing{State: gateway.Restoring, Epoch: was.Epoch}))
		}
		return w.stand(tx, b.Scope, killswitch.Standing{State: gateway.Active, Epoch: b.Epoch})
	case *statement.Advance:
		return nil // a stage has no row
	}
	return fmt.Errorf("no row for %T", body)
}

func (w *world) stand(tx *store.Tx, scope gateway.Scope, to killswitch.Standing) error {
	was, err := tx.Standing(scope)
	if err != nil {
		return err
	}
	return tx.SetStanding(scope, was.Epoch, to, w.Now())
}

func (w *world) suspend(scope gateway.Scope) string {
	w.t.Helper()
	b, _ := w.Suspend(statement.Machine, scope)
	w.mirror()
	return b.ID
}

// edit changes rows as somebody with the database in his hands does.
func (w *world) edit(query string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(5000)")
	w.ok(err)
	defer func() { _ = db.Close() }()
	res, err := db.Exec(query, args...)
	w.ok(err)
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		w.t.Fatalf("%q changed %d rows, %v", query, n, err)
	}
}

// p is a person's row: what a login would hand in.
func (w *world) p(name string) gateway.Person {
	w.t.Helper()
	if name == statement.Machine {
		return trust.MachinePerson
	}
	row, ok := w.World.Store.People[name]
	if !ok {
		w.t.Fatalf("no person %s", name)
	}
	return row
}

// in is what the engineer usually asks for.
func in(change func(*access.AskInput)) access.AskInput {
	i := access.AskInput{Target: trusttest.Target, Account: "ops", Abilities: []string{"shell", "exec"}, Length: 2 * time.Hour, Reason: "replace the fan", Ticket: "CHG-1"}
	if change != nil {
		change(&i)
	}
	return i
}

func (w *world) ask(change func(*access.AskInput)) gateway.Request {
	w.t.Helper()
	r, err := w.svc.Ask(w.t.Context(), w.p(trusttest.Engineer), in(change))
	w.ok(err)
	w.Advance(time.Second)
	return r
}

// approval is a signed approval of the request, as asked or narrower.
func (w *world) approval(who, request string, narrowed *gateway.Terms) statement.Signed {
	w.t.Helper()
	body, err := w.svc.DraftApprove(w.t.Context(), w.p(who), request, narrowed)
	w.ok(err)
	return w.Sign(who, body)
}

func (w *world) approve(who, request string, narrowed *gateway.Terms) (gateway.Request, *gateway.Grant) {
	w.t.Helper()
	r, g, err := w.svc.CommitApprove(w.t.Context(), w.approval(who, request, narrowed))
	w.ok(err)
	w.Advance(time.Second)
	return r, g
}

// granted asks and has one approver agree.
func (w *world) granted(change func(*access.AskInput)) gateway.Grant {
	w.t.Helper()
	_, g := w.approve(trusttest.Approver, w.ask(change).ID, nil)
	if g == nil {
		w.t.Fatal("one approval of a medium target makes no grant")
	}
	return *g
}

// touch is a signed opening of the grant.
func (w *world) touch(grant string, binding statement.BindingKind, transport string) statement.Signed {
	w.t.Helper()
	body, err := w.svc.DraftOpen(w.t.Context(), w.p(trusttest.Engineer), grant, binding, transport, "192.0.2.7:4711", "K7-4Q2")
	w.ok(err)
	return w.Sign(trusttest.Engineer, body)
}

// entitle opens as a proxy would, with a fresh touch.
func (w *world) entitle(grant string) (access.Entitlement, error) {
	body, err := w.svc.DraftOpen(w.t.Context(), w.p(trusttest.Engineer), grant, statement.BindSSH, "abcdef", "192.0.2.7:4711", "K7-4Q2")
	if err != nil {
		return access.Entitlement{}, err
	}
	return w.svc.Entitle(w.t.Context(), grant, w.Sign(trusttest.Engineer, body))
}

// refused holds err to a rule, and to being a sentence for a person.
func refused(t *testing.T, what string, err error, rule string) {
	t.Helper()
	var no *gateway.Error
	if !errors.As(err, &no) {
		t.Fatalf("%s: %v, want a refusal by %q", what, err, rule)
	}
	if no.Rule != rule || no.Text == "" {
		t.Fatalf("%s: refused by %q (%v), want %q", what, no.Rule, no, rule)
	}
}

// events lists the names of the audit log, newest last, from the first that
// has this name's prefix.
func (w *world) events(prefix string) []audit.Event {
	w.t.Helper()
	rows, err := w.db.Audit().Rows(context.WithoutCancel(w.t.Context()), 0, 10_000)
	w.ok(err)
	var list []audit.Event
	for _, r := range rows {
		e, err := audit.ParseEntry(r.Body)
		w.ok(err)
		if strings.HasPrefix(string(e.Name), prefix) {
			list = append(list, e)
		}
	}
	return list
}

func names(list []audit.Event) string {
	var s []string
	for _, e := range list {
		s = append(s, string(e.Name))
	}
	return strings.Join(s, " ")
}

// together runs f in n goroutines at once and waits for them.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			f(i)
		})
	}
	close(gate)
	wg.Wait()
}
