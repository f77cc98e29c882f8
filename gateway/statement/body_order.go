package statement

import (
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// KindOrder is an order of suspension that is signed ahead, for whoever hands
// it in; KindToken lets a machine elsewhere order suspensions by a secret.
const (
	KindOrder Kind = "order"
	KindToken Kind = "token.issue"
)

// MaxOrder bounds how long an order may lie in a drawer, and MaxToken how long
// a token is good.
const (
	MaxOrder = 90 * 24 * time.Hour
	MaxToken = 2 * 366 * 24 * time.Hour
)

// Order lets whoever hands it in suspend the scope, once, between From and To.
// It names no epoch: the machine that takes it draws up the suspension for the
// epoch of that moment.
type Order struct {
	ID     string        `json:"id"`
	Scope  gateway.Scope `json:"scope"`
	Mode   gateway.Mode  `json:"mode,omitempty"`  // never "cut": that is no mode
	Drain  int64         `json:"drain,omitempty"` // seconds from its use, of the mode drain alone
	Reason string        `json:"reason"`
	From   time.Time     `json:"from"`
	To     time.Time     `json:"to"`
}

func (b *Order) Kind() Kind { return KindOrder }

func (b *Order) Subject() string { return "order:" + b.ID }

// Closing is what the order does to what is live when it is used at that time.
func (b *Order) Closing(at time.Time) gateway.Closing {
	c := gateway.Closing{Mode: b.Mode}
	if c.Mode == "" {
		c.Mode = gateway.ModeCut
	}
	if b.Drain > 0 {
		c.Until = gateway.Instant(at.Add(time.Duration(b.Drain) * time.Second))
	}
	return c
}

// Sentence implements Body.
func (b *Order) Sentence() string {
	does := "end all sessions"
	switch b.Mode {
	case gateway.ModeFreeze:
		does = "freeze all sessions, hold what is typed in them,"
	case gateway.ModeDrain:
		does = fmt.Sprintf("let live sessions go on for %s at most, then end them,", span(b.Drain))
	case gateway.ModeNoNew:
		does = "let live sessions go on to the ends of their windows"
	}
	return fmt.Sprintf("Whoever hands in this order suspends %s: %s and keep all of it out. It is good once, without signing in, from %s until %s. Reason: %s. Order %s.",
		b.Scope, does, stamp(b.From), stamp(b.To), strings.TrimRight(b.Reason, "."), b.ID)
}

// Check implements Body.
func (b *Order) Check() error {
	if err := first(gateway.CheckID("ord", b.ID), checkScope(b.Scope), gateway.CheckNeeded("reason", b.Reason, gateway.MaxReason, true), when("from", b.From), when("to", b.To)); err != nil {
		return err
	}
	switch b.Mode {
	case "", gateway.ModeFreeze, gateway.ModeDrain, gateway.ModeNoNew:
	default:
		return gateway.Invalid("mode", "mode %s is not one of freeze, drain, no-new; an order without a mode cuts", gateway.Quote(string(b.Mode)))
	}
	if (b.Mode == gateway.ModeDrain) != (b.Drain > 0) || b.Drain < 0 || b.Drain > int64(gateway.MaxDrain/time.Second) {
		return gateway.Invalid("drain", "the mode drain takes a time of at most %s, and no other mode takes one", gateway.MaxDrain)
	}
	if life := b.To.Sub(b.From); life <= 0 || life > MaxOrder {
		return gateway.Invalid("to", "an order is good for at most %d days", MaxOrder/(24*time.Hour))
	}
	return nil
}

// CheckTimes holds the validity to the time at which the order was drawn up:
// it begins no sooner (the body is older than its statement, by Fresh at
// most), and ends at most MaxOrder after it.
func (b *Order) CheckTimes(at time.Time) error {
	if b.From.Before(at.Add(-Fresh)) || b.To.Sub(at) > MaxOrder {
		return gateway.Invalid("from", "an order is good from when it is drawn up, and until at most %d days after it", MaxOrder/(24*time.Hour))
	}
	return nil
}

// TokenIssue lets whoever holds the secret behind Hash order suspensions, and
// do nothing else. A zero Scope is any; else it is this one alone.
type TokenIssue struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Hash    gateway.Digest `json:"hash"` // SHA-256 of the whole token
	Scope   gateway.Scope  `json:"scope,omitzero"`
	Expires time.Time      `json:"expires"`
}

func (b *TokenIssue) Kind() Kind { return KindToken }

func (b *TokenIssue) Subject() string { return "token:" + b.ID }

// Sentence implements Body.
func (b *TokenIssue) Sentence() string {
	scope := "any scope"
	if b.Scope != (gateway.Scope{}) {
		scope = b.Scope.String() + " alone"
	}
	return fmt.Sprintf("Let the holder of token %s (%s) order suspensions of %s until %s, and do nothing else. Its SHA-256 is %s.", b.Name, b.ID, scope, stamp(b.Expires), b.Hash)
}

// Check implements Body.
func (b *TokenIssue) Check() error {
	if b.Hash.IsZero() {
		return gateway.Invalid("hash", "a token is known by the digest of its secret")
	}
	if b.Scope != (gateway.Scope{}) {
		if err := checkScope(b.Scope); err != nil {
			return err
		}
	}
	return first(gateway.CheckID("tok", b.ID), gateway.CheckName("name", b.Name), when("expires", b.Expires))
}

// CheckTimes holds the end to the time at which the token was issued.
func (b *TokenIssue) CheckTimes(at time.Time) error {
	if life := b.Expires.Sub(at); life <= 0 || life > MaxToken {
		return gateway.Invalid("expires", "a token is good for at most %d days", MaxToken/(24*time.Hour))
	}
	return nil
}
