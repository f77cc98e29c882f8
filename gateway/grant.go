package gateway

import "time"

// Terms is what is asked for and may be narrowed: the window and the
// abilities. A request either names From and To, or leaves From zero and asks
// for Length, counted from the last approval, to be opened no later than
// Lapse.
type Terms struct {
	From      time.Time     `json:"from,omitzero"`
	To        time.Time     `json:"to,omitzero"`
	Length    time.Duration `json:"length,omitempty"` // ns; used when From is zero
	Abilities Abilities     `json:"abilities"`
}

// Window is the longest time the terms could stay open.
func (t Terms) Window() time.Duration {
	if t.From.IsZero() {
		return t.Length
	}
	return t.To.Sub(t.From)
}

// RequestState is how far a request has come.
type RequestState string

// The closed list of request states.
const (
	RequestWaiting   RequestState = "waiting"   // for approvals
	RequestGranted   RequestState = "granted"   // the quorum agreed; there is a grant
	RequestRefused   RequestState = "refused"   // an approver said no
	RequestWithdrawn RequestState = "withdrawn" // the asker took it back
	RequestLapsed    RequestState = "lapsed"    // nobody agreed in time
	RequestCancelled RequestState = "cancelled" // a suspension closed it
)

// Request asks for a window on a target. What the approvers sign is the
// digest of its canonical document; the row is an index to that.
type Request struct {
	ID              string    `json:"id"`
	Person          string    `json:"person"`
	Vendor          string    `json:"vendor"`
	Target          string    `json:"target"`
	TargetStatement Digest    `json:"target_statement"` // the target's definition that was asked for
	Account         string    `json:"account"`
	Terms           Terms     `json:"terms"`
	Reason          string    `json:"reason"`
	Asker           string    `json:"asker,omitempty"`  // of a service account: the person who asked in its name
	Ticket          string    `json:"ticket,omitempty"` // change ticket at the operator
	Epochs          Epochs    `json:"epochs"`
	Asked           time.Time `json:"asked"`
	Lapse           time.Time `json:"lapse"` // when it is over if nobody has agreed
	Digest          Digest    `json:"digest"`
	Document        []byte    `json:"-"` // the canonical JSON that Digest is of

	State    RequestState `json:"state"`
	Needs    int          `json:"needs"` // approvals that policy asked for when it was written
	Roles    []Role       `json:"roles"` // who may give them
	Closed   time.Time    `json:"closed,omitzero"`
	ClosedBy string       `json:"closed_by,omitempty"`
	Word     string       `json:"word,omitempty"` // what the one who closed it said
	Version  uint64       `json:"version"`
}

// Approval is one approver's signed yes to one request.
type Approval struct {
	Request   string    `json:"request"`
	Person    string    `json:"person"`
	Terms     Terms     `json:"terms"` // as asked, or narrower
	Statement Digest    `json:"statement"`
	At        time.Time `json:"at"`
}

// GrantState is how far a grant has come.
type GrantState string

// The closed list of grant states.
const (
	GrantPlanned GrantState = "planned" // agreed; the window has not begun
	GrantOpen    GrantState = "open"
	GrantClosed  GrantState = "closed"
)

// Grant is a usable window. It is derived from its request and approvals;
// whoever opens a session under it derives it again.
type Grant struct {
	ID        string     `json:"id"`
	Request   string     `json:"request"`
	Person    string     `json:"person"`
	Vendor    string     `json:"vendor"`
	Target    string     `json:"target"`
	Account   string     `json:"account"`
	Abilities Abilities  `json:"abilities"`
	From      time.Time  `json:"from"`
	To        time.Time  `json:"to"`
	Epochs    Epochs     `json:"epochs"`
	State     GrantState `json:"state"`
	Closed    time.Time  `json:"closed,omitzero"`
	ClosedBy  string     `json:"closed_by,omitempty"`
	Why       EndReason  `json:"why,omitempty"`
	Version   uint64     `json:"version"`
}
