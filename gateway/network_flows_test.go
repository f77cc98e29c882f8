package gateway_test

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func TestFlowRulesHaveOneSpelling(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"historian:1433/tcp", "historian:1433/tcp"},
		{"Historian.Plant.:1433/tcp", "historian.plant:1433/tcp"},
		{"plc_7:1-65535/udp", "plc_7:1-65535/udp"},
		{"10.20.0.5:502/tcp", "10.20.0.5:502/tcp"},
		{"10.20.0.5/32:502-502/tcp", "10.20.0.5:502/tcp"},
		{"10.20.0.0/24:22/tcp", "10.20.0.0/24:22/tcp"},
		{"10.20.0.0/24/icmp", "10.20.0.0/24/icmp"},
		{"historian/icmp", "historian/icmp"},
		{"[FD00:0::5]:502/tcp", "[fd00::5]:502/tcp"},
		{"[fd00::5/128]:502/tcp", "[fd00::5]:502/tcp"},
		{"[fd00::/64]:22-23/tcp", "[fd00::/64]:22-23/tcp"},
		{"[fd00::/64]/icmp", "[fd00::/64]/icmp"},
	} {
		r, err := gateway.ParseFlowRule(c.in)
		if err != nil || r.String() != c.want {
			t.Errorf("%q is %q, %v; want %q", c.in, r, err, c.want)
		}
	}
}

func TestFlowRulesAreReadStrictly(t *testing.T) {
	for _, s := range []string{
		"", "/", "/tcp", ":22/tcp", "a", "a:22", "a/22", "a:22/TCP", "a:22/sctp", "a:22/", "a/tcp", "a:22/icmp", "a:/tcp", "a:0/tcp", "a:022/tcp", "a:+22/tcp", "a:65536/tcp",
		"a:22-/tcp", "a:-22/tcp", "a:23-22/tcp", "a:1-2-3/tcp", "a b:22/tcp", "a..b:22/tcp", "-a:22/tcp", "*:22/tcp", "10.1:22/tcp", "010.1.1.1:22/tcp", "10.20.0.5/24:22/tcp",
		"10.0.0.0/08:22/tcp", "10.0.0.0/7:22/tcp", "0.0.0.0/0:22/tcp", "127.0.0.1:22/tcp", "169.254.169.254:80/tcp", "224.0.0.1:22/tcp", "255.255.255.255:67/udp", "0.0.0.0:22/tcp", "128.0.0.0/8-:22/tcp",
		"fd00::5:22/tcp", "[fd00::5]/tcp", "[fd00::5]22/tcp", "fd00::5]:22/tcp", "[fd00::5:22/tcp", "[10.0.0.5]:22/tcp", "[a]:22/tcp", "[[fd00::5]]:22/tcp", "[fd00::5%eth0]:22/tcp", "[::]:22/tcp", "[::1]:22/tcp",
		"[fe80::1]:22/tcp", "[ff02::1]:22/tcp", "[::ffff:10.0.0.5]:22/tcp", "[64:ff9b::a00:5]:22/tcp", "[2002:a00:5::1]:22/tcp", "[fd00::/31]:22/tcp", "[fd00::1/64]:22/tcp", "fd00::5/icmp",
		strings.Repeat("a", 300) + ":22/tcp",
	} {
		if r, err := gateway.ParseFlowRule(s); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%q was taken as %q: %v", s, r, err)
		}
	}
}

func TestFlowsNarrowByWhatHoldsThem(t *testing.T) {
	for _, c := range []struct {
		a, b   string
		within bool
		both   string // "" nothing
	}{
		{"h:22/tcp", "h:22/tcp", true, "h:22/tcp"},
		{"h:22/tcp", "h:20-30/tcp", true, "h:22/tcp"},
		{"h:20-30/tcp", "h:25-40/tcp", false, "h:25-30/tcp"},
		{"h:20-30/tcp", "h:31/tcp", false, ""},
		{"h:22/tcp", "h:22/udp", false, ""},
		{"h:22/tcp", "g:22/tcp", false, ""},
		{"h/icmp", "h/icmp", true, "h/icmp"},
		{"h/icmp", "h:22/tcp", false, ""},
		{"10.0.0.5:22/tcp", "10.0.0.0/24:22/tcp", true, "10.0.0.5:22/tcp"},
		{"10.0.0.0/24:22/tcp", "10.0.0.5:22/tcp", false, "10.0.0.5:22/tcp"},
		{"10.0.0.0/24:20-30/tcp", "10.0.0.0/16:25-40/tcp", false, "10.0.0.0/24:25-30/tcp"},
		{"10.0.1.5:22/tcp", "10.0.0.0/24:22/tcp", false, ""},
		{"[fd00::5]:22/tcp", "[fd00::/64]:1-65535/tcp", true, "[fd00::5]:22/tcp"},
		{"[fd00::/64]/icmp", "10.0.0.0/24/icmp", false, ""},
		{"h:22/tcp", "10.0.0.0/8:22/tcp", false, ""}, // whatever h is today
		{"10.0.0.5:22/tcp", "h:22/tcp", false, ""},
	} {
		a, b := parse(t, "flow "+c.a), parse(t, "flow "+c.b)
		if got := a.Within(b); got != c.within {
			t.Errorf("%s within %s: %v", c.a, c.b, got)
		}
		for _, and := range []gateway.Abilities{a.And(b), b.And(a)} {
			if got := strings.Join(and.Flows, ","); got != c.both || and.None() != (c.both == "") || !and.Within(a) || !and.Within(b) {
				t.Errorf("%s and %s: %s, want %s", c.a, c.b, got, c.both)
			}
		}
	}
}

func TestNetworkAbilitiesNarrow(t *testing.T) {
	wide := parse(t, "flow h:20-30/tcp,flow 10.0.0.0/24:502/tcp,bandwidth 500,volume-in 1000")
	for _, c := range []struct {
		asked  string
		within bool
		both   string
	}{
		{"flow h:22/tcp,bandwidth 1,volume-in 1000", true, "flow h:22/tcp,bandwidth 1,volume-in 1000"},
		{"flow h:22/tcp,bandwidth 500,volume-in 10,volume-out 7", true, "flow h:22/tcp,bandwidth 500,volume-in 10,volume-out 7"},
		{"flow h:22/tcp,bandwidth 5", false, "flow h:22/tcp,bandwidth 5,volume-in 1000"},
		{"flow h:22/tcp,bandwidth 600,volume-in 2000", false, "flow h:22/tcp,bandwidth 500,volume-in 1000"},
		{"flow h:22/tcp,flow g:22/tcp,bandwidth 1,volume-in 1", false, "flow h:22/tcp,bandwidth 1,volume-in 1"},
		{"flow 10.0.0.7:502/tcp,flow 10.0.0.0/25:500-600/tcp,bandwidth 1,volume-in 1", false, "flow 10.0.0.0/25:502/tcp,bandwidth 1,volume-in 1"},
		{"shell", false, "volume-in 1000"},
	} {
		a := parse(t, c.asked)
		if got := a.Within(wide); got != c.within {
			t.Errorf("%s within: %v, want %v", c.asked, got, c.within)
		}
		and := a.And(wide)
		if got := strings.Join(and.List(), ","); got != c.both {
			t.Errorf("%s and: %s, want %s", c.asked, got, c.both)
		}
	}
}

// What one flow of a grant holds is not listed beside it, or leaving it out
// would take nothing away.
func TestFlowsAreListedOnce(t *testing.T) {
	a := parse(t, "flow 10.0.0.5:22/tcp,flow 10.0.0.0/24:1-100/tcp,flow 10.0.0.0/24:22/udp,flow 10.0.0.0/24:22-22/udp,flow h:22/tcp")
	want := []string{"flow 10.0.0.0/24:1-100/tcp", "flow 10.0.0.0/24:22/udp", "flow h:22/tcp"}
	if got := a.List(); !slices.Equal(got, want) {
		t.Errorf("listed as %q, want %q", got, want)
	}
	// A list that no parser made lets nothing more than what it spells.
	odd := gateway.Abilities{Flows: []string{"10.0.0.5:022/tcp", "0.0.0.0/0:1-65535/tcp"}}
	if odd.Fits(gateway.KindNetwork) == nil || odd.Within(parse(t, "flow 10.0.0.0/8:1-65535/tcp")) || !odd.And(odd).None() {
		t.Error("a flow that cannot be read counted")
	}
}

func TestFlowsAreBounded(t *testing.T) {
	var list []string
	for i := range gateway.MaxFlows + 1 {
		list = append(list, gateway.FlowRule{Name: "h", Protocol: gateway.FlowTCP, From: uint16(i + 1), To: uint16(i + 1)}.String())
	}
	words := "flow " + strings.Join(list, ",flow ")
	if _, err := gateway.ParseAbilities(strings.Split(words, ",")); err == nil {
		t.Errorf("%d flows were taken", len(list))
	}
	if err := (gateway.Abilities{Flows: list}).Fits(gateway.KindNetwork); err == nil {
		t.Errorf("%d flows fit", len(list))
	}
}

func TestNetworkAbilitiesFitNetworksAlone(t *testing.T) {
	for _, c := range []struct {
		kind  gateway.TargetKind
		asked string
		next  string // "" fits; else in the refusal
	}{
		{gateway.KindNetwork, "flow h:22/tcp,flow h/icmp,bandwidth 3,volume-in 1,volume-out 2", ""},
		{gateway.KindNetwork, "volume-in 1", "ask for each as flow"},
		{gateway.KindNetwork, "flow h:22/tcp,shell", "not by shell"},
		{gateway.KindNetwork, "flow h:22/tcp,upload", "not by upload"},
		{gateway.KindNetwork, "flow h:22/tcp,forward a:1", "not by forward a:1"},
		{gateway.KindNetwork, "flow h:22/tcp,GET,path /", "not by GET, path /"},
		{gateway.KindSSH, "shell,flow h:22/tcp", "are for networks"},
		{gateway.KindSSH, "shell,volume-in 5", "here ask for shell"},
		{gateway.KindHTTPS, "GET,path /,bandwidth 5", "are for networks"},
	} {
		a := parse(t, c.asked)
		if err := a.Fits(c.kind); c.next == "" && err != nil || c.next != "" && (!gateway.IsCode(err, gateway.CodeInvalid) || !strings.Contains(err.Error(), c.next)) {
			t.Errorf("%s on %s: %v, want %q", c.asked, c.kind, err, c.next)
		}
	}
	for _, bad := range []string{"flow", "flow ", "Flow h:22/tcp", "flow h:22", "volume-in", "volume-in 0", "volume-out -1", "bandwidth x", "rate"} {
		if a, err := gateway.ParseAbilities([]string{bad}); err == nil {
			t.Errorf("%q was taken: %v", bad, a.List())
		}
	}
	tunnel := gateway.Channel{Kind: gateway.ChannelTunnel}
	if !parse(t, "flow h:22/tcp").Lets(tunnel) || parse(t, "volume-in 5").Lets(tunnel) || parse(t, "shell,forward h:22").Lets(tunnel) {
		t.Error("a tunnel is let by flows, and by nothing else")
	}
}

func FuzzFlowRule(f *testing.F) {
	for _, s := range []string{"h:22/tcp", "10.0.0.0/24:1-2/udp", "[fd00::/64]:22/tcp", "[fd00::5]/icmp", "h/icmp", "1.2.3.4/32/icmp", "a:b:1/tcp"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, x, y string) {
		a, err := gateway.ParseFlowRule(x)
		if err != nil {
			return
		}
		if again, err := gateway.ParseFlowRule(a.String()); err != nil || again != a {
			t.Fatalf("%q is %q, which is %q, %v", x, a, again, err)
		}
		if a.Name == "" && gateway.Nowhere(a.Prefix.Addr()) {
			t.Fatalf("%q reaches %s", x, a.Prefix)
		}
		b, err := gateway.ParseFlowRule(y)
		if err != nil {
			return
		}
		c, ok := a.And(b)
		if d, same := b.And(a); same != ok || ok && c != d {
			t.Fatalf("%q and %q: %q, the other way %q", a, b, c, d)
		}
		if ok && (!c.Within(a) || !c.Within(b)) || !ok && (a.Within(b) || b.Within(a)) || ok && a.Within(b) && c != a {
			t.Fatalf("%q and %q: %q %v", a, b, c, ok)
		}
	})
}

func plant() gateway.Network {
	addrs := func(s ...string) (l []netip.Addr) {
		for _, x := range s {
			l = append(l, netip.MustParseAddr(x))
		}
		return l
	}
	return gateway.Network{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd00:20::/64")},
		Names: []gateway.NetworkName{
			{Name: "historian", Addresses: addrs("10.20.0.5", "fd00:20::5")}, {Name: "sql.historian", Addresses: addrs("10.20.0.5")}, {Name: "hmi", Addresses: addrs("10.20.1.7")},
		},
	}
}

func TestFlowsPassByTheirRuleAlone(t *testing.T) {
	rules, err := parse(t, "flow historian:1433/tcp,flow 10.20.1.0/24:502-503/tcp,flow 10.20.9.9:161/udp,flow historian/icmp").FlowRules(plant())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		proto gateway.FlowProtocol
		to    string
		rule  string // "" refused
		name  string
	}{
		{"tcp", "10.20.0.5:1433", "historian:1433/tcp", "historian"},
		{"tcp", "[fd00:20::5]:1433", "historian:1433/tcp", "historian"},
		{"tcp", "10.20.0.5:1434", "", ""},
		{"udp", "10.20.0.5:1433", "", ""},
		{"tcp", "10.20.1.7:502", "10.20.1.0/24:502-503/tcp", "hmi"},
		{"tcp", "10.20.1.8:503", "10.20.1.0/24:502-503/tcp", ""},
		{"tcp", "10.20.1.8:501", "", ""},
		{"tcp", "10.20.1.8:504", "", ""},
		{"tcp", "10.20.2.8:502", "", ""},
		{"udp", "10.20.9.9:161", "10.20.9.9:161/udp", ""},
		{"icmp", "10.20.0.5:0", "historian/icmp", "historian"},
		{"icmp", "10.20.1.7:0", "", ""},
		{"tcp", "[::ffff:10.20.0.5]:1433", "", ""},
		{"tcp", "127.0.0.1:1433", "", ""},
		{"sctp", "10.20.0.5:1433", "", ""},
	} {
		m, ok := rules.Match(c.proto, netip.MustParseAddrPort(c.to))
		if ok != (c.rule != "") || m.Rule != c.rule || m.Name != c.name {
			t.Errorf("%s %s: %+v %v, want %q", c.proto, c.to, m, ok, c.rule)
		}
	}
}

// N-19: the tunnel's DNS knows what was granted, and no address beside it.
func TestNamesAreAnsweredAsFarAsTheyAreGranted(t *testing.T) {
	for _, c := range []struct {
		asked   string
		answers map[string]string
		reaches string
	}{
		{"flow historian:1/tcp", map[string]string{"historian": "[10.20.0.5 fd00:20::5]"}, "[10.20.0.5/32 fd00:20::5/128]"},
		{"flow 10.20.0.0/24:1/tcp,flow 10.20.0.5/icmp", map[string]string{"historian": "[10.20.0.5]", "sql.historian": "[10.20.0.5]"}, "[10.20.0.0/24]"},
		{"flow 10.20.1.7/icmp,flow hmi:22/tcp", map[string]string{"hmi": "[10.20.1.7]"}, "[10.20.1.7/32]"},
		{"flow 10.20.3.0/24:1/tcp,flow 10.20.0.0/22:2/tcp", map[string]string{"historian": "[10.20.0.5]", "sql.historian": "[10.20.0.5]", "hmi": "[10.20.1.7]"}, "[10.20.0.0/22]"},
	} {
		rules, err := parse(t, c.asked).FlowRules(plant())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []string{"historian", "sql.historian", "hmi", "other", ""} {
			l, ok := rules.Answer(n)
			if want := c.answers[n]; ok != (want != "") || ok && spell(l) != want {
				t.Errorf("%s: %s is %v, want %s", c.asked, n, l, want)
			}
		}
		if got := spell(rules.Reaches()); got != c.reaches {
			t.Errorf("%s reaches %s, want %s", c.asked, got, c.reaches)
		}
	}
}

func TestFlowsOutsideTheNetworkAreRefused(t *testing.T) {
	target := gateway.Target{Name: "plant", Kind: gateway.KindNetwork}
	a := parse(t, "flow historian:1/tcp")
	if err := a.FitsTarget(target); err == nil {
		t.Error("flows fit a network that says nothing")
	}
	n := plant()
	target.Network = &n
	for asked, want := range map[string]string{
		"flow historian:1/tcp": "", "flow 10.20.0.0/16:1/tcp": "", "flow [fd00:20::/64]/icmp": "", "flow 10.21.0.1:1/tcp": "10.20.0.0/16, fd00:20::/64",
		"flow 10.0.0.0/8:1/tcp": "outside the network", "flow hist:1/tcp": "historian, sql.historian, hmi", "shell": "not by shell",
	} {
		if err := parse(t, asked).FitsTarget(target); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", asked, err, want)
		}
	}
	target.Kind, target.Network = gateway.KindSSH, nil
	if err := parse(t, "shell").FitsTarget(target); err != nil {
		t.Error(err)
	}
}

func TestRefusedFlowsNameWhatToAskFor(t *testing.T) {
	rules, err := parse(t, "flow hmi:1/tcp").FlowRules(plant())
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		"10.20.0.5:22": "ask for a grant with flow historian:22/tcp", "10.20.0.6:22": "ask for a grant with flow 10.20.0.6:22/tcp", "[fd00:20::9]:22": "flow [fd00:20::9]:22/tcp", "169.254.169.254:80": "no tunnel reaches",
	} {
		if no := rules.NoFlow(gateway.FlowTCP, netip.MustParseAddrPort(to)); no.Code != gateway.CodeRefused || !strings.Contains(no.Sentence(), want) {
			t.Errorf("%s: %s, want %q", to, no.Sentence(), want)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	var list []string
	for i := range gateway.MaxFlows {
		list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 20, byte(i), 0}), 24).String()+":502/tcp")
	}
	rules, err := gateway.Abilities{Flows: list}.FlowRules(plant())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, ok := rules.Match(gateway.FlowTCP, netip.MustParseAddrPort("10.20.63.9:502")); !ok {
			b.Fatal("refused")
		}
	}
}

func parse(t *testing.T, words string) gateway.Abilities {
	t.Helper()
	a, err := gateway.ParseAbilities(strings.Split(words, ","))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := gateway.ParseAbilities(a.List()); err != nil || !reflect.DeepEqual(a, again) {
		t.Fatalf("%s: %+v is listed as %+v, %v", words, a, again, err)
	}
	return a
}

func spell[T interface{ String() string }](l []T) string {
	var s []string
	for _, x := range l {
		s = append(s, x.String())
	}
	return "[" + strings.Join(s, " ") + "]"
}
