package identity_test

import (
	"crypto/ed25519"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/sqlite"
	"github.com/portcullis/portcullis/gateway/store/storetest"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

const (
	admin    = "ada"
	engineer = "eve"
	other    = "olga" // engineer of vendor
	vendor   = "acme"
	rival    = "bolt"
)

var browser = identity.Client{UserAgent: "Firefox", Source: "192.0.2.7:4711"}

// world is a gateway's identity with people who hold software keys.
type world struct {
	*trusttest.World
	t     *testing.T
	store identity.Store
	db    *store.DB
	path  string // of the database
	chain *trust.Chain
	svc   *identity.Service
	done  int            // of World.Log is in the database
	token string         // of the login that a case is about
	no    *gateway.Error // what the policy answers
	facts identity.EnrolFacts
	keys  map[string]*softkey.Key
}

// newWorld makes a world of its own for a test, which runs beside the others:
// most of its time is waiting for the disk.
func newWorld(t *testing.T, providers ...identity.Provider) *world {
	t.Helper()
	t.Parallel()
	w := &world{World: trusttest.Empty(t), t: t, keys: map[string]*softkey.Key{}, path: storetest.Lay(t)}
	var err error
	if w.db, err = sqlite.Open(w.path, sqlite.Options{Sealer: storetest.Signer(t), Machine: w.Machine, Now: w.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	w.store = w.db.Identity()
	w.chain = trust.New(trust.Config{Store: w.db.Trust(), Roots: []ed25519.PublicKey{w.Root()}, RP: trusttest.RP, Gateway: trusttest.URL, Floor: w.Floor, Now: w.Now})
	w.World.Do(statement.Machine, &statement.VendorAdmit{Name: vendor, Title: "Acme", Version: 1})
	w.World.Do(statement.Machine, &statement.VendorAdmit{Name: rival, Title: "Bolt", Version: 1})
	w.Admit(admin, "", gateway.Admin)
	w.Admit(engineer, vendor, gateway.Engineer)
	w.Admit(other, vendor, gateway.Engineer)
	w.mirror()
	w.svc = w.service(providers)
	return w
}

func (w *world) service(providers []identity.Provider) *identity.Service {
	w.t.Helper()
	svc, err := identity.New(identity.Config{
		Store: w.store, Chain: w.chain, Floor: w.Floor, RP: trusttest.RP, Gateway: trusttest.URL, Providers: providers, Now: w.Now,
		Policy: identity.PolicyFunc(func(_ gateway.Person, f identity.EnrolFacts) *gateway.Error { w.facts = f; return w.no }),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return svc
}

// do signs and commits, in the database too.
func (w *world) do(who string, body statement.Body) statement.Signed {
	w.t.Helper()
	s := w.World.Do(who, body)
	w.mirror()
	return s
}

func (w *world) suspend(scope gateway.Scope) string {
	w.t.Helper()
	b, _ := w.Suspend(statement.Machine, scope)
	w.mirror()
	return b.ID
}

// suspendAndRestore begins a new epoch.
func (w *world) suspendAndRestore(scope gateway.Scope) {
	w.t.Helper()
	id := w.suspend(scope)
	w.Enrol(admin)
	w.Restore(scope, id, admin, statement.Machine)
	w.mirror()
}

// mirror writes into the database what the other rooms would have written.
// Logins and invitations that a real suspension deletes are left, so that what
// lies under it is tested.
func (w *world) mirror() {
	w.t.Helper()
	for ; w.done < len(w.Log); w.done++ {
		s := w.Log[w.done]
		_, body, err := s.Parse()
		if err != nil {
			w.t.Fatal(err)
		}
		err = w.db.KillSwitch().Update(w.t.Context(), func(tx killswitch.Tx) error {
			if err := tx.PutStatement(s); err != nil {
				return err
			}
			return w.row(tx.(*store.Tx), body)
		})
		if err != nil {
			w.t.Fatalf("mirror %s: %v", body.Kind(), err)
		}
	}
}

func (w *world) row(tx *store.Tx, body statement.Body) error {
	rows := w.World.Store
	switch b := body.(type) {
	case *statement.VendorAdmit:
		return tx.PutVendor(rows.Vendors[b.Name])
	case *statement.PersonAdmit:
		return tx.PutPerson(rows.People[b.Name])
	case *statement.Invite:
		i := rows.Invitations[b.ID]
		i.Used = time.Time{}
		return tx.PutInvitation(i)
	case *statement.Enrol:
		return tx.PutAuthenticator(rows.Authenticators[b.Credential])
	case *statement.KeyRemove:
		return tx.RemoveAuthenticator(b.Credential, w.Now())
	case *statement.Suspend:
		return w.stand(tx, b.Scope, killswitch.Standing{State: gateway.Suspended, Epoch: b.Epoch})
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

// edit changes rows as somebody with the database in his hands does.
func (w *world) edit(query string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	res, err := db.Exec(query, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		w.t.Fatalf("%q changed %d rows, %v", query, n, err)
	}
}

// person is a person as the chain knows him.
func (w *world) person(name string) gateway.Person {
	w.t.Helper()
	p, err := w.chain.Person(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) logins(person string) int {
	w.t.Helper()
	list, err := w.store.Logins(w.t.Context(), person)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(list)
}

// events is the whole audit log.
func (w *world) events() []audit.Event {
	w.t.Helper()
	rows, err := w.db.Audit().Rows(w.t.Context(), 0, 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []audit.Event
	for _, r := range rows {
		e, err := audit.ParseEntry(r.Body)
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// invite has the machine invite a person.
func (w *world) invite(person string) string {
	w.t.Helper()
	body, token, err := w.svc.DraftInvite(w.t.Context(), machine, person)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.svc.CommitInvite(w.t.Context(), w.Sign(statement.Machine, body)); err != nil {
		w.t.Fatal(err)
	}
	return token
}

var machine = gateway.Person{Name: statement.Machine, Roles: []gateway.Role{gateway.Admin}}

// enrol enrols a key by invitation and returns the login's token.
func (w *world) enrol(person string, k *softkey.Key) string {
	w.t.Helper()
	token, _, err := w.tryEnrol(w.invite(person), k)
	if err != nil {
		w.t.Fatal(err)
	}
	w.keys[person] = k
	return token
}

func (w *world) tryEnrol(invitation string, k *softkey.Key) (string, gateway.Person, error) {
	ctx := w.t.Context()
	begun, err := w.svc.BeginEnrol(ctx, identity.Enroller{Token: invitation}, "blue key")
	if err != nil {
		return "", gateway.Person{}, err
	}
	made, err := w.svc.EnrolCreated(ctx, begun.ID, w.must(k.Create(begun.Options)))
	if err != nil {
		return "", gateway.Person{}, err
	}
	return w.svc.FinishEnrol(ctx, made.ID, browser, w.must(k.Get(made.Options)))
}

// login signs a person in with his key.
func (w *world) login(person string) (string, gateway.Person, error) {
	w.t.Helper()
	begun, err := w.svc.BeginLogin(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return w.svc.FinishLogin(w.t.Context(), begun.ID, w.must(w.keys[person].Get(begun.Options)), browser)
}

// session is the login and person of a token.
func (w *world) session(token string) (gateway.Login, gateway.Person) {
	w.t.Helper()
	l, p, err := w.svc.ByToken(w.t.Context(), token, browser)
	if err != nil {
		w.t.Fatal(err)
	}
	return l, p
}

// touch draws a body up and has the person's key touch it.
func (w *world) touch(token string, body statement.Body) (statement.Signed, error) {
	w.t.Helper()
	l, p := w.session(token)
	c, err := w.svc.Draft(w.t.Context(), l, p, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.svc.Sign(w.t.Context(), l, c.ID, w.must(w.keys[p.Name].Get(c.Options)))
}

func (w *world) must(raw []byte, err error) []byte {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// last is the newest event.
func (w *world) last() audit.Event {
	w.t.Helper()
	list := w.events()
	if len(list) == 0 {
		w.t.Fatal("no event was written")
	}
	return list[len(list)-1]
}

// refused holds an error to be a refusal that says what is wanted and what to
// do next.
func refused(t *testing.T, err error, says string) {
	t.Helper()
	var e *gateway.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want a refusal that says %q", err, says)
	}
	if !strings.Contains(e.Sentence(), says) {
		t.Fatalf("refusal = %q (cause %v), want one that says %q", e.Sentence(), e.Cause, says)
	}
	if e.Next == "" && e.Code != gateway.CodeInvalid && e.Code != gateway.CodeNotFound && e.Code != gateway.CodeConflict {
		t.Fatalf("refusal %q does not say what to do next", e.Text)
	}
}

// refusedEvent is refused, and the audit log tells the same.
func (w *world) refusedEvent(err error, name audit.Name, says string) {
	w.t.Helper()
	refused(w.t, err, says)
	e := w.last()
	if e.Name != name || e.Outcome != audit.Refused || !strings.Contains(e.Reason, says) {
		w.t.Fatalf("event = %s %s %q, want %s refused %q", e.Name, e.Outcome, e.Reason, name, says)
	}
}

func edit(t *testing.T, raw []byte, f func(m map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	f(m)
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
