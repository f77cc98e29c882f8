package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/statement"
)

// plant is the sample plant with its gateway.
type plant struct {
	data    string
	cfg     Config
	targets []*sshTarget
	console *sampleConsole
	network *sampleNetwork
	gate    *gatewayd
	links   map[string]string // of people who have no key yet
	logs    *os.File
}

// plant starts the targets and joins the gateway; it does not serve yet.
// Everything is kept in data: a second start goes on where the first ended.
func (d *demoCmd) plant(ctx context.Context, data string, at Listen, errOut io.Writer) (_ *plant, err error) {
	if data, err = filepath.Abs(data); err != nil {
		return nil, err
	}
	p := &plant{data: data, links: map[string]string{}}
	defer func() {
		if err == nil {
			return
		}
		if p.gate != nil {
			err = errors.Join(err, p.gate.closeAll())
		}
		p.stop()
	}()
	if err := p.configure(at); err != nil {
		return nil, err
	}
	p.cfg.Drain = new(time.Duration) // Ctrl-C stops everything
	if p.logs, err = os.OpenFile(filepath.Join(data, "targets.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if p.network, err = startNetwork(ctx); err != nil {
		return nil, err
	}
	if p.gate, err = newGateway(ctx, p.cfg, log, p.network.dial); err != nil {
		return nil, err
	}
	for _, t := range demoTargets {
		s, err := startTarget(ctx, filepath.Join(data, "plant", t.name), t.name, p.gate.keys.UserCA(), p.logs)
		if err != nil {
			return nil, err
		}
		p.targets = append(p.targets, s)
	}
	if p.console, err = startConsole(ctx, filepath.Join(data, "plant", "pump-console")); err != nil {
		return nil, err
	}
	return p, p.seed(ctx)
}

// stop ends the targets. The gateway closes itself when it has served.
func (p *plant) stop() {
	for _, t := range p.targets {
		t.Stop(syscall.SIGTERM)
	}
	if p.console != nil {
		p.console.stop()
	}
	if p.network != nil {
		p.network.stop()
	}
	if p.logs != nil {
		_ = p.logs.Close() // a log of the sample targets
	}
}

// configure writes the demo's configuration at the first start.
func (p *plant) configure(at Listen) error {
	path := filepath.Join(p.data, "portcullis.yaml")
	cfg, err := LoadConfig(path)
	if err == nil {
		p.cfg = cfg
		return nil
	}
	if _, statErr := os.Stat(path); !errors.Is(statErr, os.ErrNotExist) {
		return err
	}
	keys, err := openKeysIn(p.data)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(at.Web)
	if err != nil {
		return usagef("--web %q is not host:port", at.Web)
	}
	all := map[string]any{
		"url": "http://localhost:" + port, "apps_domain": "localhost", "data": p.data, "node": "demo", "listen": at,
		"roots": []string{machineRoot(keys)}, "recordings_reserve_mib": 1,
	}
	if at.VPN != off && !strings.HasSuffix(at.VPN, ":0") { // localhost may mean ::1, where nothing listens
		all["vpn"] = map[string]any{"endpoint": at.VPN}
	}
	raw, err := yaml.Marshal(all)
	if err != nil {
		return err
	}
	if p.cfg, err = ParseConfig(raw); err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

// seed admits the people, defines the targets, leaves one request waiting and
// prints links for those who have no key yet. What is there stays.
func (p *plant) seed(ctx context.Context) error {
	g := p.gate
	link, err := g.firstAdmin(ctx, statement.PersonAdmit{Name: demoAdmin, Title: "First administrator", Roles: []gateway.Role{gateway.Admin, gateway.Responder, gateway.Reviewer}})
	var has *hintError
	switch {
	case errors.As(err, &has): // has a key already
	case err != nil:
		return err
	default:
		p.links[demoAdmin] = link
	}
	raw, err := yaml.Marshal(inventory(p.targets, p.console.entry(), p.network.entry()))
	if err != nil {
		return err
	}
	if _, err := g.directory.Apply(ctx, raw, g.sign, false); err != nil {
		return err
	}
	for _, name := range []string{demoApprover, demoEngineerName} {
		if err := p.linkFor(ctx, name); err != nil {
			return err
		}
	}
	return p.waitingRequest(ctx)
}

func (p *plant) linkFor(ctx context.Context, name string) error {
	keys, _, err := p.gate.identity.Keys(ctx, name)
	if err != nil || len(keys) > 0 {
		return err
	}
	person, err := p.gate.directory.Person(ctx, name)
	if err != nil || person.State != gateway.Active {
		return err
	}
	link, err := p.gate.invite(ctx, name)
	if gateway.IsCode(err, gateway.CodeRefused) {
		return nil // suspended at an earlier start, and it stays so
	}
	p.links[name] = link
	return err
}

// inventory is the plant as a file that apply takes.
func inventory(at []*sshTarget, more ...map[string]any) map[string]any {
	type m = map[string]any
	targets := make([]m, len(demoTargets))
	for i, t := range demoTargets {
		s := at[i]
		targets[i] = m{
			"name": t.name, "title": t.title, "kind": "ssh", "address": s.addr, "zone": "sample-plant", "impact": string(t.impact), "vendors": t.vendors,
			"host_keys": []string{s.hostKey}, "accounts": []m{{"name": "service", "login": s.login, "proof": "certificate"}},
		}
	}
	return m{
		"vendors": []m{
			{"name": demoVendor, "title": "Northwind Metering Ltd", "contact": "security@northwind.example", "contract": "Remote maintenance of meters, contract 2026-17"},
			{"name": "helio", "title": "Helio SCADA GmbH", "contact": "noc@helio.example"},
		},
		"people": []m{
			{"name": demoEngineerName, "title": "Ana Ruiz", "email": "ana@northwind.example", "vendor": demoVendor, "roles": []string{"engineer"}},
			{"name": "ben.okafor", "title": "Ben Okafor", "email": "ben@helio.example", "vendor": "helio", "roles": []string{"engineer"}},
			{"name": demoApprover, "title": "Kim Larsen", "staff": true, "roles": []string{"approver"}},
			{"name": "ola.dahl", "title": "Ola Dahl", "staff": true, "roles": []string{"approver", "responder"}},
			{"name": "rita.moss", "title": "Rita Moss", "staff": true, "roles": []string{"reviewer", "auditor"}},
		},
		"targets": slices.Concat(targets, more),
	}
}

// waitingRequest leaves one request for the approver's inbox at the first
// start.
func (p *plant) waitingRequest(ctx context.Context) error {
	had, err := p.gate.access.Requests(ctx, access.Filter{Limit: 1})
	if err != nil || len(had) > 0 {
		return err
	}
	ana, err := p.gate.directory.Person(ctx, demoEngineerName)
	if err != nil {
		return err
	}
	_, err = p.gate.access.Ask(ctx, ana, access.AskInput{Target: "historian", Account: "service", Abilities: []string{"shell", "exec"}, Length: 2 * time.Hour, Reason: demoReason, Ticket: "CHG-4711"})
	if gateway.IsCode(err, gateway.CodeRefused) {
		return nil
	}
	return err
}

// greet prints what to do first.
func (p *plant) greet(w io.Writer) {
	host, port, _ := net.SplitHostPort(p.gate.sshAddress()) // made by JoinHostPort
	var b strings.Builder
	fmt.Fprintf(&b, "\nPortcullis runs with a sample plant on this machine: %s\n\n", p.cfg.URL)
	for _, x := range []struct{ who, name string }{{"administrator", demoAdmin}, {"approver", demoApprover}, {"vendor engineer", demoEngineerName}} {
		if link := p.links[x.name]; link != "" {
			fmt.Fprintf(&b, "  %-16s %-11s %s\n", x.who, x.name, link)
		} else {
			fmt.Fprintf(&b, "  %-16s %-11s has a key: sign in at %s/login\n", x.who, x.name, p.cfg.URL)
		}
	}
	fmt.Fprintf(&b, `
Open each link in a browser profile of its own and touch a security key. Without one at hand, the
browser's developer tools have a virtual one (Chromium: More tools, WebAuthn, with user verification).

  1. The approver finds a request of %s waiting in the inbox and agrees with a touch.
  2. The engineer adds an SSH key on the page "Keys", then connects and touches:
         ssh -p %s service+historian@%s
  3. The engineer asks for "%s" too, with the ability "%s", and opens a tunnel to it
     in the browser, or here; with wg-quick it is as if rtu-1 was on the same network:
         portcullis tunnel %s --server %s
  4. The administrator watches it on the board, and drops the gate there, or here:
         portcullis --data %s suspend vendor %s --reason "breach news"

Ctrl-C stops everything. State is in %s.
`, demoEngineerName, port, host, demoNetwork, demoFlow, demoNetwork, p.cfg.URL, p.data, demoVendor, p.data)
	_, _ = io.WriteString(w, b.String()) // nobody may be reading
}
