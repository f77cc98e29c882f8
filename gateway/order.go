package gateway

import "time"

// SignedOrder is an order of suspension that was signed ahead, as the store
// keeps it: an index to its statement, and what became of it.
type SignedOrder struct {
	ID          string    `json:"id"`
	Statement   Digest    `json:"statement"`
	Scope       Scope     `json:"scope"`
	Mode        Mode      `json:"mode,omitempty"` // empty: cut
	Reason      string    `json:"reason"`
	Signer      string    `json:"signer"`
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Made        time.Time `json:"made"` // drawn up
	Used        time.Time `json:"used,omitzero"`
	Suspension  string    `json:"suspension,omitempty"` // that it became
	Withdrawn   time.Time `json:"withdrawn,omitzero"`
	WithdrawnBy string    `json:"withdrawn_by,omitempty"`
}

// Standing is one word on the order at that time: used, withdrawn, expired,
// early or ready.
func (o SignedOrder) Standing(at time.Time) string {
	switch {
	case !o.Used.IsZero():
		return "used"
	case !o.Withdrawn.IsZero():
		return "withdrawn"
	case at.After(o.To):
		return "expired"
	case at.Before(o.From):
		return "early"
	}
	return "ready"
}

// Token lets a machine elsewhere order suspensions, and do nothing else. Its
// secret is not kept.
type Token struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Hash      Digest    `json:"-"`              // SHA-256 of the whole token
	Scope     Scope     `json:"scope,omitzero"` // zero: any
	By        string    `json:"by"`
	Statement Digest    `json:"statement"`
	Made      time.Time `json:"made"`
	Expires   time.Time `json:"expires"`
	Removed   time.Time `json:"removed,omitzero"`
}

// Covers reports whether the token may close the scope.
func (t Token) Covers(s Scope) bool { return t.Scope == (Scope{}) || t.Scope == s }
