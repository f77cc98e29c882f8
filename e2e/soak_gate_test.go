package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// Times of the soak.
const (
	soakLease  = 5 * time.Second
	soakShort  = soakLease / 3             // a fault that nobody else may feel
	soakLong   = soakLease + 2*time.Second // one that outlasts the lease
	soakSlack  = 250 * time.Millisecond    // between a clock that was read and what it is read for
	soakVendor = 48                        // vendors that are there to be suspended, one a round
	tick       = "while :; do date +%s%N; sleep 0.03; done\n"
)

// fault is something that happens to one node, or to a server of all.
type fault struct {
	name  string
	store bool // takes the store from the node: its own sessions may end with the lease
	kills bool // takes the sessions of the node
	all   bool // happens to all nodes
	begin func(g *gateSoak, node int) error
	end   func(g *gateSoak, node int) error
}

func weather(store, redis rig.Weather) (begin, end func(*gateSoak, int) error) {
	turn := func(s, r rig.Weather) func(*gateSoak, int) error {
		return func(g *gateSoak, node int) error {
			g.all.ToStore[node].Turn(s)
			g.all.ToRedis[node].Turn(r)
			return nil
		}
	}
	return turn(store, redis), turn(rig.Fair, rig.Fair)
}

// calm is no fault at all.
func calm(*gateSoak, int) error { return nil }

// faults are what may happen, with one Redis or with Sentinels.
func faults(sentinel bool) []fault {
	list := []fault{
		{name: "frozen", store: true,
			begin: func(g *gateSoak, n int) error { return g.all.Nodes[n].Freeze() },
			end:   func(g *gateSoak, n int) error { return g.all.Nodes[n].Thaw() }},
		{name: "killed", kills: true,
			begin: func(g *gateSoak, n int) error { g.all.Nodes[n].Kill(); return nil },
			end:   func(g *gateSoak, n int) error { return g.all.Nodes[n].Start(g.ctx) }},
		{name: "slow disk",
			begin: func(g *gateSoak, n int) error { return g.all.Disks[n].Slow() },
			end:   func(g *gateSoak, n int) error { return g.all.Disks[n].Quick() }},
		{name: "PostgreSQL started again", all: true, store: true,
			begin: func(g *gateSoak, _ int) error { return g.all.PostgresDown() },
			end:   func(g *gateSoak, _ int) error { return g.all.Postgres.Up() }},
		{name: "calm", begin: calm, end: calm},
	}
	if sentinel {
		return append(list, sentinelFaults()...)
	}
	list = append(list,
		fault{name: "Redis flushed", all: true, begin: func(g *gateSoak, _ int) error { return g.all.Redis.Flush(g.ctx) }, end: calm},
		fault{name: "Redis started again", all: true,
			begin: func(g *gateSoak, _ int) error { g.all.Redis.Kill(); return nil },
			end:   func(g *gateSoak, _ int) error { return g.all.Redis.Up(g.ctx) }})
	for _, w := range []rig.Weather{rig.Cut, rig.Silent, rig.Deaf, rig.Dumb} {
		for _, at := range []struct {
			name         string
			store, redis rig.Weather
		}{{"store", w, rig.Fair}, {"Redis", rig.Fair, w}, {"store and Redis", w, w}} {
			f := fault{name: at.name + " " + w.String(), store: at.store != rig.Fair}
			f.begin, f.end = weather(at.store, at.redis)
			list = append(list, f)
		}
	}
	return list
}

// sentinelFaults happen to a Redis whose copy takes over, and to the ways to
// the store, which no Sentinel tells of.
func sentinelFaults() []fault {
	list := []fault{
		{name: "Redis flushed", all: true, end: calm, begin: func(g *gateSoak, _ int) error {
			master, err := g.all.Sentinel.Master(g.ctx)
			if err == nil {
				err = master.Flush(g.ctx)
			}
			return err
		}},
		{name: "Redis failed over", all: true,
			begin: func(g *gateSoak, _ int) (err error) {
				g.gone, err = g.all.Sentinel.Failover(g.ctx, func(r *rig.Redis) error { r.Kill(); return nil })
				return err
			},
			end: func(g *gateSoak, _ int) error { return errors.Join(g.gone.Up(g.ctx), g.all.Sentinel.Settled(g.ctx)) }},
		{name: "Redis frozen", all: true,
			begin: func(g *gateSoak, _ int) (err error) {
				g.gone, err = g.all.Sentinel.Master(g.ctx)
				if err == nil {
					err = g.gone.Freeze()
				}
				return err
			},
			end: func(g *gateSoak, _ int) error { return errors.Join(g.gone.Thaw(), g.all.Sentinel.Settled(g.ctx)) }},
	}
	for _, w := range []rig.Weather{rig.Cut, rig.Silent, rig.Deaf, rig.Dumb} {
		turn := func(w rig.Weather) func(*gateSoak, int) error {
			return func(g *gateSoak, n int) error { g.all.ToStore[n].Turn(w); return nil }
		}
		list = append(list, fault{name: "store " + w.String(), store: true, begin: turn(w), end: turn(rig.Fair)})
	}
	return list
}

// gateSoak is the cluster that it is done to.
type gateSoak struct {
	*cluster
	bobs   []*rig.Terminal // the other vendor's, one at each node
	gone   *rig.Redis      // the master that the last fault took away
	opened int             // shells so far
}

// TestSoakGate suspends one vendor after another while nodes and servers fail,
// and reads every client's transcript: no byte after the answer, or after the
// end of a silent node's lease; nobody gets in again; no other vendor is cut
// off but by a lease; each shell that was opened has its beginning and its end
// on file. PORTCULLIS_SOAK_GATE is how long it goes on, one half with one Redis and one with Sentinels, PORTCULLIS_SEED
// what it draws; one round, of a frozen node, where neither is set.
//
// What does not happen here is a step of one node's clock: the kernel keeps one
// wall clock for all of a machine, and a program without the C library cannot
// be told another. TestClock and TestNothingPassesAfterTheLease step it.
func TestSoakGate(t *testing.T) {
	length, seed := soakGate(t)
	t.Logf("seed %d: replay with SEED=%d", seed, seed)
	t.Run("one Redis", func(t *testing.T) {
		soakOf(t, rig.ClusterOptions{Disks: length > 0}, length/2, rand.New(rand.NewPCG(seed, 1)))
	})
	if length > 0 {
		t.Run("Sentinels", func(t *testing.T) {
			soakOf(t, rig.ClusterOptions{Disks: true, Sentinel: true}, length/2, rand.New(rand.NewPCG(seed, 2)))
		})
	}
}

func soakOf(t *testing.T, o rig.ClusterOptions, length time.Duration, draw *rand.Rand) {
	o.Nodes, o.Lease, o.Faults, o.Stage.Config = 3, soakLease.String(), true, "recordings_reserve_mib: 8\n"
	c := newClusterOf(t, o)
	g := &gateSoak{cluster: c, bobs: make([]*rig.Terminal, 3)}
	var vendors, people strings.Builder
	names := []string{"acme", "bolt"}
	for i := range soakVendor {
		fmt.Fprintf(&vendors, "  - {name: v%d, title: Vendor %d}\n", i, i)
		fmt.Fprintf(&people, "  - {name: p%d, title: Person %d, email: p%d@v%d.example, vendor: v%d, roles: [engineer]}\n", i, i, i, i, i)
		names = append(names, fmt.Sprintf("v%d", i))
	}
	plant := strings.Replace(c.PlantFile(), "vendors: [acme, bolt]", "vendors: ["+strings.Join(names, ", ")+"]", 1)
	plant = strings.Replace(strings.Replace(plant, "people:\n", vendors.String()+"people:\n", 1), "targets:\n", people.String()+"targets:\n", 1)
	c.must(c.Apply(c.ctx, plant))
	c.grant("bob", "pump", 4*time.Hour)
	all := faults(o.Sentinel)
	for round, end := 0, time.Now().Add(length); round == 0 || time.Now().Before(end) && round < soakVendor; round++ {
		f, node, by, hold := all[draw.IntN(len(all))], draw.IntN(3), 1+draw.IntN(2), soakShort
		if draw.IntN(2) == 0 && !f.all {
			hold = soakLong
		}
		if length == 0 {
			f, hold = all[0], soakLong
		}
		g.round(round, f, node, (node+by)%3, hold)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	g.everySessionEnds()
}

func soakGate(t *testing.T) (length time.Duration, seed uint64) {
	t.Helper()
	seed = uint64(time.Now().UnixNano())
	for name, read := range map[string]func(string) error{
		"PORTCULLIS_SOAK_GATE": func(v string) (err error) { length, err = time.ParseDuration(v); return err },
		"PORTCULLIS_SEED":      func(v string) (err error) { seed, err = strconv.ParseUint(v, 10, 64); return err },
	} {
		if v := os.Getenv(name); v != "" {
			if err := read(v); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	return length, seed
}

// round suspends a fresh vendor while a fault lasts.
func (g *gateSoak) round(n int, f fault, node, by int, hold time.Duration) {
	g.Helper()
	who, vendor := fmt.Sprintf("p%d", n), fmt.Sprintf("v%d", n)
	what := fmt.Sprintf("round %d: %s at node-%d for %s, suspended at node-%d", n, f.name, node+1, hold, by+1)
	g.Log(what)
	g.joins(who)
	g.grant(who, "pump", time.Hour)
	shells := g.shells(who)
	g.opened += len(shells)
	for _, s := range shells {
		g.must(s.Type(tick))
	}
	for i, s := range g.bobs {
		if s == nil {
			g.bobs[i] = g.shellAt(i, "bob")
			g.opened++
		}
	}
	broken := time.Now()
	g.must(f.begin(g, node))
	got, answered, ordered := g.order(by, vendor)
	left := time.NewTimer(time.Until(broken.Add(hold)))
	<-left.C
	g.must(f.end(g, node))
	away := time.Since(broken)
	if !ordered {
		got, answered, ordered = g.orderUntil(by, vendor)
	}
	if !ordered {
		g.Fatalf("%s: nobody could order it", what)
	}
	passed := g.reported(f, node, hold, got, what)
	for i, s := range shells {
		if _, err := s.Wait(soakLease + 5*time.Second); err != nil {
			g.Errorf("%s: the shell at node-%d goes on: %v\n%s", what, i+1, err, tail(s.Shown(), 300))
			continue
		}
		end := passed // of a node that the answer does not speak of: the store was away
		for _, r := range got.Report.Nodes {
			switch {
			case r.Node == fmt.Sprintf("node-%d", i+1) && r.Answered:
				end = answered
			case r.Node == fmt.Sprintf("node-%d", i+1):
				end = r.LeaseEnds
			}
		}
		if f.name == "frozen" && i == node && hold == soakLong {
			end = broken
		}
		if last := lastTick(s.Shown()); last.After(end.Add(soakSlack)) {
			g.Errorf("%s: node-%d showed what was written %s after the end of what it may show (%s)", what, i+1, last.Sub(end), end)
		}
	}
	g.must(g.ready())
	g.out(who, what)
	g.others(f, node, away, what)
}

// reported holds the report of an order that a frozen node did not hear to
// say so, one that was given without the store to say so too, and every report
// to end with PASS; it returns when that was.
func (g *gateSoak) reported(f fault, node int, hold time.Duration, got clusterReport, what string) time.Time {
	g.Helper()
	if f.name == "frozen" && hold == soakLong {
		silent := ""
		for _, n := range got.Report.Nodes {
			if !n.Answered && !n.LeaseEnds.IsZero() {
				silent = n.Node
			}
		}
		if got.Report.Verdict != "PENDING" || silent != fmt.Sprintf("node-%d", node+1) {
			g.Errorf("%s: the report %+v", what, got.Report)
		}
	}
	if got.Report.Verdict == "PASS" && len(got.Report.Nodes) != len(g.all.Nodes) {
		g.Errorf("%s: the report passes without all nodes: %+v", what, got.Report)
	}
	if err := rig.Until(g.ctx, soakLease+10*time.Second, func() error {
		err := g.Machine().Get(g.ctx, "/api/v1/suspensions/"+got.ID, &got)
		if err == nil && got.Report.Verdict != "PASS" {
			err = fmt.Errorf("the report is %+v", got.Report)
		}
		return err
	}); err != nil {
		g.Errorf("%s: %v", what, err)
	}
	return time.Now()
}

// order suspends a vendor at a node; ordered is false where that node said no.
func (g *gateSoak) order(by int, vendor string) (got clusterReport, answered time.Time, ordered bool) {
	r, err := g.all.Nodes[by].CLI(g.ctx, "suspend", "vendor", vendor, "--reason", "soak", "--json")
	answered = time.Now()
	g.must(err)
	// A report that is not PASS yet is a status that is not zero.
	ordered = json.Unmarshal([]byte(r.Out), &got) == nil && got.ID != ""
	return got, answered, ordered
}

func (g *gateSoak) orderUntil(by int, vendor string) (got clusterReport, answered time.Time, ordered bool) {
	g.Helper()
	_ = rig.Until(g.ctx, 20*time.Second, func() error {
		if got, answered, ordered = g.order(by, vendor); !ordered {
			return fmt.Errorf("not ordered")
		}
		return nil
	})
	return got, answered, ordered
}

var stamps = regexp.MustCompile(`(?m)^(\d{19})\r?$`)

// lastTick is when the target wrote the last line that the client was shown.
func lastTick(shown string) time.Time {
	all := stamps.FindAllStringSubmatch(shown, -1)
	if len(all) == 0 {
		return time.Time{}
	}
	ns, _ := strconv.ParseInt(all[len(all)-1][1], 10, 64) // it matched
	return time.Unix(0, ns)
}

// joins gives a person a key and an SSH key.
func (g *gateSoak) joins(who string) {
	g.Helper()
	g.must(g.Join(g.ctx, who))
	known, err := g.KnownHosts()
	g.must(err)
	client, err := rig.NewClient(filepath.Join(g.Dir, who), known)
	g.must(err)
	g.Clients[who] = client
	g.must(g.People[who].Act(g.ctx, "sshkey.add", map[string]string{"key": client.PublicKey, "label": "laptop"}, nil))
}

// out tries to get in again at every node.
func (g *gateSoak) out(who, what string) {
	g.Helper()
	for i := range g.all.Nodes {
		if status, out, errOut := g.sshAt(i, who, "echo in"); status == 0 || out != "" {
			g.Errorf("%s: node-%d lets %s in again: %d %q %q", what, i+1, who, status, out, errOut)
		}
	}
}

// others holds that bob's shells ended by nothing but a lease or a crash.
func (g *gateSoak) others(f fault, node int, away time.Duration, what string) {
	g.Helper()
	for i, s := range g.bobs {
		select {
		case <-s.Done():
			hit := i == node || f.all
			if !hit || !f.kills && !(f.store && away >= soakLease/2) {
				g.Errorf("%s: bob's shell at node-%d was cut off:\n%s", what, i+1, tail(s.Shown(), 300))
			}
			g.bobs[i] = nil
		default:
			g.lives("bob's shell at node", s)
		}
	}
}

// everySessionEnds holds the log to have a beginning and an end for each shell
// that was opened, but for bob's that live.
func (g *gateSoak) everySessionEnds() {
	g.Helper()
	var live []string
	for i, s := range g.bobs {
		if s != nil {
			live = append(live, g.sessionAt(i, "bob"))
		}
	}
	g.must(rig.Until(g.ctx, 20*time.Second, func() error {
		all, err := g.everySession()
		if err != nil {
			return err
		}
		if len(all) < g.opened {
			return fmt.Errorf("%d shells were opened, %d sessions are on file", g.opened, len(all))
		}
		for _, x := range all {
			var events json.RawMessage
			if err := g.Machine().Get(g.ctx, "/api/v1/events?session="+x.ID, &events); err != nil {
				return err
			}
			if !strings.Contains(string(events), `"session.opened"`) {
				return fmt.Errorf("session %s of %s began without an event: %s", x.ID, x.Person, events)
			}
			if !slices.Contains(live, x.ID) && (x.State != "ended" || !strings.Contains(string(events), `"session.ended"`)) {
				return fmt.Errorf("session %s of %s is %s; its events: %s", x.ID, x.Person, x.State, events)
			}
		}
		return nil
	}))
	g.verified()
}

// everySession lists all, page by page.
func (g *gateSoak) everySession() (all []session, err error) {
	for before := ""; ; {
		var page struct {
			Items []session `json:"items"`
		}
		if err := g.Machine().Get(g.ctx, "/api/v1/sessions?limit=200&before="+before, &page); err != nil || len(page.Items) == 0 {
			return all, err
		}
		all = append(all, page.Items...)
		before = page.Items[len(page.Items)-1].ID
	}
}
