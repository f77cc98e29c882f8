package main

import (
	"github.com/portcullis/portcullis/gateway"
)

type demoCmd struct {
	Check bool   `help:"Play the whole story without a person, a line a step, and exit 0 only if all holds."`
	Nodes int    `help:"How many nodes: 1, or 3 that share a PostgreSQL and a Redis of their own." enum:"1,3" default:"1"`
	Web   string `help:"Where to serve the pages." default:"127.0.0.1:8080"`
	SSH   string `help:"Where to answer ssh." default:"127.0.0.1:2022"`
	VPN   string `help:"Where to answer WireGuard, UDP; off for no tunnels." default:"127.0.0.1:51820"`
}

// The people and vendors of the sample plant. Names are invented.
const (
	demoAdmin        = "admin"
	demoApprover     = "kim.larsen"
	demoEngineerName = "ana.ruiz"
	demoVendor       = "northwind"
	demoReason       = "Quarterly meter firmware check, work order 4711"
)

// demoTargets are real OpenSSH servers on loopback, one each.
var demoTargets = []struct {
	name, title string
	impact      gateway.Impact
	vendors     []string
}{
	{"historian", "Plant historian", gateway.Low, []string{"northwind", "helio"}},
	{"meter-headend", "Meter head-end", gateway.Medium, []string{"northwind"}},
	{"rtu-gateway", "Substation RTU gateway", gateway.High, []string{"northwind"}},
}

// Run starts the sample plant and serves until it is told to stop, or plays
// the check.
func (d *demoCmd) Run(r *run) error {
	switch {
	case d.Nodes > 1 && d.Check:
		return tell(r, d.checkNodes)
	case d.Nodes > 1:
		return d.serveNodes(r)
	case d.Check:
		return tell(r, d.check)
	}
	data := r.Data
	if data == "" {
		data = "portcullis-demo"
	}
	p, err := d.plant(r.ctx, data, Listen{Web: d.Web, SSH: d.SSH, VPN: d.VPN}, r.errOut)
	if err != nil {
		return err
	}
	defer p.stop()
	return p.gate.serve(r.ctx, func() { p.greet(r.out) })
}
