package storetest

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store"
)

// began is when the stories are told: a microsecond that is not a whole
// millisecond, so that what is cut shows.
var began = time.Date(2026, 4, 14, 6, 12, 0, 123457000, time.UTC)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
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

func mark(text string) gateway.Digest { return gateway.DigestOf([]byte(text)) }

// id is an identifier that is the same each time; the greater i is the newer.
func id(prefix string, i int) string { return fmt.Sprintf("%s_%026d", prefix, i) }

func vendor(name string) gateway.Vendor {
	return gateway.Vendor{Name: name, Title: "Vendor " + name, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Contact: "desk", Contract: "C-1\nnote",
		State: gateway.Active, Epoch: 1, Version: 1, Statement: mark(name), Changed: began}
}

func person(name, of string) gateway.Person {
	return gateway.Person{Name: name, Title: "Ms " + name, Email: name + "@example.com", Vendor: of, Roles: []gateway.Role{gateway.Engineer},
		State: gateway.Active, Epoch: 1, Version: 1, Statement: mark(name), Changed: began}
}

func target(name string) gateway.Target {
	return gateway.Target{Name: name, Title: "Target", Kind: gateway.KindSSH, Address: "10.0.0.7:22", Zone: "substation", Impact: gateway.High, Owner: "olga",
		Vendors: []string{"acme"}, HostKeys: []string{"ssh-ed25519 AAAA"}, Accounts: []gateway.Account{{Name: "svc", Login: "root", Proof: gateway.ProofForm, Header: "X", TokenURL: "https://a/", Scopes: []string{"s"}, Form: &gateway.Form{Page: "/", Fields: map[string]string{"a": "b"}}}}, Legacy: []string{"ssh-rsa"},
		HTTPS:   &gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{"sha256:00"}, ServerName: "plc.example", Host: gateway.HostApp, Redact: []string{"pin"}},
		Network: &gateway.Network{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}, Names: []gateway.NetworkName{{Name: "plc", Addresses: []netip.Addr{netip.MustParseAddr("10.20.0.7")}}}, Capture: gateway.CaptureFirst, CaptureBytes: 9},
		Version: 1, Statement: mark(name), Changed: began}
}

func request(i int, who, of string) gateway.Request {
	return gateway.Request{ID: id("req", i), Person: who, Vendor: of, Target: "relay-7", TargetStatement: mark("relay-7"), Account: "svc",
		Terms:  gateway.Terms{From: began, To: began.Add(time.Hour), Abilities: gateway.Abilities{Shell: true}},
		Reason: "relay “7” trips\nagain", Ticket: "CHG-1", Epochs: gateway.Epochs{Vendor: 1, Person: 1}, Asked: began, Lapse: began.Add(time.Hour),
		Digest: mark("doc"), Document: []byte(`{"a":1}`), State: gateway.RequestWaiting, Needs: 2, Roles: []gateway.Role{gateway.Approver}, Version: 1}
}

func grant(i int, who, of string) gateway.Grant {
	return gateway.Grant{ID: id("grt", i), Request: id("req", i), Person: who, Vendor: of, Target: "relay-7", Account: "svc", Abilities: gateway.Abilities{Exec: true},
		From: began, To: began.Add(time.Hour), Epochs: gateway.Epochs{Vendor: 1, Person: 1}, State: gateway.GrantPlanned, Version: 1}
}

func session(i int, who, of string) gateway.Session {
	return gateway.Session{ID: id("ses", i), Grant: "grt_1", Request: "req_1", Person: who, Vendor: of, Target: "relay-7", Account: "svc", Protocol: gateway.KindSSH,
		Node: "node-1", Source: "192.0.2.7:4022", Client: "OpenSSH", Touch: mark("touch"), Epochs: gateway.Epochs{Vendor: 1, Person: 1}, State: gateway.SessionLive,
		Started: began, Until: began.Add(time.Hour), BytesIn: 7, BytesOut: 1 << 40, Frozen: began.Add(time.Minute), FrozenBy: "omar"}
}

func login(i int, who string) gateway.Login {
	return gateway.Login{Hash: mark(fmt.Sprint("login", i)), ID: id("lgn", i), Person: who, Method: "webauthn", Binding: mark("agent"), Source: "192.0.2.7",
		Epochs: gateway.Epochs{Vendor: 1, Person: 1}, Made: began, Seen: began}
}

func invitation(i int, who string) gateway.Invitation {
	return gateway.Invitation{ID: id("inv", i), Person: who, PublicKey: fmt.Appendf(nil, "key %d of %s", i, who), Epochs: gateway.Epochs{Vendor: 1, Person: 1},
		Statement: mark("invite"), Expires: began.Add(24 * time.Hour)}
}

func authenticator(name, who string) gateway.Authenticator {
	return gateway.Authenticator{ID: name, Person: who, Label: "blue key", PublicKey: []byte{1, 2, 3}, AAGUID: "00000000-0000-0000-0000-000000000000", Format: "packed",
		Attestation: "self", BackupEligible: true, Counter: 1<<32 - 2, Epochs: gateway.Epochs{Vendor: 1, Person: 1}, Statement: mark(name), Enrolled: began}
}

// signed returns a statement by the machine over body.
func signed(t testing.TB, body statement.Body) statement.Signed {
	t.Helper()
	d, err := statement.Draft("https://gateway.test", statement.Machine, began, nil, body)
	ok(t, err)
	s, err := statement.Seal(d)
	ok(t, err)
	return s.SignEd25519(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
}

func suspend(epoch uint64, scope gateway.Scope) *statement.Suspend {
	return &statement.Suspend{ID: id("sus", int(epoch)), Scope: scope, Epoch: epoch, Reason: "breach"}
}

// settle admits acme with ana and ben, and nova with eve.
func settle(t testing.TB, db *store.DB) {
	t.Helper()
	ok(t, db.Directory().Update(t.Context(), func(tx directoryTx) error {
		return errors.Join(tx.PutVendor(vendor("acme")), tx.PutVendor(vendor("nova")), tx.PutPerson(person("ana", "acme")), tx.PutPerson(person("ben", "acme")),
			tx.PutPerson(person("eve", "nova")), tx.PutPerson(person("olga", "")), tx.PutTarget(target("relay-7")))
	}))
}
