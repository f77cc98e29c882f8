package identity_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
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
	store *memory
	svc   *identity.Service
	no    *gateway.Error // what the policy answers
	facts identity.EnrolFacts
	keys  map[string]*softkey.Key
}

func newWorld(t *testing.T, providers ...identity.Provider) *world {
	t.Helper()
	w := &world{World: trusttest.Empty(t), t: t, keys: map[string]*softkey.Key{}}
	w.store = newMemory(w.World.Store)
	w.Do(statement.Machine, &statement.VendorAdmit{Name: vendor, Title: "Acme", Version: 1})
	w.Do(statement.Machine, &statement.VendorAdmit{Name: rival, Title: "Bolt", Version: 1})
	w.Admit(admin, "", gateway.Admin)
	w.Admit(engineer, vendor, gateway.Engineer)
	w.Admit(other, vendor, gateway.Engineer)
	var err error
	w.svc, err = identity.New(identity.Config{
		Store: w.store, Chain: w.Chain, Floor: w.Floor, RP: trusttest.RP, Gateway: trusttest.URL, Providers: providers, Now: w.Now,
		Policy: identity.PolicyFunc(func(_ gateway.Person, f identity.EnrolFacts) *gateway.Error { w.facts = f; return w.no }),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
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
	if len(w.store.events) == 0 {
		w.t.Fatal("no event was written")
	}
	return w.store.events[len(w.store.events)-1]
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
