package access_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// network defines a network with one name.
func (w *world) network(impact gateway.Impact) {
	w.t.Helper()
	w.mirror()
	w.do(trusttest.Admin, &statement.TargetDefine{
		Name: "plant", Title: "Plant", Kind_: gateway.KindNetwork, Zone: "yard", Impact: impact, Vendors: []string{trusttest.Vendor},
		Network: &gateway.Network{
			Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")},
			Names:    []gateway.NetworkName{{Name: "plc-7", Addresses: []netip.Addr{netip.MustParseAddr("10.20.0.7")}}},
		},
		Accounts: []gateway.Account{{Name: "tunnel", Proof: gateway.ProofNone}}, Version: 1,
	})
}

func flows(abilities ...string) func(*access.AskInput) {
	return func(i *access.AskInput) { i.Target, i.Account, i.Abilities = "plant", "", abilities }
}

// A network is asked for by flows, agreed to without some of them, and entered
// by one WireGuard key; there is nothing to prove to it.
func TestNetworkAskNarrowEnter(t *testing.T) {
	w := newWorld(t)
	w.network(gateway.Medium)
	for name, asked := range map[string][]string{"outside": {"flow 10.21.0.1:502/tcp"}, "unknown name": {"flow plc-8:502/tcp"}, "shell": {"shell"}, "bounds alone": {"volume-in 5"}} {
		_, err := w.svc.Ask(t.Context(), w.p(trusttest.Engineer), in(flows(asked...)))
		refused(t, name, err, "abilities")
	}
	r := w.ask(flows("flow plc-7:502/tcp", "flow 10.20.1.0/24:22/tcp", "flow plc-7/icmp"))
	_, err := w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, terms(t, 2*time.Hour, "flow plc-7:502-503/tcp"))
	refused(t, "wider ports", err, "narrow")
	_, err = w.svc.DraftApprove(t.Context(), w.p(trusttest.Approver), r.ID, terms(t, 2*time.Hour, "flow 10.20.0.7:502/tcp"))
	refused(t, "the address of a name", err, "narrow")
	_, g := w.approve(trusttest.Approver, r.ID, terms(t, time.Hour, "flow 10.20.1.9:22/tcp", "flow plc-7:502/tcp", "bandwidth 5"))
	if g == nil {
		t.Fatal("no grant")
	}
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	w.ok(err)
	key := base64.StdEncoding.EncodeToString(k.PublicKey().Bytes())
	draft := func(b statement.BindingKind, transport string) (*statement.Open, error) {
		return w.svc.DraftOpen(t.Context(), w.p(trusttest.Engineer), g.ID, b, transport, "192.0.2.7:4711", "")
	}
	_, err = draft(statement.BindLogin, "lgn_1")
	refused(t, "by a login's ticket", err, "binding")
	_, err = draft(statement.BindPeer, strings.Repeat("A", 43)+"=")
	refused(t, "by the zero key", err, "transport")
	body, err := draft(statement.BindPeer, key)
	w.ok(err)
	touch := w.Sign(trusttest.Engineer, body)
	_, err = w.svc.CommitTicket(t.Context(), touch)
	refused(t, "a ticket of it", err, "statement")
	e, err := w.svc.Entitle(t.Context(), g.ID, touch)
	w.ok(err)
	if got := strings.Join(e.Abilities.List(), ","); got != "flow 10.20.1.9:22/tcp,flow plc-7:502/tcp,bandwidth 5" || e.Target.Network == nil {
		t.Errorf("abilities %s on %+v", got, e.Target)
	}
	c, err := w.svc.Credential(t.Context(), e, gateway.NewID("ses", w.Now()))
	w.ok(err)
	if c.HTTP != nil || c.Auth != nil || c.Certificate != nil {
		t.Errorf("a network was given %+v", c)
	}
	w.Advance(2 * time.Minute)
	_, err = w.svc.Entitle(t.Context(), g.ID, touch)
	refused(t, "a touch of two minutes ago", err, "touch-age")
}
