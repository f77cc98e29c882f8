package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/portcullis/portcullis/gateway"
)

// Effect is the verdict in one word.
type Effect string

// The closed list of effects.
const (
	Allow         Effect = "allow"
	Refuse        Effect = "refuse"
	NeedsApproval Effect = "needs-approval" // for Ask alone: yes, once others have agreed
)

// Rules that are not in any file.
const (
	RuleDefault  = "default-deny"
	RuleError    = "policy-error"
	RuleLongest  = "longest"
	RuleSeparate = "separation-of-duties"
	RuleRoles    = "approver-roles"
	RuleKind     = "abilities" // what is asked for is not what such a target can let
)

// Reason is one rule that decided, and its sentence.
type Reason struct {
	Rule string `json:"rule"`
	Text string `json:"text"`
	Next string `json:"next,omitempty"`
}

// Verdict is an answer with its reasons; there is always at least one. The
// obligations are set unless the effect is Refuse.
type Verdict struct {
	Effect    Effect         `json:"effect"`
	Reasons   []Reason       `json:"reasons"`
	Approvals int            `json:"approvals"`       // by so many different people
	Roles     []gateway.Role `json:"roles,omitempty"` // who may give them: any of these
	Longest   time.Duration  `json:"longest_ns,omitempty"`
	Recording string         `json:"recording,omitempty"`
	Idle      time.Duration  `json:"idle_ns,omitempty"` // zero: the gateway's default
}

// Err is the refusal as an error for the person, nil if the effect is not
// Refuse.
func (v Verdict) Err() *gateway.Error {
	if v.Effect == Allow || v.Effect == NeedsApproval {
		return nil
	}
	if len(v.Reasons) == 0 {
		return gateway.Refused(RuleDefault, "", "no rule allows this")
	}
	texts, next := make([]string, 0, len(v.Reasons)), ""
	for _, r := range v.Reasons {
		texts = append(texts, r.Text)
		if next == "" {
			next = r.Next
		}
	}
	return gateway.Refused(v.Reasons[0].Rule, next, "%s", strings.Join(texts, "; "))
}

// Decide answers. The same facts and rules give the same verdict, always.
func (s *Set) Decide(f Facts) Verdict {
	if !slices.Contains(Actions, f.Action) {
		return refuse(RuleDefault, fmt.Sprintf("%s is not an action", gateway.Quote(string(f.Action))), "")
	}
	if f.Action == Ask || f.Action == Open {
		if err := f.Terms.Abilities.FitsTarget(f.Target); err != nil {
			return refuse(RuleKind, gateway.AsError(err).Text, "")
		}
	}
	entities, req := f.request()
	decision, diag := cedar.Authorize(s.rules, entities, req)
	if len(diag.Errors) > 0 {
		return s.broken(diag)
	}
	reasons := s.reasons(diag)
	switch {
	case len(reasons) == 0:
		return refuse(RuleDefault, fmt.Sprintf("no rule allows %s to %s", f.Person.Name, f.sentence()), "ask the operator's administrator if it should")
	case decision != cedar.Allow:
		return Verdict{Effect: Refuse, Reasons: reasons}
	case f.Action != Ask:
		return Verdict{Effect: Allow, Reasons: reasons}
	}
	return s.oblige(f, diag, Verdict{Effect: NeedsApproval, Reasons: reasons})
}

// oblige adds the strictest obligations of the permits that said yes, and
// holds the window to the longest one.
func (s *Set) oblige(f Facts, diag cedar.Diagnostic, v Verdict) Verdict {
	shortest := RuleLongest
	for i, r := range diag.Reasons {
		o := s.obliges[r.PolicyID]
		v.Approvals = max(v.Approvals, o.approvals)
		v.Recording = o.recording
		if o.idle > 0 && (v.Idle == 0 || o.idle < v.Idle) {
			v.Idle = o.idle
		}
		if i == 0 {
			v.Roles = slices.Clone(o.roles)
		} else {
			v.Roles = slices.DeleteFunc(v.Roles, func(role gateway.Role) bool { return !slices.Contains(o.roles, role) })
		}
		if v.Longest == 0 || o.longest < v.Longest {
			v.Longest, shortest = o.longest, string(o.id)
		}
	}
	if f.Person.Service == nil && v.Longest > MaxLongest {
		v.Longest, shortest = MaxLongest, RuleLongest
	}
	switch w := f.Terms.Window(); {
	case len(v.Roles) == 0:
		return refuse(RuleRoles, "the rules that allow this leave nobody who could agree to it", "ask the operator's administrator to mend the policy")
	case w <= 0:
		return refuse(RuleLongest, "the window has no length", "ask for a window that ends after it begins")
	case w > v.Longest:
		return refuse(shortest, fmt.Sprintf("a window of %s is longer than the %s that are allowed", Span(w), Span(v.Longest)), "ask for a shorter window, and for another when it is over")
	}
	return v
}

// broken refuses because a rule could not be evaluated: had it been a forbid,
// Cedar would have left it out.
func (s *Set) broken(diag cedar.Diagnostic) Verdict {
	v := Verdict{Effect: Refuse}
	for _, e := range diag.Errors {
		v.Reasons = append(v.Reasons, Reason{
			Rule: RuleError, Text: fmt.Sprintf("rule %s could not be evaluated, so the answer is no", e.PolicyID),
			Next: "ask the operator's administrator to run `portcullis policy check`",
		})
	}
	sortReasons(v.Reasons)
	return v
}

func (s *Set) reasons(diag cedar.Diagnostic) []Reason {
	list := make([]Reason, 0, len(diag.Reasons))
	for _, r := range diag.Reasons {
		o := s.obliges[r.PolicyID]
		list = append(list, Reason{Rule: string(o.id), Text: o.reason, Next: o.next})
	}
	sortReasons(list)
	return list
}

// sortReasons makes the order that of the names: Cedar walks a map.
func sortReasons(list []Reason) {
	slices.SortFunc(list, func(a, b Reason) int { return strings.Compare(a.Rule+a.Text, b.Rule+b.Text) })
}

func refuse(rule, text, next string) Verdict {
	return Verdict{Effect: Refuse, Reasons: []Reason{{Rule: rule, Text: text, Next: next}}}
}

// sentence says what the action does, to follow "allows ana to".
func (f Facts) sentence() string {
	switch f.Action {
	case Ask:
		return fmt.Sprintf("ask for account %s on target %s", f.Account, f.Target.Name)
	case Open:
		return fmt.Sprintf("open account %s on target %s", f.Account, f.Target.Name)
	case Approve:
		return fmt.Sprintf("agree to a request for target %s", f.Target.Name)
	case Enrol:
		return "enrol this key"
	case Review:
		return "watch recordings"
	case ReadInput:
		return "look at what was typed"
	case EndSession:
		return "end a session"
	}
	return string(f.Action)
}

// Span words a length of time: "8h", "90m" as "1h30m", "45s".
func Span(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
