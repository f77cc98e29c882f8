package gateway

import (
	"slices"
	"time"
)

// ScopeKind is what a suspension closes.
type ScopeKind string

// The kinds of scope that can be ordered. A vendor's or a person's closing is
// pinned into everything they hold; the other kinds are wide: they close what
// vendors' people reach, whoever it is, and never the operator's own work.
const (
	ScopeVendor   ScopeKind = "vendor"
	ScopePerson   ScopeKind = "person"
	ScopeTarget   ScopeKind = "target"
	ScopeZone     ScopeKind = "zone"
	ScopeProtocol ScopeKind = "protocol" // a TargetKind
	ScopeAll      ScopeKind = "all"      // every vendor; its one name is AllVendors
)

// ScopeKinds is the closed list, in the order in which people read it.
var ScopeKinds = []ScopeKind{ScopeVendor, ScopePerson, ScopeTarget, ScopeZone, ScopeProtocol, ScopeAll}

// AllVendors is the name of the one scope of kind ScopeAll.
const AllVendors = "vendors"

// Scope names what a suspension closes.
type Scope struct {
	Kind ScopeKind `json:"kind"`
	Name string    `json:"name"`
}

// String returns "vendor acme".
func (s Scope) String() string { return string(s.Kind) + " " + s.Name }

// Wide reports whether the scope is one of what is reached, not of who reaches.
func (s Scope) Wide() bool { return s.Kind != ScopeVendor && s.Kind != ScopePerson }

// Reach is who reaches what: all that a scope may speak of. Fields that are
// not known stay empty and are covered by no scope.
type Reach struct {
	Vendor, Person, Target, Zone string
	Protocol                     TargetKind
}

// Reach is what the session reaches.
func (s Session) Reach() Reach {
	return Reach{Vendor: s.Vendor, Person: s.Person, Target: s.Target, Zone: s.Zone, Protocol: s.Protocol}
}

// WideEpochs are the epochs of the wide scopes that cover a session, of those
// that were ever closed, by their String.
type WideEpochs map[string]uint64

// Wide lists the wide scopes that cover the reach; none for the operator's
// own people.
func (r Reach) Wide() []Scope {
	if r.Vendor == "" {
		return nil
	}
	list := []Scope{{ScopeAll, AllVendors}}
	for _, s := range []Scope{{ScopeTarget, r.Target}, {ScopeZone, r.Zone}, {ScopeProtocol, string(r.Protocol)}} {
		if s.Name != "" {
			list = append(list, s)
		}
	}
	return list
}

// Covers reports whether what is reached falls under the scope.
func (s Scope) Covers(r Reach) bool {
	switch s.Kind {
	case ScopeVendor:
		return s.Name == r.Vendor && r.Vendor != ""
	case ScopePerson:
		return s.Name == r.Person && r.Person != ""
	}
	return slices.Contains(r.Wide(), s)
}

// Mode is what an order does to the sessions that are live. New ones it lets
// in by none.
type Mode string

// The closed list of modes, from the strictest.
const (
	ModeCut    Mode = "cut"    // ends them at once; the default
	ModeFreeze Mode = "freeze" // holds their input, the link stays up
	ModeDrain  Mode = "drain"  // ends them when the time that it states has passed
	ModeNoNew  Mode = "no-new" // leaves them to their windows' ends
)

// Modes is the closed list, from the strictest.
var Modes = []Mode{ModeCut, ModeFreeze, ModeDrain, ModeNoNew}

// MaxDrain bounds how long a draining session may go on, and MaxException how
// long one that is excepted.
const (
	MaxDrain     = 4 * time.Hour
	MaxException = 24 * time.Hour
)

// Exception leaves one live session alone until a stated time, in the name of
// somebody of the staff who answers for it.
type Exception struct {
	Session string    `json:"session"`
	Owner   string    `json:"owner"` // person of the staff
	Reason  string    `json:"reason"`
	Until   time.Time `json:"until"`
}

// Closing is what an order does to what is live, as it was signed.
type Closing struct {
	Mode   Mode        `json:"mode"`
	Until  time.Time   `json:"until,omitzero"` // of a drain: when what is left ends
	Except []Exception `json:"except,omitempty"`
}

// Excepted is the exception that leaves the session alone at that time.
func (c Closing) Excepted(session string, at time.Time) (Exception, bool) {
	for _, e := range c.Except {
		if e.Session == session && at.Before(e.Until) {
			return e, true
		}
	}
	return Exception{}, false
}

// Suspension is the order that closes.
type Suspension struct {
	ID    string `json:"id"`
	Scope Scope  `json:"scope"`
	Epoch uint64 `json:"epoch"` // the epoch that the order set
	Closing
	Reason    string    `json:"reason"`
	By        string    `json:"by"`
	Node      string    `json:"node,omitempty"` // that carries it out
	Statement Digest    `json:"statement"`
	Ordered   time.Time `json:"ordered"`
	Lifted    time.Time `json:"lifted,omitzero"`
	Report    *Report   `json:"report,omitempty"`
}

// Verdict is the one word on top of a report.
type Verdict string

// The closed list of verdicts.
const (
	Pass    Verdict = "PASS"    // everything measured closed
	Pending Verdict = "PENDING" // a node has not answered; its lease ends at the stated time
	Fail    Verdict = "FAIL"    // something is still open
)

// Report counts what was measured closed.
type Report struct {
	Verdict   Verdict      `json:"verdict"`
	Ordered   time.Time    `json:"ordered"`
	Durable   time.Time    `json:"durable"`  // when the order was on disk
	Finished  time.Time    `json:"finished"` // when the last node answered
	Nodes     []NodeReport `json:"nodes"`
	Cancelled Cancelled    `json:"cancelled"`
	Probes    []Probed     `json:"probes,omitempty"` // the ways back in, tried after the close
	Note      string       `json:"note,omitempty"`
}

// Cancelled counts what else the order closed, in the same transaction.
type Cancelled struct {
	Requests    int `json:"requests"`
	Grants      int `json:"grants"`
	Logins      int `json:"logins"`
	Tickets     int `json:"tickets"`
	Invitations int `json:"invitations"`
}

// NodeReport is one node's answer.
type NodeReport struct {
	Node      string    `json:"node"`
	Answered  bool      `json:"answered"`
	LeaseEnds time.Time `json:"lease_ends,omitzero"` // of a node that has not answered
	Clock     time.Time `json:"clock,omitzero"`      // the node's own, when it began to close
	// Offset is by how much that clock stood ahead of the asker's, give or
	// take Within: half the time that all answers took.
	Offset     time.Duration   `json:"offset_ns,omitempty"`
	Within     time.Duration   `json:"within_ns,omitempty"`
	LiveBefore int             `json:"live_before"`
	LiveAfter  int             `json:"live_after"` // that the order should have ended or frozen and did not
	Left       int             `json:"left"`       // that the order itself leaves: excepted, draining, or not new
	Sessions   []ClosedSession `json:"sessions"`
}

// Fate is what an order made of a live session.
type Fate string

// The closed list of fates.
const (
	FateClosed   Fate = "closed"
	FateFrozen   Fate = "frozen"   // its input is held
	FateDraining Fate = "draining" // it ends by itself when the drain is over
	FateExcepted Fate = "excepted" // it goes on until its exception ends
	FateLeft     Fate = "left"     // it goes on to its window's end
)

// ClosedSession is one session's measured end: both sockets closed, or what
// the order made of it instead.
type ClosedSession struct {
	Session    string        `json:"session"`
	Person     string        `json:"person"`
	Target     string        `json:"target"`
	Protocol   TargetKind    `json:"protocol"`
	Closed     bool          `json:"closed"`
	Fate       Fate          `json:"fate,omitempty"` // what the order made of it; empty: closed
	Method     Method        `json:"method,omitempty"`
	After      time.Duration `json:"after_ns"`    // from the order to both sockets closed
	BytesAfter int64         `json:"bytes_after"` // of the target shown to the engineer after the order was durable
}
