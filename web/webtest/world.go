package webtest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/secrets"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// URL is the address of the sample gateway.
const URL = "http://localhost:8080"

// World holds the sample data. A test may change any of it before it calls.
type World struct {
	Now         time.Time
	Node        string // whose memory and disk the rooms show; a session of another node is a row alone
	Vendors     []gateway.Vendor
	People      []gateway.Person
	Targets     []gateway.Target
	Requests    []gateway.Request
	Approvals   []gateway.Approval
	Grants      []gateway.Grant
	Sessions    []gateway.Session
	Watchers    []string // of every session
	Suspensions []gateway.Suspension
	Ladders     map[gateway.Scope]gateway.Ladder // of what is coming back
	Keys        []gateway.Authenticator
	SSHKeys     []gateway.SSHKey
	Lines       []api.Line
	SecretFiles map[string]secrets.Rest // by their paths
	Broken      error                   // what every room answers, where it is set

	mu     sync.Mutex
	logins map[string]string // token: person
	drafts map[string]statement.Statement
	Did    []string // the acts and calls that were made, in order
	Asked  []api.AskInput

	Searched []api.RecordingQuery
}

// New returns the sample plant as it stands at now.
func New(now time.Time) *World {
	w := &World{Node: "node-1", Now: gateway.Instant(now), logins: map[string]string{}, drafts: map[string]statement.Statement{}}
	w.people()
	w.targets()
	w.SecretFiles = map[string]secrets.Rest{"/etc/portcullis/ro.key": {Changed: w.ago(200 * 24 * time.Hour), Mark: "0123456789abcdef"}}
	w.requests()
	w.sessions()
	w.suspensions()
	w.lines()
	return w
}

func (w *World) ago(d time.Duration) time.Time { return w.Now.Add(-d) }

func digest(s string) gateway.Digest { return gateway.DigestOf([]byte(s)) }

func (w *World) people() {
	long := w.ago(40 * 24 * time.Hour)
	vendor := func(name, title string, state gateway.State, nets ...string) {
		v := gateway.Vendor{Name: name, Title: title, Contact: "+34 600 000 112, duty desk", Contract: "Frame contract 2025/117.\nAnswer within 4 hours.", State: state, Epoch: 1, Version: 1, Statement: digest(name), Changed: long}
		for _, n := range nets {
			v.Networks = append(v.Networks, netip.MustParsePrefix(n))
		}
		w.Vendors = append(w.Vendors, v)
	}
	vendor("acme", "Acme Metering", gateway.Active, "203.0.113.0/24", "2001:db8:17::/48")
	vendor("borealis", "Borealis Turbines", gateway.Active)
	vendor("cobalt", "Cobalt Relay Works", gateway.Suspended, "198.51.100.0/25")
	person := func(name, title, vendor string, roles ...gateway.Role) {
		w.People = append(w.People, gateway.Person{Name: name, Title: title, Email: name + "@example.com", Vendor: vendor, Roles: roles, State: gateway.Active, Epoch: 1, Version: 1, Statement: digest(name), Changed: long})
		w.Keys = append(w.Keys, gateway.Authenticator{ID: base64.RawURLEncoding.EncodeToString([]byte("credential of " + name)), Person: name, Label: "blue key", AAGUID: "2fc0579f-8113-47ea-b116-bb5a8db9202a", Format: "packed", Attestation: "verified", Enrolled: long})
	}
	person("ana", "Ana Ruiz", "acme", gateway.Engineer)
	person("ben", "Ben Okoye", "acme", gateway.Engineer)
	person("dora", "Dora Lind", "borealis", gateway.Engineer)
	person("carl", "Carl Weiss", "cobalt", gateway.Engineer)
	person("root", "Rosa Admin", "", gateway.Admin)
	person("olga", "Olga Petrov", "", gateway.Approver)
	person("omar", "Omar Haddad", "", gateway.Approver, gateway.Responder)
	person("rita", "Rita Marsh", "", gateway.Reviewer, gateway.Auditor)
	w.SSHKeys = []gateway.SSHKey{{Fingerprint: "SHA256:Qm9ndXNGaW5nZXJwcmludE9mQW5hc0tleTEyMzQ1Njc", Person: "ana", Label: "laptop", Added: long}}
}

func (w *World) targets() {
	target := func(name, title, address, zone string, impact gateway.Impact, vendors ...string) {
		w.Targets = append(w.Targets, gateway.Target{
			Name: name, Title: title, Kind: gateway.KindSSH, Address: address, Zone: zone, Impact: impact, Owner: "olga", Vendors: vendors,
			HostKeys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"},
			Accounts: []gateway.Account{{Name: "maint", Login: "maint", Proof: gateway.ProofCertificate}, {Name: "readonly", Login: "ro", Proof: gateway.ProofKey, SecretFile: "/etc/portcullis/ro.key"}},
			Version:  1, Statement: digest(name), Changed: w.ago(30 * 24 * time.Hour),
		})
	}
	target("headend-1", "Meter head-end, first", "10.20.0.7:22", "ami", gateway.Medium, "acme")
	target("rtu-7", "Substation Norte, RTU 7", "10.40.7.2:22", "substation-norte", gateway.High, "acme", "cobalt")
	target("turbine-2", "Turbine 2 vibration logger", "10.60.2.9:22", "plant-oeste", gateway.Low, "borealis")
}

func (w *World) id(prefix string, n int) string {
	return fmt.Sprintf("%s_%026d", prefix, n)
}

func (w *World) requests() {
	both := gateway.Abilities{Shell: true, Exec: true}
	all := gateway.Abilities{Shell: true, Exec: true, Upload: true, Download: true, Forward: []string{"[2001:db8:17::5]:443", "historian.norte.example:5432"}}
	add := func(n int, person, vendor, target, account string, state gateway.RequestState, needs int, terms gateway.Terms, reason string) {
		w.Requests = append(w.Requests, gateway.Request{
			ID: w.id("req", n), Person: person, Vendor: vendor, Target: target, Account: account, Terms: terms, Reason: reason, TargetStatement: digest(target),
			Asked: w.ago(time.Duration(n*17) * time.Minute), Lapse: w.Now.Add(22 * time.Hour), Digest: digest(reason), State: state, Needs: needs, Roles: []gateway.Role{gateway.Approver}, Version: 1,
		})
	}
	add(1, "ana", "acme", "rtu-7", "maint", gateway.RequestWaiting, 2, gateway.Terms{Length: 2 * time.Hour, Abilities: all}, "Replace the clock daemon: it drifts 40 s a day and the event list is out of order. Work order from Norte substation, agreed with shift lead.")
	add(2, "dora", "borealis", "turbine-2", "maint", gateway.RequestWaiting, 1, gateway.Terms{From: w.Now.Add(9 * time.Hour), To: w.Now.Add(11 * time.Hour), Abilities: gateway.Abilities{Exec: true}}, "Fetch last week's spectra.")
	add(3, "ana", "acme", "headend-1", "maint", gateway.RequestGranted, 1, gateway.Terms{Length: 4 * time.Hour, Abilities: all}, "Firmware campaign, group 3 of 5: restart the dispatcher and watch the queue.")
	add(4, "ben", "acme", "headend-1", "readonly", gateway.RequestGranted, 1, gateway.Terms{Length: time.Hour, Abilities: both}, "Read the logs of last night's reading run.")
	add(5, "ana", "acme", "headend-1", "readonly", gateway.RequestGranted, 1, gateway.Terms{From: w.Now.Add(26 * time.Hour), To: w.Now.Add(28 * time.Hour), Abilities: both}, "Acceptance test with the operator.")
	add(6, "ana", "acme", "rtu-7", "maint", gateway.RequestRefused, 2, gateway.Terms{Length: 8 * time.Hour, Abilities: both}, "General maintenance.")
	end := w.Now.Add(4*time.Minute + 5*time.Second) // of ben's window
	add(7, "ben", "acme", "headend-1", "readonly", gateway.RequestWaiting, 1, gateway.Terms{From: end, To: end.Add(time.Hour), Abilities: both}, "The log of the run is longer than I thought.")
	w.Requests[0].Ticket = "CHG-20417"
	last := &w.Requests[5] // the refused one
	last.Closed, last.ClosedBy, last.Word = w.ago(time.Hour), "olga", "Say what you will do, and take two hours, not eight."
	w.Approvals = []gateway.Approval{
		{Request: w.id("req", 1), Person: "omar", Terms: w.Requests[0].Terms, Statement: digest("a1"), At: w.ago(9 * time.Minute)},
		{Request: w.id("req", 3), Person: "olga", Terms: gateway.Terms{Length: 3 * time.Hour, Abilities: both}, Statement: digest("a2"), At: w.ago(46 * time.Minute)},
		{Request: w.id("req", 4), Person: "omar", Terms: w.Requests[3].Terms, Statement: digest("a3"), At: w.ago(50 * time.Minute)},
		{Request: w.id("req", 5), Person: "olga", Terms: w.Requests[4].Terms, Statement: digest("a4"), At: w.ago(80 * time.Minute)},
	}
	grant := func(n, req int, state gateway.GrantState, from, to time.Time) {
		r := w.Requests[req-1]
		w.Grants = append(w.Grants, gateway.Grant{ID: w.id("grt", n), Request: r.ID, Person: r.Person, Vendor: r.Vendor, Target: r.Target, Account: r.Account, Abilities: r.Terms.Abilities, From: from, To: to, State: state, Version: 1})
	}
	grant(3, 3, gateway.GrantOpen, w.ago(46*time.Minute), w.Now.Add(134*time.Minute+17*time.Second))
	grant(4, 4, gateway.GrantOpen, w.ago(50*time.Minute), end)
	grant(5, 5, gateway.GrantPlanned, w.Now.Add(26*time.Hour), w.Now.Add(28*time.Hour))
}

func (w *World) sessions() {
	add := func(n int, g gateway.Grant, state gateway.SessionState, started time.Time, out, in int64) *gateway.Session {
		w.Sessions = append(w.Sessions, gateway.Session{
			ID: w.id("ses", n), Grant: g.ID, Request: g.Request, Person: g.Person, Vendor: g.Vendor, Target: g.Target, Account: g.Account, Protocol: gateway.KindSSH, Node: "node-1",
			Source: "203.0.113.44:51822", Client: "SSH-2.0-OpenSSH_9.6", Touch: digest("touch"), State: state, Started: started, Until: g.To, BytesOut: out, BytesIn: in,
		})
		return &w.Sessions[len(w.Sessions)-1]
	}
	busy := add(31, w.Grants[0], gateway.SessionLive, w.ago(31*time.Minute), 1_284_991, 4_120)
	busy.Running = []gateway.ChannelKind{gateway.ChannelShell, gateway.ChannelForward}
	frozen := add(30, w.Grants[1], gateway.SessionLive, w.ago(12*time.Minute), 48_220, 911)
	frozen.Frozen, frozen.FrozenBy = w.ago(2*time.Minute), "omar"
	w.Watchers = []string{"omar", "rita"}
	old := add(22, w.Grants[0], gateway.SessionEnded, w.ago(45*time.Minute), 8_812, 331)
	old.Ended, old.Reason, old.Seal = w.ago(33*time.Minute), gateway.EndClientLeft, digest("seal")
	for n, account := range map[int]string{13: "readonly", 14: "factory"} { // the second is on file no more
		also := add(n, gateway.Grant{ID: w.id("grt", 1), Request: w.id("req", 6), Person: "carl", Vendor: "cobalt", Target: "rtu-7", Account: account, To: w.ago(time.Hour)}, gateway.SessionEnded, w.ago(3*time.Hour), 9_118, 70)
		also.Ended, also.Reason, also.EndedBy, also.Seal = w.ago(150*time.Minute), gateway.EndSuspended, "omar", digest("seal 3")
	}
	cut := add(12, gateway.Grant{ID: w.id("grt", 1), Request: w.id("req", 6), Person: "carl", Vendor: "cobalt", Target: "rtu-7", Account: "maint", To: w.ago(time.Hour)}, gateway.SessionEnded, w.ago(3*time.Hour), 302_118, 1_870)
	cut.Ended, cut.Reason, cut.EndedBy, cut.Seal = w.ago(150*time.Minute), gateway.EndSuspended, "omar", digest("seal 2")
}

func (w *World) suspensions() {
	at := w.ago(150 * time.Minute)
	closed := func(n int, person string, after time.Duration) gateway.ClosedSession {
		return gateway.ClosedSession{Session: w.id("ses", n), Person: person, Target: "rtu-7", Protocol: gateway.KindSSH, Closed: true, After: after}
	}
	w.Suspensions = []gateway.Suspension{{
		ID: w.id("sus", 1), Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "cobalt"}, Epoch: 2, By: "omar", Statement: digest("order"), Ordered: at,
		Reason: "The vendor disclosed a breach of its support network this morning. Call 4711 for the incident room.",
		Report: &gateway.Report{
			Verdict: gateway.Pass, Ordered: at, Durable: at.Add(3400 * time.Microsecond), Finished: at.Add(38 * time.Millisecond),
			Nodes: []gateway.NodeReport{{Node: "node-1", Answered: true, LiveBefore: 3, Sessions: []gateway.ClosedSession{
				closed(12, "carl", 11200*time.Microsecond), closed(13, "carl", 12900*time.Microsecond), closed(14, "carl", 21400*time.Microsecond),
			}}},
			Cancelled: gateway.Cancelled{Requests: 2, Grants: 3, Logins: 4, Tickets: 1}, Probes: probed(at),
		},
	}}
}

func (w *World) lines() {
	add := func(e audit.Event) {
		n := int64(len(w.Lines))
		w.Lines = append([]api.Line{{Seq: n, Event: e, Body: json.RawMessage(`{"metadata":{"sequence":` + fmt.Sprint(n) + `}}`)}}, w.Lines...)
	}
	add(audit.Event{Name: audit.GatewayStarted, At: w.ago(5 * time.Hour), Actor: "gateway"})
	add(audit.Event{Name: audit.SessionOpened, At: w.ago(3 * time.Hour), Actor: "carl", Vendor: "cobalt", Target: "rtu-7", Session: w.id("ses", 12)})
	add(audit.Event{Name: audit.Suspended, At: w.ago(150 * time.Minute), Actor: "omar", Vendor: "cobalt", Suspension: w.id("sus", 1), Reason: "The vendor disclosed a breach of its support network this morning."})
	add(audit.Event{Name: audit.SessionEnded, At: w.ago(150 * time.Minute), Actor: "gateway", Person: "carl", Vendor: "cobalt", Target: "rtu-7", Session: w.id("ses", 12), Reason: "suspended"})
	add(audit.Event{Name: audit.LoginRefused, At: w.ago(140 * time.Minute), Actor: "carl", Vendor: "cobalt", Outcome: audit.Refused, Rule: "suspended", Reason: "access was suspended by the operator"})
	add(audit.Event{Name: audit.RequestRefused, At: w.ago(time.Hour), Actor: "olga", Person: "ana", Vendor: "acme", Target: "rtu-7", Request: w.id("req", 6), Reason: "Say what you will do, and take two hours, not eight."})
	add(audit.Event{Name: audit.SessionOpened, At: w.ago(31 * time.Minute), Actor: "ana", Vendor: "acme", Target: "headend-1", Session: w.id("ses", 31)})
	add(audit.Event{Name: audit.RequestAsked, At: w.ago(17 * time.Minute), Actor: "ana", Vendor: "acme", Target: "rtu-7", Request: w.id("req", 1)})
}

// did notes what was called, and answers what every room answers.
func (w *World) did(format string, args ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Did = append(w.Did, fmt.Sprintf(format, args...))
	return w.Broken
}

// Calls returns what was called so far that began with prefix.
func (w *World) Calls(prefix string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.Did), func(s string) bool { return !strings.HasPrefix(s, prefix) })
}

// SignIn returns the token of a login of that person.
func (w *World) SignIn(person string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	token := "token-of-" + person
	w.logins[token] = person
	return token
}

func find[T any](all []T, is func(T) bool, what, name string) (T, error) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], nil
	}
	var none T
	return none, gateway.NotFound(what, name)
}

// touches draws up real statements and takes any answer for a signature.
type touches struct{ *World }

func (t touches) Draft(_ context.Context, _ gateway.Login, p gateway.Person, body statement.Body) (api.Challenge, error) {
	st, err := statement.Draft(URL, p.Name, t.Now, nil, body)
	if err != nil {
		return api.Challenge{}, err
	}
	raw, err := st.Bytes()
	if err != nil {
		return api.Challenge{}, err
	}
	hash := sha256.Sum256(raw)
	options, err := json.Marshal(map[string]any{"challenge": base64.RawURLEncoding.EncodeToString(hash[:]), "rpId": "localhost", "userVerification": "required", "allowCredentials": []any{}})
	if err != nil {
		return api.Challenge{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id := fmt.Sprintf("draft-%d", len(t.drafts)+1)
	t.drafts[id] = st
	return api.Challenge{ID: id, Sentence: st.Sentence, Statement: raw, Options: options, Expires: time.Now().Add(statement.Fresh)}, nil
}

func (t touches) Sign(_ context.Context, _ gateway.Login, id string, credential []byte) (statement.Signed, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st, ok := t.drafts[id]
	if !ok || !json.Valid(credential) {
		return statement.Signed{}, gateway.Refused("touch", "begin again", "this statement was not drawn up here, or was signed before")
	}
	delete(t.drafts, id)
	return statement.Seal(st)
}
