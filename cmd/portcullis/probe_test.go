package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/statement"
)

const probedKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"

var errShut = gateway.Refused("suspended", "", "vendor acme is suspended")

// shut is a prober before whom every door is shut, with one of everything in
// hand.
func shut() prober {
	no := func(context.Context, string) error { return errShut }
	ana := gateway.Person{Name: "ana", Vendor: "acme", State: gateway.Active}
	return prober{now: time.Now, hold: func(context.Context, gateway.Scope) (holdings, error) {
		return holdings{
			people: []gateway.Person{ana}, keys: []gateway.SSHKey{{Fingerprint: "SHA256:1", Person: "ana", Key: probedKey}, {Fingerprint: "SHA256:2", Person: "ana", Key: "sk-" + probedKey}},
			certs: []gateway.SSHCertificate{{Fingerprint: "SHA256:3", Person: "ana"}}, grants: []gateway.Grant{{ID: "grt_1", Person: "ana", Vendor: "acme", Target: "pump"}},
			requests: []gateway.Request{{ID: "req_1", Person: "ana"}}, waiting: []identity.Waiting{{Person: ana}}, consoles: []string{"ses_1"},
		}, nil
	}, judges: judges{
		owner: func(context.Context, ssh.PublicKey) (gateway.Person, error) { return gateway.Person{}, errShut },
		certificate: func(gateway.SSHCertificate) (ssh.PublicKey, error) {
			k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(probedKey))
			return k, err
		},
		signer: no, approve: no, requestRow: no, login: no,
		usable:   func(context.Context, gateway.Person, string, string) error { return errShut },
		open:     func(context.Context, gateway.Person, string, statement.BindingKind) error { return errShut },
		grantRow: func(context.Context, string, time.Time) error { return errShut },
		invite:   func(context.Context, gateway.Person, string) error { return errShut },
		floor:    func(gateway.Scope) uint64 { return 2 },
		cookie:   func(string) error { return errShut },
	}}
}

var acmeOrder = gateway.Suspension{ID: "sus_1", Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Epoch: 2}

func probed(t *testing.T, list []gateway.Probed) map[gateway.Path]gateway.Probed {
	t.Helper()
	out := map[gateway.Path]gateway.Probed{}
	for _, p := range list {
		if _, twice := out[p.Path]; twice {
			t.Errorf("%s stands in the list twice", p.Path)
		}
		out[p.Path] = p
	}
	return out
}

func TestProbesOfAShutGate(t *testing.T) {
	list := shut().probe(t.Context(), acmeOrder)
	for path, p := range probed(t, list) {
		switch path {
		case gateway.PathWireGuard, gateway.PathToken, gateway.PathPartition:
			if p.Result != gateway.ProbeNotTried || p.Sentence == "" {
				t.Errorf("%s: %+v", path, p)
			}
		default:
			if p.Result != gateway.ProbeRefused || p.Rule == "" || p.Sentence == "" || p.Tried == 0 || p.At.IsZero() {
				t.Errorf("%s: %+v", path, p)
			}
		}
	}
	if len(list) != 21 || gateway.Pass.Judged(list) != gateway.Pass {
		t.Errorf("%d paths, verdict %s", len(list), gateway.Pass.Judged(list))
	}
}

// Each door, left open on purpose, fails the report by its own name, and no
// other with it.
func TestEachOpenDoorIsSeen(t *testing.T) {
	yes := func(context.Context, string) error { return nil }
	let := func(p *prober) { // a key is taken, and a grant of before is usable
		p.owner = func(context.Context, ssh.PublicKey) (gateway.Person, error) { return gateway.Person{Name: "ana"}, nil }
		p.usable = func(context.Context, gateway.Person, string, string) error { return nil }
	}
	for name, c := range map[string]struct {
		open  func(*prober)
		paths []gateway.Path
	}{
		"a key and its grant": {let, []gateway.Path{gateway.PathSSHKey, gateway.PathSSHCertificate, gateway.PathBrowserShell}},
		"a security key": {func(p *prober) {
			p.signer = yes
			p.usable = func(context.Context, gateway.Person, string, string) error { return nil }
		}, []gateway.Path{gateway.PathSSHTouch, gateway.PathBrowserShell}},
		"a grant by SSH": {func(p *prober) {
			p.open = func(_ context.Context, _ gateway.Person, _ string, by statement.BindingKind) error {
				if by == statement.BindSSH {
					return nil
				}
				return errShut
			}
		}, []gateway.Path{gateway.PathGrant, gateway.PathWaiting}},
		"a ticket": {func(p *prober) {
			p.open = func(_ context.Context, _ gateway.Person, _ string, by statement.BindingKind) error {
				if by == statement.BindLogin {
					return nil
				}
				return errShut
			}
		}, []gateway.Path{gateway.PathTicket}},
		"a row put back, and an earlier clock": {func(p *prober) { p.grantRow = func(context.Context, string, time.Time) error { return nil } }, []gateway.Path{gateway.PathGrantRow, gateway.PathClock}},
		"an earlier clock alone": {func(p *prober) {
			p.grantRow = func(_ context.Context, _ string, at time.Time) error {
				if at.IsZero() { // the grant's beginning
					return nil
				}
				return errShut
			}
		}, []gateway.Path{gateway.PathClock}},
		"an approval":             {func(p *prober) { p.approve = yes }, []gateway.Path{gateway.PathRequest}},
		"a request's row":         {func(p *prober) { p.requestRow = yes }, []gateway.Path{gateway.PathRequestRow}},
		"a login, an invitation":  {func(p *prober) { p.login = yes }, []gateway.Path{gateway.PathLogin, gateway.PathInvitation}},
		"an administrator's page": {func(p *prober) { p.invite = inviting(statement.Machine) }, []gateway.Path{gateway.PathStalePage}},
		"a colleague":             {func(p *prober) { p.invite = inviting("ana") }, []gateway.Path{gateway.PathColleague}},
		"a console's cookie":      {func(p *prober) { p.cookie = func(string) error { return nil } }, []gateway.Path{gateway.PathHTTPS}},
		"a backup":                {func(p *prober) { p.floor = func(gateway.Scope) uint64 { return 1 } }, []gateway.Path{gateway.PathBackup}},
	} {
		p := shut()
		c.open(&p)
		list := p.probe(t.Context(), acmeOrder)
		if gateway.Pass.Judged(list) != gateway.Fail {
			t.Errorf("%s: an open door passes", name)
		}
		open := map[gateway.Path]bool{}
		for _, x := range list {
			open[x.Path] = x.Result == gateway.ProbeOpen
		}
		for _, path := range c.paths {
			if !open[path] {
				t.Errorf("%s: %s is not seen", name, path)
			}
			delete(open, path)
		}
		for path, yes := range open {
			if yes {
				t.Errorf("%s: %s is called open", name, path)
			}
		}
	}
}

func inviting(who string) func(context.Context, gateway.Person, string) error {
	return func(_ context.Context, by gateway.Person, _ string) error {
		if by.Name == who {
			return nil
		}
		return errShut
	}
}

func TestProbesThatSayNothing(t *testing.T) {
	p := shut()
	p.login = func(context.Context, string) error { return context.DeadlineExceeded }
	if list := p.probe(t.Context(), acmeOrder); gateway.Pass.Judged(list) != gateway.Pending {
		t.Error("a door that does not answer passes")
	}
	p = shut()
	p.hold = func(context.Context, gateway.Scope) (holdings, error) { return holdings{}, errors.New("locked") }
	if list := p.probe(t.Context(), acmeOrder); gateway.Pass.Judged(list) != gateway.Pending {
		t.Error("a store that does not answer passes")
	}
	p = shut()
	p.hold = func(context.Context, gateway.Scope) (holdings, error) {
		return holdings{people: []gateway.Person{{Name: "ana", Vendor: "acme"}}, others: []gateway.Person{{Name: "ana2", Vendor: "helio"}}}, nil
	}
	list := p.probe(t.Context(), acmeOrder)
	if got := probed(t, list)[gateway.PathOtherVendor]; got.Result != gateway.ProbeFinding || !strings.Contains(got.Subject, "ana2 of helio") || gateway.Pass.Judged(list) != gateway.Pass {
		t.Errorf("the same human elsewhere: %+v", got)
	}
	if got := probed(t, list)[gateway.PathGrant]; got.Result != gateway.ProbeNothing || got.Tried != 0 {
		t.Errorf("without a grant: %+v", got)
	}
}

// The probes of the built rooms, asked before the order, see each door open
// that the engineer goes through; after it they see none.
func TestProbesSeeAnOpenGate(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
	defer cancel()
	dir := t.TempDir()
	web, err := freeAddrs(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := &check{story: &story{run: &run{ctx: ctx, out: io.Discard, errOut: io.Discard}, dir: dir}}
	if c.plant, err = new(demoCmd).plant(ctx, filepath.Join(dir, "data"), Listen{Web: web[0], SSH: "127.0.0.1:0", VPN: off}, io.Discard); err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(ctx)
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- c.plant.gate.serve(serving, func() { close(ready) }) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		c.plant.stop()
	}()
	<-ready
	do := func(steps ...func() (string, error)) {
		t.Helper()
		for _, step := range steps {
			if _, err := step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	look := func(what string, open ...gateway.Path) {
		t.Helper()
		got := probed(t, c.plant.gate.prober().probe(ctx, gateway.Suspension{Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: demoVendor}, Epoch: 2}))
		for _, path := range open {
			if got[path].Result != gateway.ProbeOpen {
				t.Errorf("%s: %s is open, and the probe says %+v", what, path, got[path])
			}
		}
	}
	do(c.enrolAll, func() (string, error) { return c.engineer.addSSHKey(ctx, c.plant.gate.keys) }, c.findRequest)
	look("before the approval", gateway.PathRequest, gateway.PathRequestRow, gateway.PathLogin, gateway.PathInvitation, gateway.PathStalePage, gateway.PathBackup)
	do(c.approve, c.login, c.openShell)
	look("before the order", gateway.PathSSHKey, gateway.PathSSHCertificate, gateway.PathGrant, gateway.PathTicket, gateway.PathBrowserShell, gateway.PathGrantRow, gateway.PathClock)
	do(c.suspend, c.refused("suspended"))
	all, err := c.plant.gate.killswitch.Suspensions(ctx)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d suspensions, %v", len(all), err)
	}
	for _, p := range all[0].Report.Probes {
		t.Logf("%-17s %-14s %d  %8s  %s: %s", p.Path, p.Result, p.Tried, p.Took.Round(time.Microsecond), p.Rule, p.Sentence)
		if p.Result == gateway.ProbeOpen || p.Result == gateway.ProbeSilent {
			t.Errorf("after the order: %+v", p)
		}
	}
	if n := len(all[0].Report.Probes); n != 24 || all[0].Report.Verdict != gateway.Pass {
		t.Errorf("%d paths were looked at, verdict %s", n, all[0].Report.Verdict)
	}
}
