package policy_test

import (
	"net/netip"
	"testing"
	"testing/fstest"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/policy"
)

// network is what networks are asked for.
func network(impact gateway.Impact, words ...string) func(*policy.Facts) {
	return func(f *policy.Facts) {
		f.Target.Kind, f.Target.Impact = gateway.KindNetwork, impact
		f.Target.Network = &gateway.Network{
			Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")},
			Names:    []gateway.NetworkName{{Name: "plc-7", Addresses: []netip.Addr{netip.MustParseAddr("10.20.0.7")}}},
		}
		f.Terms.Abilities, _ = gateway.ParseAbilities(words)
	}
}

func TestDefaultPolicyOfNetworks(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*policy.Facts)
		rule      string
		approvals int
	}{
		"low impact":         {network(gateway.Low, "flow plc-7:502/tcp"), "ask-low-medium", 1},
		"high impact":        {network(gateway.High, "flow plc-7:502/tcp", "volume-in 5", "bandwidth 6"), "ask-high", 2},
		"outside":            {network(gateway.Low, "flow 10.21.0.1:502/tcp"), policy.RuleKind, 0},
		"an unknown name":    {network(gateway.Low, "flow plc-8:502/tcp"), policy.RuleKind, 0},
		"a shell":            {network(gateway.Low, "shell"), policy.RuleKind, 0},
		"bounds and no flow": {network(gateway.Low, "volume-in 5"), policy.RuleKind, 0},
		"flows over SSH":     {func(f *policy.Facts) { f.Terms.Abilities.Flows = []string{"plc-7:502/tcp"} }, policy.RuleKind, 0},
	} {
		v := policy.Default().Decide(ask(c.change))
		if v.Reasons[0].Rule != c.rule || v.Approvals != c.approvals || (v.Effect == policy.NeedsApproval) != (c.approvals > 0) {
			t.Errorf("%s: %s by %s with %d approvals, want %s with %d", name, v.Effect, v.Reasons[0].Rule, v.Approvals, c.rule, c.approvals)
		}
	}
}

func TestRulesLookAtNetworks(t *testing.T) {
	for when, want := range map[string]bool{
		`context.flows.contains("plc-7:502/tcp")`: true, `context.flows.contains("plc-7:22/tcp")`: false, `context.bandwidth == 6`: true, `context.volume_in == 0`: true,
		`resource.kind == "network"`: true, `context.abilities.contains("flow plc-7:502/tcp")`: true,
	} {
		set, err := policy.Load(fstest.MapFS{"a.cedar": {Data: []byte(`@id("a") @reason("r") permit (principal is Person, action == Action::"ask", resource is Target) when { ` + when + ` };`)}})
		if err != nil {
			t.Fatal(err)
		}
		if v := set.Decide(ask(network(gateway.Low, "flow plc-7:502/tcp", "bandwidth 6"))); (v.Effect == policy.NeedsApproval) != want {
			t.Errorf("%s: %s", when, v.Effect)
		}
	}
}
