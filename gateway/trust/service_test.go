package trust_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// TestAServiceAccountIsBelievedByItsStatement: admitted by who may, active, with
// a key of the present epochs, as it was signed.
func TestAServiceAccountIsBelievedByItsStatement(t *testing.T) {
	w := trusttest.New(t)
	b, _ := w.Serve("nightly")
	holds := func(want string) {
		t.Helper()
		p, err := w.Cold(w.Floor).Service(t.Context(), "nightly")
		switch {
		case want == "" && err == nil && p.Service.Key == w.Store.People["nightly"].Service.Key:
		case want != "" && gateway.IsCode(err, gateway.CodeRefused) && strings.Contains(err.Error(), want):
		default:
			t.Errorf("%+v, %v; want %q", p, err, want)
		}
	}
	holds("")
	edit := func(want string, f func(*gateway.Person)) {
		t.Helper()
		before := w.Store.People["nightly"]
		after := before
		s := *before.Service
		after.Service = &s
		f(&after)
		w.Store.People["nightly"] = after
		holds(want)
		w.Store.People["nightly"] = before
	}
	edit("its service account is not what was signed", func(p *gateway.Person) { p.Service.Key = "sha256:" + strings.Repeat("0", 64) })
	edit("its service account is not what was signed", func(p *gateway.Person) { p.Service.Epochs.Vendor++ })
	edit("its service account is not what was signed", func(p *gateway.Person) { p.Service.Networks = nil; p.Service.Owner = "mallory" })
	edit("its vendor is not what was signed", func(p *gateway.Person) { p.Vendor = "beta" })
	if _, err := w.Chain.Service(t.Context(), trusttest.Engineer); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("a person is no service account: %v", err)
	}

	sus, _ := w.Suspend(trusttest.Responder, gateway.Scope{Kind: gateway.ScopePerson, Name: "nightly"})
	holds("is suspended")
	w.Restore(gateway.Scope{Kind: gateway.ScopePerson, Name: "nightly"}, sus.ID, statement.Machine, trusttest.Approver)
	holds("from before a suspension")
	// The same key again, in the new epoch, though an administrator signed it.
	again := *b
	s := *b.Service
	s.Epochs = w.Epochs("nightly")
	again.Service, again.Version, again.Previous = &s, 2, w.Store.People["nightly"].Statement
	w.Do(statement.Machine, &again)
	holds("from before a suspension")
	w.Serve("nightly") // another key
	holds("")

	sus, _ = w.Suspend(trusttest.Responder, ofVendor)
	holds("is suspended")
	w.Restore(ofVendor, sus.ID, statement.Machine, trusttest.Approver)
	holds("from before a suspension")
	w.Serve("nightly")
	holds("")
}

// TestAServiceAccountSignsNothing: not even with a key that was let in for it.
func TestAServiceAccountSignsNothing(t *testing.T) {
	w := trusttest.New(t)
	w.Serve("nightly")
	inv, token, signed := w.Invite(statement.Machine, "nightly")
	body, c := w.NewKey("nightly")
	body.Invitation = inv.ID
	s := w.Touch(&trusttest.Keyholder{Credential: c}, w.Draft("nightly", body, signed.Digest).SignEd25519(token))
	if _, err := w.Chain.Check(t.Context(), s); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("it enrolled a FIDO2 key: %v", err)
	}
	// A person cannot become one, nor one a person.
	p := w.Person(trusttest.Engineer, trusttest.Vendor, gateway.ServiceAccount)
	service := *w.Store.People["nightly"].Service
	service.Owner = trusttest.Admin
	p.Email, p.Service = "", &service
	w.Advance(time.Second)
	w.Do(statement.Machine, p)
	if _, err := w.Cold(nil).Service(t.Context(), trusttest.Engineer); err == nil || !strings.Contains(err.Error(), "whether it is a service account") {
		t.Errorf("a person has become a service account: %v", err)
	}
}
