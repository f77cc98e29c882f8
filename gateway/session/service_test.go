package session_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
)

// serving is a world whose grant is a service account's, and an opening of it.
func serving(t *testing.T) (*world, func() session.Opening) {
	t.Helper()
	w := newWorld(t, time.Hour, nil)
	w.access.ent.Target.Kind = gateway.KindHTTPS
	w.access.ent.Abilities = gateway.Abilities{Methods: []string{"GET"}, Paths: []string{"/"}, Rate: 5, VolumeIn: 100, VolumeOut: 200}
	w.access.ent.Person = gateway.Person{Name: "nightly", Vendor: "acme", Service: &gateway.Service{Owner: "ana"}}
	w.access.ent.Grant.Person = "nightly"
	return w, func() session.Opening {
		s, err := statement.MachineKey{Private: w.key, Gateway: "http://localhost:8080"}.Sign(w.now(), w.served(nil))
		if err != nil {
			t.Fatal(err)
		}
		return session.Opening{Touch: s, Person: "nightly", Grant: grantID, Protocol: gateway.KindHTTPS, Source: "192.0.2.1:5", Client: "curl"}
	}
}

func (w *world) served(edit func(*statement.ServiceOpen)) *statement.ServiceOpen {
	b := &statement.ServiceOpen{
		Grant: grantID, Request: gateway.DigestOf([]byte("ask")), Person: "nightly", Vendor: "acme", Target: "pump-7", Account: "root", Abilities: w.access.ent.Abilities,
		From: w.access.ent.From, To: w.access.ent.To, Proof: statement.ByCertificate, Key: "sha256:" + strings.Repeat("0", 64), Source: "192.0.2.1:5",
	}
	if edit != nil {
		edit(b)
	}
	return b
}

func TestAServiceAccountOpensByItsOwnStatement(t *testing.T) {
	w, opening := serving(t)
	o := opening()
	l, err := w.m.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := l.Session(); s.Person != "nightly" || s.Touch != o.Touch.Digest {
		t.Errorf("the session: %+v", s)
	}
	if _, err := w.m.Open(t.Context(), o); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("the same statement once more: %v", err)
	}
	for name, edit := range map[string]func(*session.Opening){
		"another account":    func(o *session.Opening) { o.Person = "mirror" },
		"another grant":      func(o *session.Opening) { o.Grant = "grt_0000000000000000000000000y" },
		"another connection": func(o *session.Opening) { o.Source = "192.0.2.2:5" },
		"a ticket":           func(o *session.Opening) { o.Ticket = true },
		"ssh":                func(o *session.Opening) { o.Protocol = gateway.KindSSH },
	} {
		o := opening()
		edit(&o)
		if _, err := w.m.Open(t.Context(), o); !gateway.IsCode(err, gateway.CodeRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.access.ent.Person.Service.Networks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	if _, err := w.m.Open(t.Context(), opening()); err == nil || !strings.Contains(err.Error(), "nightly does not connect from 192.0.2.1:5") {
		t.Errorf("from elsewhere: %v", err)
	}
}

// TestTheVolumeIsOfTheGrant: what sessions before have let pass is gone.
func TestTheVolumeIsOfTheGrant(t *testing.T) {
	w, opening := serving(t)
	w.store.rows["ses_1"] = gateway.Session{ID: "ses_1", Grant: grantID, State: gateway.SessionEnded, BytesIn: 40, BytesOut: 199, Node: "node-2"}
	l, err := w.m.Open(t.Context(), opening())
	if err != nil {
		t.Fatal(err)
	}
	if a := l.Abilities(); a.VolumeIn != 60 || a.VolumeOut != 1 || a.Rate != 5 {
		t.Errorf("left: %+v", a)
	}
	w.store.rows["ses_2"] = gateway.Session{ID: "ses_2", Grant: grantID, State: gateway.SessionEnded, BytesIn: 60}
	if _, err := w.m.Open(t.Context(), opening()); gateway.AsError(err).Rule != string(gateway.EndVolume) {
		t.Errorf("with nothing left: %v", err)
	}
}

// TestOneNodeCarriesAServiceAccount: its limits are counted in one place.
func TestOneNodeCarriesAServiceAccount(t *testing.T) {
	w, opening := serving(t)
	w.store.rows["ses_1"] = gateway.Session{ID: "ses_1", Grant: grantID, State: gateway.SessionLive, Node: "node-2"}
	_, err := w.m.Open(t.Context(), opening())
	if !gateway.IsCode(err, gateway.CodeConflict) || !strings.Contains(err.Error(), "node-2") || len(w.m.Live()) != 0 {
		t.Errorf("%v; live: %v", err, w.m.Live())
	}
}
