package statement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// maxExcept bounds the sessions that one order may leave alone.
const maxExcept = 64

// Suspend closes a scope. Without a mode it ends what is live.
type Suspend struct {
	ID     string              `json:"id"`
	Scope  gateway.Scope       `json:"scope"`
	Epoch  uint64              `json:"epoch"`            // the epoch that begins with it
	Mode   gateway.Mode        `json:"mode,omitempty"`   // never "cut": that is no mode
	Until  time.Time           `json:"until,omitzero"`   // of a drain: when what is left ends
	Except []gateway.Exception `json:"except,omitempty"` // live sessions that are left alone
	Reason string              `json:"reason"`
	// Of a suspension that the machine draws up for somebody else: what it
	// carries out (a signed order, or the statement behind a token), whose that
	// is, and since when a node without its store has kept the scope out.
	Order gateway.Digest `json:"order,omitzero"`
	For   string         `json:"for,omitempty"`
	Since time.Time      `json:"since,omitzero"`
}

func (b *Suspend) Kind() Kind { return KindSuspend }

func (b *Suspend) Subject() string { return string(b.Scope.Kind) + ":" + b.Scope.Name }

// Closing is what the order does to what is live.
func (b *Suspend) Closing() gateway.Closing {
	c := gateway.Closing{Mode: b.Mode, Until: b.Until, Except: b.Except}
	if c.Mode == "" {
		c.Mode = gateway.ModeCut
	}
	return c
}

// Sentence implements Body.
func (b *Suspend) Sentence() string {
	var s strings.Builder
	fmt.Fprintf(&s, "Suspend %s now: %s and keep all of it out.", b.Scope, b.does())
	for _, e := range b.Except {
		fmt.Fprintf(&s, " Session %s goes on until %s; %s answers for it: %s.", e.Session, stamp(e.Until), e.Owner, strings.TrimRight(e.Reason, "."))
	}
	fmt.Fprintf(&s, " Reason: %s. Epoch %d.", strings.TrimRight(b.Reason, "."), b.Epoch)
	if !b.Order.IsZero() {
		fmt.Fprintf(&s, " It carries out %s, given by %s.", b.Order, b.For)
	}
	if !b.Since.IsZero() {
		fmt.Fprintf(&s, " A node without its store has kept it out since %s.", stamp(b.Since))
	}
	return s.String()
}

// does words what becomes of the live sessions.
func (b *Suspend) does() string {
	switch b.Mode {
	case gateway.ModeFreeze:
		return "freeze all sessions, hold what is typed in them,"
	case gateway.ModeDrain:
		return fmt.Sprintf("let live sessions go on until %s at the latest, then end them,", stamp(b.Until))
	case gateway.ModeNoNew:
		return "let live sessions go on to the ends of their windows"
	}
	return "end all sessions"
}

// Check implements Body.
func (b *Suspend) Check() error {
	return first(gateway.CheckID("sus", b.ID), checkScope(b.Scope), b.checkMode(), b.checkExcept(), b.checkOrder(),
		gateway.CheckNeeded("reason", b.Reason, gateway.MaxReason, true), epoch(b.Epoch))
}

func (b *Suspend) checkMode() error {
	switch {
	case b.Mode == gateway.ModeCut || b.Mode != "" && !slices.Contains(gateway.Modes, b.Mode):
		return gateway.Invalid("mode", "mode %s is not one of freeze, drain, no-new; an order without a mode cuts", gateway.Quote(string(b.Mode)))
	case (b.Mode == gateway.ModeDrain) == b.Until.IsZero():
		return gateway.Invalid("until", "a drain states when it ends, and no other mode does")
	case b.Mode == gateway.ModeDrain:
		return when("until", b.Until)
	}
	return nil
}

func (b *Suspend) checkOrder() error {
	if b.Order.IsZero() != (b.For == "") || b.Order.IsZero() && !b.Since.IsZero() {
		return gateway.Invalid("order", "a suspension for somebody else names what it carries out and whose that is")
	}
	if !b.Since.IsZero() {
		if err := when("since", b.Since); err != nil {
			return err
		}
	}
	return gateway.CheckText("for", b.For, gateway.MaxTitle, false)
}

func (b *Suspend) checkExcept() error {
	seen := map[string]bool{}
	for _, e := range b.Except {
		if err := first(gateway.CheckID("ses", e.Session), gateway.CheckName("owner", e.Owner), gateway.CheckNeeded("except reason", e.Reason, gateway.MaxReason, true), when("except until", e.Until)); err != nil {
			return err
		}
		if seen[e.Session] {
			return gateway.Invalid("except", "session %s is excepted twice", e.Session)
		}
		seen[e.Session] = true
	}
	return bounded("except", len(b.Except), maxExcept)
}

// CheckTimes holds a drain and the exceptions to the time at which the order
// was drawn up: they lie ahead of it, and not further than is let.
func (b *Suspend) CheckTimes(at time.Time) error {
	if b.Mode == gateway.ModeDrain && (!b.Until.After(at) || b.Until.Sub(at) > gateway.MaxDrain) {
		return gateway.Invalid("until", "a drain lasts at most %s", gateway.MaxDrain)
	}
	for _, e := range b.Except {
		if !e.Until.After(at) || e.Until.Sub(at) > gateway.MaxException {
			return gateway.Invalid("except", "the exception of session %s lasts at most %s", e.Session, gateway.MaxException)
		}
	}
	return nil
}

func checkScope(s gateway.Scope) error {
	switch s.Kind {
	case gateway.ScopeAll:
		if s.Name != gateway.AllVendors {
			return gateway.Invalid("scope", "scope all has the one name %s", gateway.AllVendors)
		}
	case gateway.ScopeProtocol:
		if !slices.Contains([]gateway.TargetKind{gateway.KindSSH, gateway.KindHTTPS, gateway.KindNetwork}, gateway.TargetKind(s.Name)) {
			return gateway.Invalid("scope", "protocol %s is not one of ssh, https, network", gateway.Quote(s.Name))
		}
	}
	if !slices.Contains(gateway.ScopeKinds, s.Kind) {
		return gateway.Invalid("scope", "scope %s is not one of vendor, person, target, zone, protocol, all", gateway.Quote(string(s.Kind)))
	}
	return gateway.CheckName(string(s.Kind), s.Name)
}

func epoch(n uint64) error {
	if n < 2 {
		return gateway.Invalid("epoch", "a suspension or restoration begins an epoch of at least 2")
	}
	return nil
}
