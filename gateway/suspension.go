package gateway

import "time"

// ScopeKind is what a suspension closes.
type ScopeKind string

// The kinds of scope that can be ordered.
const (
	ScopeVendor ScopeKind = "vendor"
	ScopePerson ScopeKind = "person"
)

// Scope names what a suspension closes.
type Scope struct {
	Kind ScopeKind `json:"kind"`
	Name string    `json:"name"`
}

// String returns "vendor acme".
func (s Scope) String() string { return string(s.Kind) + " " + s.Name }

// Covers reports whether a session, request or grant of this person and
// vendor falls under the scope.
func (s Scope) Covers(vendor, person string) bool {
	switch s.Kind {
	case ScopeVendor:
		return s.Name == vendor && vendor != ""
	case ScopePerson:
		return s.Name == person && person != ""
	}
	return false
}

// Suspension is the order that closes.
type Suspension struct {
	ID        string    `json:"id"`
	Scope     Scope     `json:"scope"`
	Epoch     uint64    `json:"epoch"` // the epoch that the order set
	Reason    string    `json:"reason"`
	By        string    `json:"by"`
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
	Node       string          `json:"node"`
	Answered   bool            `json:"answered"`
	LeaseEnds  time.Time       `json:"lease_ends,omitzero"` // of a node that has not answered
	LiveBefore int             `json:"live_before"`
	LiveAfter  int             `json:"live_after"`
	Sessions   []ClosedSession `json:"sessions"`
}

// ClosedSession is one session's measured end: both sockets closed.
type ClosedSession struct {
	Session    string        `json:"session"`
	Person     string        `json:"person"`
	Target     string        `json:"target"`
	Protocol   TargetKind    `json:"protocol"`
	Closed     bool          `json:"closed"`
	After      time.Duration `json:"after_ns"`    // from the order to both sockets closed
	BytesAfter int64         `json:"bytes_after"` // of the target shown to the engineer after the order was durable
}
