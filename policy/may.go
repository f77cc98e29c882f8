package policy

import (
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Approval is one person who wants to agree to one request.
type Approval struct {
	Approver gateway.Person
	Asker    gateway.Person
	Vendor   gateway.Vendor // the asker's
	Target   gateway.Target
	Account  string
	Terms    gateway.Terms
	Now      time.Time
	Roles    []gateway.Role // of the request's verdict: who may agree
	Stage    gateway.Stage  // as in Facts
}

// MayApprove refuses an approver who may not agree to this request. That
// nobody agrees to a request of their own or of their own vendor's, and that a
// person agrees and not the machine, stands here and not in a rule file: no
// rule can give it away.
func (s *Set) MayApprove(a Approval) *gateway.Error {
	who := a.Approver
	switch {
	case who.Name == statement.Machine:
		return gateway.Refused(RuleSeparate, "sign in as an approver and touch your key", "a person agrees to a request, the machine does not")
	case who.Name == "" || who.Name == a.Asker.Name:
		return gateway.Refused(RuleSeparate, "ask another approver", "nobody agrees to a request of their own")
	case who.Vendor != "" && who.Vendor == a.Asker.Vendor:
		return gateway.Refused(RuleSeparate, "ask an approver of the operator's staff", "nobody agrees to a request of their own vendor's")
	case !who.Staff():
		return gateway.Refused(RuleSeparate, "ask an approver of the operator's staff", "the operator's own staff agrees to requests, not people of a vendor")
	case who.State != gateway.Active:
		return gateway.Refused("approver-state", "ask another approver", "%s is %s and agrees to nothing", who.Name, who.State)
	case !who.Is(a.Roles...):
		return gateway.Refused(RuleRoles, "ask one of them", "this request wants the agreement of a person who is %s", anyOf(a.Roles))
	}
	return s.Decide(Facts{
		Action: Approve, Person: who, Vendor: a.Vendor, Target: a.Target, Account: a.Account, Terms: a.Terms, Now: a.Now, Asker: a.Asker.Name, Stage: a.Stage,
	}).Err()
}

// MayEnrol refuses a FIDO2 key or an SSH key that the rules do not take from this person.
func (s *Set) MayEnrol(p gateway.Person, key EnrolFacts, now time.Time) *gateway.Error {
	return s.Decide(Facts{Action: Enrol, Person: p, Key: key, Now: now}).Err()
}

// May answers for an act that has no target and no key: suspend, restore,
// administer, review, read-input, end-session.
func (s *Set) May(a Action, p gateway.Person, now time.Time) *gateway.Error {
	return s.Decide(Facts{Action: a, Person: p, Now: now}).Err()
}

func anyOf(roles []gateway.Role) string {
	text := ""
	for i, r := range slices.Sorted(slices.Values(roles)) {
		if i > 0 {
			text += " or "
		}
		text += string(r)
	}
	return text
}
