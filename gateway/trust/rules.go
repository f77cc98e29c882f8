package trust

import (
	"slices"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// rule is the floor under a kind of statement: who may sign it at all. Policy
// may ask for more, never for less.
type rule struct {
	machine bool           // the machine's own key may
	self    bool           // the person whom it is about may
	sshKey  bool           // and with an SSH security key too, not by WebAuthn alone
	roles   []gateway.Role // staff with any of these may
}

// ruleOf is the closed table; an unknown kind may be signed by nobody.
func ruleOf(k statement.Kind) rule {
	switch k {
	case statement.KindVendor, statement.KindPerson, statement.KindTarget, statement.KindInvite:
		return rule{machine: true, roles: []gateway.Role{gateway.Admin}}
	case statement.KindKeyRemove, statement.KindSSHRemove:
		return rule{machine: true, self: true, roles: []gateway.Role{gateway.Admin}}
	case statement.KindSuspend:
		return rule{machine: true, roles: []gateway.Role{gateway.Responder, gateway.Admin}}
	case statement.KindOrder:
		return rule{machine: true, sshKey: true, roles: []gateway.Role{gateway.Responder, gateway.Admin}}
	case statement.KindToken:
		return rule{machine: true, roles: []gateway.Role{gateway.Admin}}
	case statement.KindRestore:
		return rule{machine: true, roles: []gateway.Role{gateway.Responder, gateway.Approver, gateway.Admin}}
	case statement.KindAdvance:
		return rule{machine: true, roles: []gateway.Role{gateway.Responder, gateway.Approver}}
	case statement.KindApprove:
		return rule{roles: gateway.StaffRoles} // which of them, policy says
	case statement.KindOpen:
		return rule{self: true, sshKey: true}
	case statement.KindServiceOpen:
		return rule{machine: true}
	case statement.KindSSHKey, statement.KindSSHCert, statement.KindEnrol:
		return rule{self: true}
	}
	return rule{}
}

// subject is the person whom a statement is about, where the person himself
// may sign it.
func subject(b statement.Body) string {
	switch b := b.(type) {
	case *statement.Enrol:
		return b.Person
	case *statement.KeyRemove:
		return b.Person
	case *statement.SSHKeyAdd:
		return b.Person
	case *statement.SSHKeyRemove:
		return b.Person
	case *statement.SSHCertIssue:
		return b.Person
	case *statement.Open:
		return b.Person
	}
	return ""
}

// allows reports whether a person of that vendor (empty: staff) with those
// roles may sign the body. A service account signs nothing.
func (r rule) allows(b statement.Body, name, vendor string, roles []gateway.Role) bool {
	if slices.Contains(roles, gateway.ServiceAccount) {
		return false
	}
	if r.self && name != "" && subject(b) == name {
		return true
	}
	return vendor == "" && slices.ContainsFunc(roles, func(x gateway.Role) bool { return slices.Contains(r.roles, x) })
}

// who words the rule for a refusal.
func (r rule) who() string {
	s := ""
	if r.self {
		s = "the person whom it is about"
	}
	for _, x := range r.roles {
		if s != "" {
			s += " or "
		}
		s += string(x)
	}
	if r.machine {
		s += " or the machine's own key"
	}
	return s
}
