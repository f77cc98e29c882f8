package policy_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/policy"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func engineer() gateway.Person {
	return gateway.Person{Name: "ana", Vendor: "acme", Roles: []gateway.Role{gateway.Engineer}, State: gateway.Active, Epoch: 1}
}

func staff(name string, roles ...gateway.Role) gateway.Person {
	return gateway.Person{Name: name, Roles: roles, State: gateway.Active, Epoch: 1}
}

func pump(impact gateway.Impact) gateway.Target {
	return gateway.Target{Name: "pump", Kind: gateway.KindSSH, Zone: "plant", Impact: impact, Vendors: []string{"acme"}}
}

func ask(change func(*policy.Facts)) policy.Facts {
	f := policy.Facts{
		Action: policy.Ask, Person: engineer(), Vendor: gateway.Vendor{Name: "acme", State: gateway.Active, Epoch: 1}, Target: pump(gateway.Low),
		Account: "root", Terms: gateway.Terms{Length: time.Hour, Abilities: gateway.Abilities{Shell: true}}, Now: noon,
	}
	if change != nil {
		change(&f)
	}
	return f
}

// console is what consoles are asked for.
func console(f *policy.Facts, impact gateway.Impact, can gateway.Abilities) {
	f.Target.Kind, f.Target.Impact, f.Terms.Abilities = gateway.KindHTTPS, impact, can
}

var look = gateway.Abilities{Methods: []string{"GET", "HEAD"}, Paths: []string{"/"}, Download: true}

// How much a console is let decides who must agree.
func TestDefaultPolicyOfConsoles(t *testing.T) {
	set := policy.Default()
	with := func(change func(*gateway.Abilities)) gateway.Abilities {
		a := look
		change(&a)
		return a
	}
	for name, c := range map[string]struct {
		impact    gateway.Impact
		can       gateway.Abilities
		effect    policy.Effect
		rule      string
		approvals int
	}{
		"look at low impact":       {gateway.Low, look, policy.NeedsApproval, "ask-low-medium", 1},
		"work on medium impact":    {gateway.Medium, with(func(a *gateway.Abilities) { a.Methods = []string{"GET", "POST"} }), policy.NeedsApproval, "ask-low-medium", 1},
		"look at high impact":      {gateway.High, look, policy.NeedsApproval, "ask-high-look", 1},
		"write to high impact":     {gateway.High, with(func(a *gateway.Abilities) { a.Methods = []string{"GET", "DELETE"} }), policy.NeedsApproval, "ask-high", 2},
		"write below one path":     {gateway.High, with(func(a *gateway.Abilities) { a.Methods, a.Paths = []string{"POST"}, []string{"/reports"} }), policy.NeedsApproval, "ask-high", 2},
		"upload to high impact":    {gateway.High, with(func(a *gateway.Abilities) { a.Upload = true }), policy.NeedsApproval, "ask-high", 2},
		"WebSocket of high impact": {gateway.High, with(func(a *gateway.Abilities) { a.WebSocket = true }), policy.NeedsApproval, "ask-high", 2},
		"shell on a console":       {gateway.Low, gateway.Abilities{Shell: true}, policy.Refuse, policy.RuleKind, 0},
		"methods without paths":    {gateway.Low, gateway.Abilities{Methods: []string{"GET"}}, policy.Refuse, policy.RuleKind, 0},
		"paths without methods":    {gateway.Low, gateway.Abilities{Paths: []string{"/"}, Download: true}, policy.Refuse, policy.RuleKind, 0},
		"nothing":                  {gateway.Low, gateway.Abilities{}, policy.Refuse, policy.RuleKind, 0},
	} {
		v := set.Decide(ask(func(f *policy.Facts) { console(f, c.impact, c.can) }))
		if v.Effect != c.effect || v.Reasons[0].Rule != c.rule || v.Approvals != c.approvals {
			t.Errorf("%s: %s by %s with %d approvals, want %s by %s with %d", name, v.Effect, v.Reasons[0].Rule, v.Approvals, c.effect, c.rule, c.approvals)
		}
	}
	ssh := set.Decide(ask(func(f *policy.Facts) { f.Terms.Abilities.Methods, f.Terms.Abilities.Paths = look.Methods, look.Paths }))
	if ssh.Effect != policy.Refuse || ssh.Reasons[0].Rule != policy.RuleKind {
		t.Errorf("HTTP methods on an SSH target: %+v", ssh)
	}
}

// A rule of the operator's own can look at methods, paths and bounds.
func TestRulesLookAtConsoles(t *testing.T) {
	rules := func(when string) *policy.Set {
		set, err := policy.Load(fstest.MapFS{"a.cedar": {Data: []byte(`@id("a") @reason("r") permit (principal is Person, action == Action::"ask", resource is Target) when { ` + when + ` };`)}})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	bounded := gateway.Abilities{Methods: []string{"GET", "POST"}, Paths: []string{"/reports"}, Upload: true, MaxUpload: 10}
	for when, want := range map[string]bool{
		`context.methods.contains("POST")`: true, `context.methods.contains("DELETE")`: false, `context.paths.contains("/")`: false,
		`["/reports", "/trends"].containsAll(context.paths)`: true, `context.read_only`: false,
		`context.max_upload > 0 && context.max_upload <= 10`: true, `context.max_download > 0`: false, `context.abilities.contains("path /reports")`: true,
	} {
		v := rules(when).Decide(ask(func(f *policy.Facts) { console(f, gateway.Low, bounded) }))
		if got := v.Effect == policy.NeedsApproval; got != want {
			t.Errorf("%s: %s", when, v.Effect)
		}
	}
}

// The corpus of the default policy: each line is a question an administrator
// might ask, and its answer.
func TestDefaultPolicy(t *testing.T) {
	set := policy.Default()
	for name, c := range map[string]struct {
		change    func(*policy.Facts)
		effect    policy.Effect
		rule      string
		approvals int
		longest   time.Duration
	}{
		"engineer asks for low impact":       {nil, policy.NeedsApproval, "ask-low-medium", 1, 8 * time.Hour},
		"engineer asks for medium impact":    {func(f *policy.Facts) { f.Target.Impact = gateway.Medium }, policy.NeedsApproval, "ask-low-medium", 1, 8 * time.Hour},
		"engineer asks for high impact":      {func(f *policy.Facts) { f.Target.Impact = gateway.High }, policy.NeedsApproval, "ask-high", 2, 4 * time.Hour},
		"exactly the longest":                {func(f *policy.Facts) { f.Terms.Length = 8 * time.Hour }, policy.NeedsApproval, "ask-low-medium", 1, 8 * time.Hour},
		"one second longer than the longest": {func(f *policy.Facts) { f.Terms.Length = 8*time.Hour + time.Second }, policy.Refuse, "ask-low-medium", 0, 0},
		"five hours of high impact": {func(f *policy.Facts) {
			f.Target.Impact, f.Terms.Length = gateway.High, 5*time.Hour
		}, policy.Refuse, "ask-high", 0, 0},
		"a window by from and to": {func(f *policy.Facts) {
			f.Terms.Length, f.Terms.From, f.Terms.To = 0, noon.Add(time.Hour), noon.Add(10*time.Hour)
		}, policy.Refuse, "ask-low-medium", 0, 0},
		"a window that ends before it begins": {func(f *policy.Facts) {
			f.Terms.Length, f.Terms.From, f.Terms.To = 0, noon, noon.Add(-time.Hour)
		}, policy.Refuse, policy.RuleLongest, 0, 0},
		"a service account for 30 days":             {func(f *policy.Facts) { service(f, 30*24*time.Hour) }, policy.NeedsApproval, "ask-service", 2, policy.MaxService},
		"a service account for longer":              {func(f *policy.Facts) { service(f, 30*24*time.Hour+time.Second) }, policy.Refuse, "ask-service", 0, 0},
		"a service account of another vendor":       {func(f *policy.Facts) { service(f, time.Hour); f.Target.Vendors = []string{"other"} }, policy.Refuse, policy.RuleDefault, 0, 0},
		"an engineer with a service account's rule": {func(f *policy.Facts) { service(f, 8*24*time.Hour); f.Person.Service = nil }, policy.Refuse, policy.RuleLongest, 0, 0},
		"unknown impact":                            {func(f *policy.Facts) { f.Target.Impact = "" }, policy.Refuse, policy.RuleDefault, 0, 0},
		"another vendor's target":                   {func(f *policy.Facts) { f.Target.Vendors = []string{"other"} }, policy.Refuse, policy.RuleDefault, 0, 0},
		"nominator asks":                            {func(f *policy.Facts) { f.Person.Roles = []gateway.Role{gateway.Nominator} }, policy.Refuse, policy.RuleDefault, 0, 0},
		"admin asks":                                {func(f *policy.Facts) { f.Person = staff("root", gateway.Admin) }, policy.Refuse, policy.RuleDefault, 0, 0},
		"suspended vendor asks":                     {func(f *policy.Facts) { f.Vendor.State = gateway.Suspended }, policy.Refuse, "vendor-not-active", 0, 0},
		"restoring vendor asks":                     {func(f *policy.Facts) { f.Vendor.State = gateway.Restoring }, policy.Refuse, "vendor-not-active", 0, 0},
		"suspended person asks":                     {func(f *policy.Facts) { f.Person.State = gateway.Suspended }, policy.Refuse, "asker-not-active", 0, 0},
		"removed target":                            {func(f *policy.Facts) { f.Target.Removed = true }, policy.Refuse, "target-removed", 0, 0},
		"engineer opens":                            {func(f *policy.Facts) { f.Action = policy.Open }, policy.Allow, "open-agreed", 0, 0},
		"suspended vendor opens":                    {func(f *policy.Facts) { f.Action, f.Vendor.State = policy.Open, gateway.Suspended }, policy.Refuse, "vendor-not-active", 0, 0},
		"engineer suspends":                         {func(f *policy.Facts) { f.Action = policy.Suspend }, policy.Refuse, policy.RuleDefault, 0, 0},
		"responder suspends":                        {func(f *policy.Facts) { f.Action, f.Person = policy.Suspend, staff("rita", gateway.Responder) }, policy.Allow, "suspend-staff", 0, 0},
		"approver suspends":                         {func(f *policy.Facts) { f.Action, f.Person = policy.Suspend, staff("bo", gateway.Approver) }, policy.Refuse, policy.RuleDefault, 0, 0},
		"approver restores":                         {func(f *policy.Facts) { f.Action, f.Person = policy.Restore, staff("bo", gateway.Approver) }, policy.Allow, "restore-staff", 0, 0},
		"auditor administers":                       {func(f *policy.Facts) { f.Action, f.Person = policy.Administer, staff("al", gateway.Auditor) }, policy.Refuse, policy.RuleDefault, 0, 0},
		"admin administers":                         {func(f *policy.Facts) { f.Action, f.Person = policy.Administer, staff("adm", gateway.Admin) }, policy.Allow, "administer-admin", 0, 0},
		"auditor watches":                           {func(f *policy.Facts) { f.Action, f.Person = policy.Review, staff("al", gateway.Auditor) }, policy.Allow, "review-staff", 0, 0},
		"auditor reads input":                       {func(f *policy.Facts) { f.Action, f.Person = policy.ReadInput, staff("al", gateway.Auditor) }, policy.Refuse, policy.RuleDefault, 0, 0},
		"reviewer reads input":                      {func(f *policy.Facts) { f.Action, f.Person = policy.ReadInput, staff("re", gateway.Reviewer) }, policy.Allow, "read-input-reviewer", 0, 0},
		"approver ends a session":                   {func(f *policy.Facts) { f.Action, f.Person = policy.EndSession, staff("bo", gateway.Approver) }, policy.Allow, "end-session-staff", 0, 0},
		"an action that is not listed":              {func(f *policy.Facts) { f.Action = "open\" || true" }, policy.Refuse, policy.RuleDefault, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := set.Decide(ask(c.change))
			if v.Effect != c.effect || len(v.Reasons) == 0 || v.Reasons[0].Rule != c.rule || v.Approvals != c.approvals || v.Longest != c.longest {
				t.Fatalf("verdict %+v, want %s by %s with %d approvals and %s", v, c.effect, c.rule, c.approvals, c.longest)
			}
			if v.Reasons[0].Text == "" {
				t.Fatal("the reason has no sentence")
			}
			if err := v.Err(); (err == nil) != (c.effect != policy.Refuse) {
				t.Fatalf("error %v does not fit effect %s", err, v.Effect)
			}
		})
	}
}

func TestSeparationOfDuties(t *testing.T) {
	set := policy.Default()
	suspended := staff("bo", gateway.Approver)
	suspended.State = gateway.Suspended
	self := staff("ana", gateway.Approver)
	colleague := engineer()
	colleague.Name, colleague.Roles = "carl", []gateway.Role{gateway.Approver} // a row that somebody edited
	foreign := colleague
	foreign.Vendor = "other"
	for name, c := range map[string]struct {
		who  gateway.Person
		rule string // empty: may agree
	}{
		"an approver":                {staff("bo", gateway.Approver), ""},
		"the asker":                  {self, policy.RuleSeparate},
		"a colleague of the asker":   {colleague, policy.RuleSeparate},
		"a person of another vendor": {foreign, policy.RuleSeparate},
		"the machine":                {staff(statement.Machine, gateway.StaffRoles...), policy.RuleSeparate},
		"nobody":                     {gateway.Person{State: gateway.Active, Roles: []gateway.Role{gateway.Approver}}, policy.RuleSeparate},
		"an admin":                   {staff("adm", gateway.Admin), policy.RuleRoles},
		"a suspended approver":       {suspended, "approver-state"},
	} {
		t.Run(name, func(t *testing.T) {
			err := set.MayApprove(policy.Approval{
				Approver: c.who, Asker: engineer(), Vendor: gateway.Vendor{Name: "acme", State: gateway.Active}, Target: pump(gateway.Low),
				Account: "root", Terms: gateway.Terms{Length: time.Hour}, Now: noon, Roles: []gateway.Role{gateway.Approver},
			})
			if got := ruleOf(err); got != c.rule {
				t.Fatalf("refused by %q (%v), want %q", got, err, c.rule)
			}
		})
	}
}

func TestSeparationOfDutiesSurvivesAPolicyThatAllowsAll(t *testing.T) {
	set := load(t, `@id("all") @reason("everything") permit (principal, action, resource);`)
	err := set.MayApprove(policy.Approval{Approver: staff("ana", gateway.Approver), Asker: engineer(), Target: pump(gateway.Low), Now: noon, Roles: []gateway.Role{gateway.Approver}})
	if ruleOf(err) != policy.RuleSeparate {
		t.Fatalf("a rule gave separation of duties away: %v", err)
	}
}

func TestMayEnrol(t *testing.T) {
	set := policy.Default()
	suspended := engineer()
	suspended.State = gateway.Suspended
	for name, c := range map[string]struct {
		who  gateway.Person
		key  policy.EnrolFacts
		rule string
	}{
		"a bound key":                       {engineer(), policy.EnrolFacts{Attestation: "verified"}, ""},
		"a bound key without attestation":   {engineer(), policy.EnrolFacts{Attestation: "none"}, ""},
		"a synced key of an engineer":       {engineer(), policy.EnrolFacts{BackupEligible: true}, "no-synced-keys"},
		"a synced key of an approver":       {staff("bo", gateway.Approver), policy.EnrolFacts{BackupEligible: true}, "no-synced-keys"},
		"a synced key of an auditor":        {staff("al", gateway.Auditor), policy.EnrolFacts{BackupEligible: true}, ""},
		"a key whose attestation is forged": {engineer(), policy.EnrolFacts{Attestation: "refused"}, "attestation-refused"},
		"a suspended person":                {suspended, policy.EnrolFacts{}, policy.RuleDefault},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ruleOf(set.MayEnrol(c.who, c.key, noon)); got != c.rule {
				t.Fatalf("refused by %q, want %q", got, c.rule)
			}
		})
	}
}

// Cedar skips a forbid that cannot be evaluated and would answer allow.
func TestForbidThatErrsRefuses(t *testing.T) {
	set := load(t, `
@id("all") @reason("everything") permit (principal, action, resource);
@id("no-nights") @reason("not at night")
forbid (principal is Person, action == Action::"ask", resource is Target)
when { context.now.offset(duration("9223372036854775807ms")) < context.to };`)
	v := set.Decide(ask(nil))
	if v.Effect != policy.Refuse || v.Reasons[0].Rule != policy.RuleError || !strings.Contains(v.Reasons[0].Text, "no-nights") {
		t.Fatalf("a forbid that errs gave %+v", v)
	}
	if v := set.Decide(ask(func(f *policy.Facts) { f.Action, f.Person = policy.Review, staff("al", gateway.Auditor) })); v.Effect != policy.Allow {
		t.Fatalf("a rule about asking refused something else: %+v", v)
	}
}

func TestStrictestObligationWins(t *testing.T) {
	set := load(t, `
@id("a") @reason("a") @approvals("1") @roles("approver, admin") @longest("8h") @idle("20m") permit (principal, action == Action::"ask", resource);
@id("b") @reason("b") @approvals("3") @roles("admin,responder") @longest("2h") @idle("10m") permit (principal, action == Action::"ask", resource);`)
	for range 50 { // Cedar walks a map: the order is another each time
		v := set.Decide(ask(nil))
		if v.Approvals != 3 || v.Longest != 2*time.Hour || !slices.Equal(v.Roles, []gateway.Role{gateway.Admin}) || v.Recording != "full" || v.Idle != 10*time.Minute {
			t.Fatalf("obligations %+v", v)
		}
	}
	set = load(t, `
@id("a") @reason("a") @roles("approver") permit (principal, action == Action::"ask", resource);
@id("b") @reason("b") @roles("admin") permit (principal, action == Action::"ask", resource);`)
	if v := set.Decide(ask(nil)); v.Effect != policy.Refuse || v.Reasons[0].Rule != policy.RuleRoles {
		t.Fatalf("rules that leave no approver gave %+v", v)
	}
}

func TestDecisionIsDeterministic(t *testing.T) {
	set := policy.Default()
	f := ask(func(f *policy.Facts) { f.Vendor.State, f.Person.State = gateway.Suspended, gateway.Suspended })
	first := set.Explain(f)
	for range 20 {
		if again := set.Explain(f); again != first {
			t.Fatalf("two answers:\n%s\n%s", first, again)
		}
	}
	if !strings.Contains(first, "ask.cedar:") || !strings.HasPrefix(first, "refuse: may ana ask for account root on target pump?") {
		t.Fatalf("explanation does not name the place:\n%s", first)
	}
}

func ruleOf(err *gateway.Error) string {
	if err == nil {
		return ""
	}
	return err.Rule
}

func load(t *testing.T, text string) *policy.Set {
	t.Helper()
	set, err := policy.Load(fstest.MapFS{"a.cedar": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func BenchmarkDecide(b *testing.B) {
	set, f := policy.Default(), ask(nil)
	for b.Loop() {
		set.Decide(f)
	}
}

// service makes the asker a service account, and the target a console.
func service(f *policy.Facts, length time.Duration) {
	console(f, gateway.Low, gateway.Abilities{Methods: []string{"GET"}, Paths: []string{"/"}, Rate: 1, VolumeIn: 1, VolumeOut: 1})
	f.Person.Roles, f.Person.Service, f.Terms.Length = []gateway.Role{gateway.ServiceAccount}, &gateway.Service{Owner: "ana"}, length
}
