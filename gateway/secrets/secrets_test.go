package secrets_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/secrets"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

const day = 24 * time.Hour

// world is a plant with three accounts, the sessions that had them, and a log
// that encodes what it keeps as the real one does.
type world struct {
	targets  []gateway.Target
	sessions []gateway.Session // newest first
	orders   []gateway.Suspension
	files    map[string]secrets.Rest // by account
	events   []audit.Event
	down     error
}

func (w *world) Targets(context.Context) ([]gateway.Target, error) { return w.targets, w.down }

func (w *world) Suspensions(context.Context) ([]gateway.Suspension, error) { return w.orders, nil }

func (w *world) Suspension(_ context.Context, id string) (gateway.Suspension, error) {
	for _, x := range w.orders {
		if x.ID == id {
			return x, nil
		}
	}
	return gateway.Suspension{}, gateway.NotFound("suspension", id)
}

func (w *world) Append(_ context.Context, events ...audit.Event) error {
	w.events = append(w.events, events...)
	return w.down
}

func (w *world) Search(_ context.Context, q audit.Query) ([]audit.Entry, error) {
	var found []audit.Entry
	for i, e := range slices.Backward(w.events) {
		if e.Name != q.Name || q.Target != "" && e.Target != q.Target || e.At.Before(q.From) || q.Before > 0 && int64(i) >= q.Before {
			continue
		}
		body, err := audit.Encode(e, int64(i))
		if err != nil {
			return nil, err
		}
		if found = append(found, audit.Entry{Seq: int64(i), Body: body}); len(found) == q.Limit {
			break
		}
	}
	return found, w.down
}

func (w *world) session(id, vendor, account string, from, to time.Duration, marks string) {
	x := gateway.Session{ID: "ses_" + id, Vendor: vendor, Person: "someone", Target: "hmi", Account: account, Protocol: gateway.KindHTTPS, State: gateway.SessionLive, Started: ago(from)}
	if to >= 0 {
		x.State, x.Ended = gateway.SessionEnded, ago(to)
		e := audit.Event{Name: audit.SessionEnded, At: x.Ended, Actor: "gateway", Vendor: vendor, Target: x.Target, Account: account, Session: x.ID}
		if marks != "" {
			e.Detail = map[string]string{audit.Marks: marks}
		}
		w.events = append(w.events, e)
	}
	w.sessions = append(w.sessions, x)
	slices.SortFunc(w.sessions, func(a, b gateway.Session) int { return b.Started.Compare(a.Started) })
}

func newWorld() *world {
	return &world{
		targets: []gateway.Target{
			{Name: "hmi", Title: "Pump station HMI", Kind: gateway.KindHTTPS, Owner: "olga", Vendors: []string{"acme", "cobalt"}, Accounts: []gateway.Account{
				{Name: "admin", Proof: gateway.ProofPassword, SecretFile: "/secret/place/admin"}, {Name: "cert", Proof: gateway.ProofCertificate}, {Name: "self", Proof: gateway.ProofNone},
			}},
			{Name: "quiet", Kind: gateway.KindSSH, Vendors: []string{"cobalt"}, Accounts: []gateway.Account{{Name: "ro", Proof: gateway.ProofKey}}},
		},
		files: map[string]secrets.Rest{"admin": {Changed: ago(30 * day), Mark: "aaaa"}, "ro": {Changed: ago(400 * day), Mark: "bbbb"}},
	}
}

func (w *world) room(t *testing.T) *secrets.Service {
	t.Helper()
	s, err := secrets.New(secrets.Config{
		Targets: w, Suspensions: w, Log: w, Now: func() time.Time { return now },
		Sessions: func(_ context.Context, f secrets.SessionFilter) ([]gateway.Session, error) {
			var page []gateway.Session
			for _, x := range w.sessions {
				if (f.Vendor == "" || x.Vendor == f.Vendor) && (f.Target == "" || x.Target == f.Target) && (f.Before == "" || len(page) > 0 || w.below(x, f.Before)) && len(page) < f.Limit {
					page = append(page, x)
				}
			}
			return page, nil
		},
		Files: func(_ string, a gateway.Account) (secrets.Rest, error) {
			r, ok := w.files[a.Name]
			if !ok {
				return r, &gateway.Error{Code: gateway.CodeUnavailable, Rule: "credential", Text: "the credential cannot be used", Cause: errors.New("open " + a.SecretFile)}
			}
			return r, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// below is whether x comes after the session with that identifier.
func (w *world) below(x gateway.Session, id string) bool {
	at := func(id string) int {
		return slices.IndexFunc(w.sessions, func(s gateway.Session) bool { return s.ID == id })
	}
	return at(x.ID) > at(id)
}

func find(t *testing.T, list []secrets.Secret, account string) secrets.Secret {
	t.Helper()
	i := slices.IndexFunc(list, func(x secrets.Secret) bool { return x.Account == account })
	if i < 0 {
		t.Fatalf("account %s is not in %+v", account, list)
	}
	return list[i]
}

var acme = &gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}

func TestAListTellsOwnerAgeAndExposures(t *testing.T) {
	w := newWorld()
	w.session("1", "acme", "admin", 10*day, 10*day-time.Hour, "aaaa")
	w.session("2", "cobalt", "admin", 3*day, 3*day-time.Hour, "aaaa")
	w.session("3", "acme", "admin", time.Hour, -1, "")
	w.session("old", "acme", "admin", 60*day, 59*day, "")
	w.session("long", "acme", "admin", 46*day, 44*day, "") // began before the time asked about, and reaches into it
	list, err := w.room(t).List(t.Context(), "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 3 { // an account that the engineer signs in to himself holds no secret
		t.Errorf("listed %+v", list.Items)
	}
	x := find(t, list.Items, "admin")
	if x.Owner != "olga" || x.Age != 30*day || x.Sessions != 4 || !x.LastUsed.Equal(now) || x.Work != secrets.WorkNone {
		t.Errorf("admin is told as %+v", x)
	}
	if len(x.Vendors) != 2 || x.Vendors[0].Vendor != "acme" || x.Vendors[0].Sessions != 3 || x.Vendors[1].Sessions != 1 {
		t.Errorf("its vendors are told as %+v", x.Vendors)
	}
	if x.Exposures[0].Session != "ses_3" || !x.Exposures[0].To.IsZero() {
		t.Errorf("its exposures are told as %+v", x.Exposures)
	}
	if c := find(t, list.Items, "cert"); c.Work != secrets.WorkExpires {
		t.Errorf("a certificate is told as %+v", c)
	}
	delete(w.files, "ro")
	if list, err = w.room(t).List(t.Context(), "cobalt", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if x := find(t, list.Items, "ro"); x.Fault == "" || strings.Contains(x.Fault, "/") || !x.Changed.IsZero() {
		t.Errorf("a file that is not there is told as %+v", x)
	}
	if x := find(t, list.Items, "admin"); x.Sessions != 1 {
		t.Errorf("of cobalt alone admin has %d exposures", x.Sessions)
	}
	w.down = gateway.Unavailable("store", nil)
	if _, err := w.room(t).List(t.Context(), "", time.Time{}); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("a store that does not answer gives %v", err)
	}
}

// The work-list of a suspension: what its vendor's sessions had from 45 days
// before the order on, until somebody rotates it.
func TestAWorkListIsWorkedOff(t *testing.T) {
	w := newWorld()
	w.session("1", "acme", "admin", 50*day, 50*day-time.Hour, "aaaa")
	w.session("2", "acme", "cert", 20*day, 20*day-time.Hour, "")
	w.session("3", "acme", "lost", 15*day, 15*day-time.Hour, "")
	w.session("4", "cobalt", "admin", 3*day, 3*day-time.Hour, "aaaa")
	w.orders = []gateway.Suspension{{ID: "sus_1", Scope: *acme, Ordered: ago(10 * day)}}
	s := w.room(t)
	look := func() secrets.WorkList {
		t.Helper()
		list, err := s.ExposedBy(t.Context(), "sus_1", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	list := look()
	admin := find(t, list.Items, "admin")
	if list.Open != 1 || len(list.Items) != 3 || admin.Work != secrets.WorkOpen || !admin.Since || admin.Sessions != 1 || admin.Exposures[0].Session != "ses_1" {
		t.Errorf("the work-list is %+v", list)
	}
	if c, l := find(t, list.Items, "cert"), find(t, list.Items, "lost"); c.Work != secrets.WorkExpires || l.Work != secrets.WorkGone {
		t.Errorf("a certificate is %s and an account that is off the file %s", c.Work, l.Work)
	}
	// The file holds what both vendors' sessions had: written anew or not, it
	// is the same secret.
	for name, c := range map[string]struct {
		rest         secrets.Rest
		vendor, rule string
	}{
		"untouched":         {secrets.Rest{Changed: ago(30 * day), Mark: "aaaa"}, "", "unchanged"},
		"untouched, acme's": {secrets.Rest{Changed: ago(55 * day), Mark: "cccc"}, "acme", "unchanged"},
		"touched":           {secrets.Rest{Changed: ago(day), Mark: "aaaa"}, "", "same-secret"},
	} {
		t.Run(name, func(t *testing.T) {
			w.files["admin"] = c.rest
			if _, err := s.Rotated(t.Context(), "root", "hmi", "admin", c.vendor); !gateway.IsCode(err, gateway.CodeConflict) || gateway.AsError(err).Rule != c.rule {
				t.Errorf("the claim is answered with %v", err)
			}
			if e := w.events[len(w.events)-1]; e.Name != audit.SecretRotated || e.Outcome != audit.Refused || e.Rule != c.rule || e.Actor != "root" {
				t.Errorf("the log says %+v", e)
			}
			if list := look(); list.Open != 1 {
				t.Errorf("after a refused claim %d are open", list.Open)
			}
		})
	}
	w.files["admin"] = secrets.Rest{Changed: ago(day), Mark: "dddd"}
	x, err := s.Rotated(t.Context(), "root", "hmi", "admin", "")
	if err != nil || x.Work != secrets.WorkDone || x.Rotated == nil || x.Rotated.By != "root" {
		t.Fatalf("a rotation gives %+v, %v", x, err)
	}
	if list := look(); list.Open != 0 || list.Done != 1 {
		t.Errorf("after it %d are open and %d done", list.Open, list.Done)
	}
	if _, err := s.Rotated(t.Context(), "root", "hmi", "cert", ""); err == nil || !strings.Contains(err.Error(), "expires by itself") {
		t.Errorf("rotating a certificate is answered with %v", err)
	}
}

// One vendor is shut out, and another goes on working with the new secret.
func TestARotationForOneVendor(t *testing.T) {
	w := newWorld()
	w.session("1", "acme", "admin", 10*day, 10*day-time.Hour, "aaaa")
	w.session("2", "cobalt", "admin", time.Hour, -1, "")
	w.files["admin"] = secrets.Rest{Changed: ago(2 * day), Mark: "dddd"}
	s := w.room(t)
	if _, err := s.Rotated(t.Context(), "root", "hmi", "admin", ""); err == nil || !strings.Contains(err.Error(), "live") || !strings.Contains(err.Error(), "--vendor") {
		t.Errorf("with a live session the claim is answered with %v", err)
	}
	if _, err := s.Rotated(t.Context(), "root", "hmi", "admin", "acme"); err != nil {
		t.Fatal(err)
	}
	for vendor, open := range map[string]int{"acme": 0, "cobalt": 1} {
		if list, err := s.Exposed(t.Context(), &gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor}, time.Time{}); err != nil || list.Open != open {
			t.Errorf("%s has %d open, %v", vendor, list.Open, err)
		}
	}
}

// A file with a time to come closes nothing that is still to come.
func TestATimeToCome(t *testing.T) {
	w := newWorld()
	w.session("1", "acme", "admin", 10*day, 10*day-time.Hour, "aaaa")
	w.files["admin"] = secrets.Rest{Changed: now.Add(day), Mark: "dddd"}
	x, err := w.room(t).Rotated(t.Context(), "root", "hmi", "admin", "")
	if err != nil || x.Rotated.Changed.After(now) {
		t.Errorf("told %+v, %v", x.Rotated, err)
	}
}

// Without a scope the list is of all that was ordered closed; who came back
// after a restoration is not under suspicion for what he does then.
func TestAllThatWasOrderedClosed(t *testing.T) {
	w := newWorld()
	w.session("1", "acme", "admin", 10*day, 10*day-time.Hour, "aaaa")
	w.session("2", "acme", "admin", day, day-time.Hour, "aaaa")
	w.session("3", "cobalt", "cert", day, day-time.Hour, "")
	w.orders = []gateway.Suspension{{ID: "sus_1", Scope: *acme, Ordered: ago(9 * day), Lifted: ago(5 * day)}}
	list, err := w.room(t).Exposed(t.Context(), nil, time.Time{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Sessions != 1 || list.Items[0].Exposures[0].Session != "ses_1" {
		t.Errorf("told %+v, %v", list, err)
	}
}

// More sessions than one page holds are all looked at.
func TestManySessions(t *testing.T) {
	w := newWorld()
	for i := range 450 {
		from := day + time.Duration(i)*time.Minute
		w.session(time.Duration(i).String(), "acme", "admin", from, from-time.Second, "")
	}
	list, err := w.room(t).Exposed(t.Context(), acme, time.Time{})
	if err != nil || list.Items[0].Sessions != 450 || len(list.Items[0].Exposures) != secrets.MaxExposures || !list.Cut.IsZero() {
		t.Errorf("told %d sessions, %v", list.Items[0].Sessions, err)
	}
}
