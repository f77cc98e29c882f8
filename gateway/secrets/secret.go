package secrets

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Work is what is left to do about a secret.
type Work string

// The closed list of works.
const (
	WorkNone    Work = "none"    // no session under an order of suspension was given it
	WorkOpen    Work = "open"    // it is to be rotated
	WorkDone    Work = "done"    // it was, since the last of those sessions
	WorkExpires Work = "expires" // nothing to rotate: a certificate ends with its session
	WorkGone    Work = "gone"    // the account is not on file any more; the target may still take its secret
)

// Secret is one account's credential at one target, and never its text.
type Secret struct {
	Target    string             `json:"target"`
	Title     string             `json:"title,omitempty"` // of the target
	Protocol  gateway.TargetKind `json:"protocol"`
	Account   string             `json:"account"`
	Proof     gateway.ProofKind  `json:"proof,omitempty"`    // empty of one that is gone
	Owner     string             `json:"owner,omitempty"`    // of the target: who answers for it
	Changed   time.Time          `json:"changed,omitzero"`   // when its file was last written
	Age       time.Duration      `json:"age_ns,omitempty"`   // since Changed
	Fault     string             `json:"fault,omitempty"`    // why Changed is not known
	LastUsed  time.Time          `json:"last_used,omitzero"` // now, of one that a live session has
	Sessions  int                `json:"sessions"`           // that were given it, in the time asked about
	Vendors   []Use              `json:"vendors"`            // of those sessions, by name
	Exposures []Exposure         `json:"exposures"`          // those sessions, newest first, at most MaxExposures
	Work      Work               `json:"work"`
	Since     bool               `json:"changed_since,omitempty"` // open, and its file was written after the last of those sessions: only the word is missing
	Next      string             `json:"next,omitempty"`          // what to do, in a sentence
	Rotated   *Rotation          `json:"rotated,omitempty"`       // the last that was verified
}

// Use is one vendor's part in the exposures.
type Use struct {
	Vendor   string    `json:"vendor"`
	Sessions int       `json:"sessions"`
	Last     time.Time `json:"last"`
}

// Exposure is one session that was given a secret.
type Exposure struct {
	Session string    `json:"session"`
	Vendor  string    `json:"vendor"`
	Person  string    `json:"person"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to,omitzero"` // zero: it is live
}

// Rotation is a verified word that a secret is another now.
type Rotation struct {
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Changed time.Time `json:"changed"`          // when the file was written: sessions that were over by then did not have this one
	Vendor  string    `json:"vendor,omitempty"` // only this one's sessions were looked at; empty: all
}

// closes reports whether a session of that vendor that was over at end had
// another secret than the one rotated to.
func (r Rotation) closes(vendor string, end time.Time) bool {
	return (r.Vendor == "" || r.Vendor == vendor) && r.Changed.After(end)
}

// List is what is known of every secret.
type List struct {
	Since time.Time `json:"since"`
	Items []Secret  `json:"items"`        // by target and account; in a work-list those that are to be rotated first
	Cut   time.Time `json:"cut,omitzero"` // sessions that began before were too many to be looked at; zero: all were
}

// WorkList is what the sessions under a scope could have seen.
type WorkList struct {
	List
	Scope      *gateway.Scope `json:"scope,omitempty"`      // nil: all that was ever ordered closed in that time
	Suspension string         `json:"suspension,omitempty"` // that it was asked for by
	Open       int            `json:"open"`
	Done       int            `json:"done"`
}
