package access

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/policy"
)

// Bounds of a window, beside what policy allows.
const (
	MinWindow = time.Minute
	// PastLeeway is how long ago a window may have begun: the time it takes to
	// fill in a form.
	PastLeeway = 5 * time.Minute
	// MaxAhead is how far ahead a window may be planned.
	MaxAhead = 90 * 24 * time.Hour
)

// readTerms reads what was asked for, strictly.
func readTerms(in AskInput, now time.Time) (gateway.Terms, error) {
	t := gateway.Terms{From: gateway.Instant(in.From), To: gateway.Instant(in.To), Length: in.Length}
	if in.From.IsZero() {
		t.From = time.Time{}
	}
	if in.To.IsZero() {
		t.To = time.Time{}
	}
	if len(in.Abilities) == 0 {
		return t, gateway.Invalid("abilities", "no ability is asked for; ask for shell or exec, or on a web console for methods and paths such as GET and path /")
	}
	var err error
	if t.Abilities, err = gateway.ParseAbilities(in.Abilities); err != nil {
		return t, err
	}
	return t, checkWindow(t, now)
}

func checkWindow(t gateway.Terms, now time.Time) error {
	if t.From.IsZero() != t.To.IsZero() || t.From.IsZero() == (t.Length == 0) {
		return gateway.Invalid("window", "ask either for a length, or for a window with its beginning and its end")
	}
	switch {
	case t.Length%time.Second != 0:
		return gateway.Invalid("length", "a length is in whole seconds")
	case !t.From.IsZero() && !t.To.After(t.From):
		return gateway.Invalid("to", "the window ends at %s, which is not after it begins", stamp(t.To))
	case !t.To.IsZero() && !t.To.After(now):
		return gateway.Invalid("to", "the window ended at %s, which is past", stamp(t.To))
	case !t.From.IsZero() && t.From.Before(now.Add(-PastLeeway)):
		return gateway.Invalid("from", "the window began at %s, which is past", stamp(t.From))
	case t.From.After(now.Add(MaxAhead)):
		return gateway.Invalid("from", "the window begins at %s; at most %d days ahead are planned", stamp(t.From), int(MaxAhead/(24*time.Hour)))
	case t.Window() < MinWindow:
		return gateway.Invalid("window", "a window has at least %s", policy.Span(MinWindow))
	}
	return nil
}

// asked are the terms of a request's document.
func asked(a statement.Ask) gateway.Terms {
	return gateway.Terms{From: a.From, To: a.To, Length: time.Duration(a.Seconds) * time.Second, Abilities: a.Abilities}
}

// agreed are the terms of an approval.
func agreed(a *statement.Approve) gateway.Terms {
	return gateway.Terms{From: a.From, To: a.To, Length: time.Duration(a.Seconds) * time.Second, Abilities: a.Abilities}
}

// within reports whether a is b or narrower, in the same form: a window stays
// a window and a length a length.
func within(a, b gateway.Terms) bool {
	if a.From.IsZero() != b.From.IsZero() || !a.Abilities.Within(b.Abilities) || a.Abilities.None() || a.Window() <= 0 {
		return false
	}
	return a.Length <= b.Length && !a.From.Before(b.From) && !a.To.After(b.To)
}

// sameTerms reports whether both let the same.
func sameTerms(a, b gateway.Terms) bool {
	return a.From.Equal(b.From) && a.To.Equal(b.To) && a.Length == b.Length && sameAbilities(a.Abilities, b.Abilities)
}

func sameAbilities(a, b gateway.Abilities) bool { return a.Within(b) && b.Within(a) }

// both is what a and b let; the window is empty or negative where they have
// none in common.
func both(a, b gateway.Terms) gateway.Terms {
	c := gateway.Terms{From: a.From, To: a.To, Length: min(a.Length, b.Length), Abilities: a.Abilities.And(b.Abilities)}
	if b.From.After(c.From) {
		c.From = b.From
	}
	if b.To.Before(c.To) {
		c.To = b.To
	}
	return c
}

// overlap reports whether two windows share a moment. Ends are not part of a
// window.
func overlap(from, to, otherFrom, otherTo time.Time) bool {
	return from.Before(otherTo) && otherFrom.Before(to)
}

// span is the window that the terms would have if they were agreed to now.
func span(t gateway.Terms, now time.Time) (from, to time.Time) {
	if t.From.IsZero() {
		return now, now.Add(t.Length)
	}
	return t.From, t.To
}
