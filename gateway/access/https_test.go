package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

const hmi = "hmi-web"

// console defines a console whose account is proven by a client certificate.
func (w *world) console(impact gateway.Impact) {
	w.t.Helper()
	w.mirror()
	row := w.World.Store.Targets[hmi]
	w.do(trusttest.Admin, &statement.TargetDefine{
		Name: hmi, Title: "HMI", Kind_: gateway.KindHTTPS, Address: "127.0.0.1:8443", Zone: "yard", Impact: impact, Vendors: []string{trusttest.Vendor},
		HTTPS:    &gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{"sha256:" + strings.Repeat("0f", 32)}},
		Accounts: []gateway.Account{{Name: "ops", Login: "ops@plant", Proof: gateway.ProofCertificate}}, Version: row.Version + 1, Previous: row.Statement,
	})
}

func of(abilities ...string) func(*access.AskInput) {
	return func(i *access.AskInput) { i.Target, i.Abilities = hmi, abilities }
}

func terms(t *testing.T, length time.Duration, abilities ...string) *gateway.Terms {
	t.Helper()
	a, err := gateway.ParseAbilities(abilities)
	if err != nil {
		t.Fatal(err)
	}
	return &gateway.Terms{Length: length, Abilities: a}
}

// A console is asked for by methods and paths, agreed to more narrowly, and
// entered with a client certificate that ends with the grant.
func TestConsoleAskNarrowCredential(t *testing.T) {
	w := newWorld(t)
	w.console(gateway.Medium)
	r := w.ask(of("GET", "HEAD", "POST", "path /", "websocket", "upload", "max-upload 1000"))
	_, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, terms(t, 2*time.Hour, "GET"))
	refused(t, "methods without paths", err, "abilities")
	_, err = w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, terms(t, 2*time.Hour, "upload", "max-upload 10"))
	refused(t, "neither methods nor paths", err, "abilities")
	_, err = w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, terms(t, 2*time.Hour, "GET", "path /", "upload"))
	refused(t, "upload without the bound that was asked", err, "narrow")
	_, g := w.approve(trusttest.Approver, r.ID, terms(t, time.Hour, "GET", "path /reports", "upload", "max-upload 10"))
	if g == nil {
		t.Fatal("no grant")
	}
	e, err := w.entitle(g.ID)
	w.ok(err)
	if got := strings.Join(e.Abilities.List(), ","); got != "upload,GET,path /reports,max-upload 10" {
		t.Errorf("abilities %s", got)
	}
	id := gateway.NewID("ses", w.Now())
	c, err := w.svc.Credential(t.Context(), e, id)
	w.ok(err)
	leaf := c.HTTP.Certificate.Leaf
	if c.Auth != nil || leaf.Subject.CommonName != "ops@plant" || leaf.URIs[0].String() != certs.SessionURI+id || leaf.NotAfter.After(e.To.Add(time.Second)) {
		t.Errorf("certificate of %s for %v until %s", leaf.Subject, leaf.URIs, leaf.NotAfter)
	}
}

// What fits no console, or no SSH target, is refused with what to write.
func TestAbilitiesThatDoNotFitAreRefused(t *testing.T) {
	w := newWorld(t)
	w.console(gateway.Medium)
	for _, c := range []struct {
		name, next string
		change     func(*access.AskInput)
	}{
		{"shell on a console", "GET, HEAD, OPTIONS and path /", of("shell")},
		{"methods without paths", "ask for path /", of("GET")},
		{"paths without methods", "to look ask for GET", of("path /")},
		{"methods on SSH", "ask for shell, exec", func(i *access.AskInput) { i.Abilities = []string{"GET", "path /"} }},
	} {
		_, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(c.change))
		refused(t, c.name, err, "abilities")
		if !strings.Contains(err.Error(), c.next) {
			t.Errorf("%s: %v does not say %q", c.name, err, c.next)
		}
	}
}

// Two approvers who narrow a console to parts that have nothing in common
// leave no grant.
func TestConsoleNarrowedApartIsNoGrant(t *testing.T) {
	w := newWorld(t)
	w.console(gateway.High)
	r := w.ask(of("GET", "POST", "path /a", "path /b", "upload"))
	if r.Needs != 2 {
		t.Fatalf("writing to a high impact console needs %d", r.Needs)
	}
	looked, err := w.svc.Preview(t.Context(), w.p(trusttest.Engineer), in(func(i *access.AskInput) {
		of("GET", "path /")(i)
		i.From, i.To, i.Length = w.Now().Add(24*time.Hour), w.Now().Add(25*time.Hour), 0
	}))
	w.ok(err)
	if looked.Verdict.Approvals != 1 {
		t.Errorf("looking at it needs %d", looked.Verdict.Approvals)
	}
	second := w.approval(trusttest.Second, r.ID, terms(t, 2*time.Hour, "GET", "path /b", "upload"))
	_, g := w.approve(trusttest.Approver, r.ID, terms(t, 2*time.Hour, "GET", "path /a", "upload"))
	if g != nil {
		t.Fatal("one approval was enough")
	}
	_, g, err = w.svc.CommitApprove(t.Context(), second)
	if g != nil || err == nil || gateway.AsError(err).Rule != "narrow" {
		t.Errorf("grant %+v, %v", g, err)
	}
}
