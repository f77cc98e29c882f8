package api

import (
	"context"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Capability is something that only some people may do or see.
type Capability string

// The closed list of capabilities.
const (
	Ask         Capability = "ask"          // for a window on a target
	SeeAll      Capability = "see-all"      // what concerns others than oneself
	Approve     Capability = "approve"      // or refuse a request
	Revoke      Capability = "revoke"       // take a grant back
	EndSession  Capability = "end-session"  // of somebody else
	Suspending  Capability = "suspend"      // a vendor or a person
	Restoring   Capability = "restore"      // sign a restoration
	Advancing   Capability = "advance"      // let a restoration go on to its next stage
	Review      Capability = "review"       // play and search recordings, watch live
	ReadInput   Capability = "read-input"   // what was typed, passwords included
	ReadEvents  Capability = "read-events"  // the audit log
	Administer  Capability = "administer"   // vendors, people, targets, invitations
	SeeSecrets  Capability = "see-secrets"  // who had the targets' credentials, never these; and say that one was rotated
	VerifyStore Capability = "verify-store" // have the log or a recording verified
)

var floor = map[Capability][]gateway.Role{
	Ask:         {gateway.Engineer},
	SeeAll:      gateway.StaffRoles,
	Approve:     {gateway.Approver},
	Revoke:      {gateway.Approver, gateway.Responder, gateway.Admin},
	EndSession:  {gateway.Responder, gateway.Admin},
	Suspending:  {gateway.Responder, gateway.Admin},
	Restoring:   {gateway.Responder, gateway.Approver, gateway.Admin},
	Advancing:   {gateway.Responder, gateway.Approver},
	Review:      {gateway.Reviewer, gateway.Responder, gateway.Auditor, gateway.Admin},
	ReadInput:   {gateway.Reviewer},
	ReadEvents:  {gateway.Reviewer, gateway.Responder, gateway.Auditor, gateway.Admin},
	Administer:  {gateway.Admin},
	SeeSecrets:  {gateway.Responder, gateway.Admin},
	VerifyStore: {gateway.Reviewer, gateway.Auditor, gateway.Admin},
}

// Holds reports whether one of the person's roles stands on the floor for c:
// what the pages offer. A role of the other half (a vendor's admin, an
// engineer of the staff) counts for nothing.
func Holds(p gateway.Person, c Capability) bool {
	if p.State != gateway.Active {
		return false
	}
	half := gateway.StaffRoles
	if !p.Staff() {
		half = gateway.VendorRoles
	}
	return slices.ContainsFunc(floor[c], func(r gateway.Role) bool { return slices.Contains(half, r) && p.Is(r) })
}

// May refuses what neither the floor nor the policy lets.
func (s *Server) May(ctx context.Context, who Who, c Capability, object string) error {
	if who.Machine() {
		return nil
	}
	if !Holds(who.Person, c) {
		return gateway.Refused("role", "ask an administrator for the role if your work needs it",
			"this needs one of the roles %s, and you hold %s", list(floor[c]), list(who.Person.Roles))
	}
	if s.cfg.Policy == nil {
		return nil
	}
	return s.cfg.Policy.May(ctx, who.Person, c, object)
}

// Sees refuses a record of somebody else's to a vendor's people, in the words
// used for what does not exist.
func Sees(who Who, person, what, id string) error {
	if who.Machine() || Holds(who.Person, SeeAll) || person != "" && person == who.Person.Name {
		return nil
	}
	return gateway.NotFound(what, id)
}

func list(roles []gateway.Role) string {
	if len(roles) == 0 {
		return "none"
	}
	s := make([]string, len(roles))
	for i, r := range roles {
		s[i] = string(r)
	}
	return strings.Join(s, ", ")
}

// Who acts: a person with the login that let him in, or the machine.
type Who struct {
	Person gateway.Person
	Login  *gateway.Login
	Token  *gateway.Token // of a machine elsewhere, which is nobody; nil: none
}

// Machine reports whether root acts at the local socket.
func (w Who) Machine() bool { return w.Login == nil && w.Person.Name == statement.Machine }
