package statement

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

func exception(i int) gateway.Exception {
	return gateway.Exception{Session: gateway.NewID("ses", noon.Add(time.Duration(i)*time.Second)), Owner: "olga", Reason: "firmware is written", Until: noon.Add(time.Hour)}
}

// What an order may say of its mode, its drain, its exceptions and its scope.
func TestSuspendChecks(t *testing.T) {
	twice := exception(1)
	for name, c := range map[string]struct {
		edit func(*Suspend)
		says string // empty: it holds
	}{
		"cut, unwritten":         {func(*Suspend) {}, ""},
		"cut written as a mode":  {func(b *Suspend) { b.Mode = gateway.ModeCut }, "without a mode cuts"},
		"a mode of one's own":    {func(b *Suspend) { b.Mode = "slow" }, `mode "slow" is not one of`},
		"freeze":                 {func(b *Suspend) { b.Mode = gateway.ModeFreeze }, ""},
		"no-new":                 {func(b *Suspend) { b.Mode = gateway.ModeNoNew }, ""},
		"drain":                  {func(b *Suspend) { b.Mode, b.Until = gateway.ModeDrain, noon.Add(gateway.MaxDrain) }, ""},
		"drain without an end":   {func(b *Suspend) { b.Mode = gateway.ModeDrain }, "a drain states when it ends"},
		"an end without a drain": {func(b *Suspend) { b.Until = noon.Add(time.Minute) }, "a drain states when it ends"},
		"drain too long":         {func(b *Suspend) { b.Mode, b.Until = gateway.ModeDrain, noon.Add(gateway.MaxDrain+1e6) }, "at most 4h"},
		"drain that is over":     {func(b *Suspend) { b.Mode, b.Until = gateway.ModeDrain, noon }, "at most 4h"},
		"exception":              {func(b *Suspend) { b.Except = []gateway.Exception{exception(1), exception(2)} }, ""},
		"exception twice":        {func(b *Suspend) { b.Except = []gateway.Exception{twice, twice} }, "excepted twice"},
		"exception of a day":     {func(b *Suspend) { b.Except = []gateway.Exception{lasting(gateway.MaxException)} }, ""},
		"exception of more":      {func(b *Suspend) { b.Except = []gateway.Exception{lasting(gateway.MaxException + time.Second)} }, "at most 24h"},
		"exception that is over": {func(b *Suspend) { b.Except = []gateway.Exception{lasting(0)} }, "at most 24h"},
		"exception without owner": {func(b *Suspend) {
			b.Except = []gateway.Exception{{Session: twice.Session, Reason: "r", Until: twice.Until}}
		}, "owner"},
		"exception without reason": {func(b *Suspend) {
			b.Except = []gateway.Exception{{Session: twice.Session, Owner: "olga", Until: twice.Until}}
		}, "reason"},
		"exception of no session": {func(b *Suspend) {
			b.Except = []gateway.Exception{{Session: "all", Owner: "olga", Reason: "r", Until: twice.Until}}
		}, "ses"},
		"as many exceptions as may be": {func(b *Suspend) { b.Except = exceptions(maxExcept) }, ""},
		"one exception more":           {func(b *Suspend) { b.Except = exceptions(maxExcept + 1) }, "except"},
		"all vendors":                  {func(b *Suspend) { b.Scope = gateway.Scope{Kind: gateway.ScopeAll, Name: gateway.AllVendors} }, ""},
		"all by another name":          {func(b *Suspend) { b.Scope = gateway.Scope{Kind: gateway.ScopeAll, Name: "acme"} }, "the one name vendors"},
		"a protocol that is none":      {func(b *Suspend) { b.Scope = gateway.Scope{Kind: gateway.ScopeProtocol, Name: "telnet"} }, "is not one of ssh"},
		"a scope that is none":         {func(b *Suspend) { b.Scope = gateway.Scope{Kind: "site", Name: "x"} }, `scope "site" is not one of`},
		"a zone without a name":        {func(b *Suspend) { b.Scope = gateway.Scope{Kind: gateway.ScopeZone} }, "zone"},
	} {
		b := suspend()
		c.edit(b)
		err := b.Check()
		if err == nil {
			err = b.CheckTimes(noon)
		}
		if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func lasting(d time.Duration) gateway.Exception {
	e := exception(1)
	e.Until = noon.Add(d)
	return e
}

func exceptions(n int) []gateway.Exception {
	list := make([]gateway.Exception, n)
	for i := range list {
		list[i] = exception(i)
	}
	return list
}

// What the signer reads at the touch says what becomes of the live sessions.
func TestSuspendSentences(t *testing.T) {
	e := exception(1)
	for want, edit := range map[string]func(*Suspend){
		"Suspend vendor acme now: freeze all sessions, hold what is typed in them, and keep all of it out. ": func(b *Suspend) { b.Mode = gateway.ModeFreeze },
		"Suspend vendor acme now: let live sessions go on until " + stamp(noon.Add(time.Minute)) + " at the latest, then end them, and keep all of it out. ": func(b *Suspend) {
			b.Mode, b.Until = gateway.ModeDrain, noon.Add(time.Minute)
		},
		"Suspend zone yard now: let live sessions go on to the ends of their windows and keep all of it out. ": func(b *Suspend) {
			b.Mode, b.Scope = gateway.ModeNoNew, gateway.Scope{Kind: gateway.ScopeZone, Name: "yard"}
		},
		"end all sessions and keep all of it out. Session " + e.Session + " goes on until " + stamp(e.Until) + "; olga answers for it: firmware is written. Reason: breach news. Epoch 2.": func(b *Suspend) {
			b.Except = []gateway.Exception{e}
		},
	} {
		b := suspend()
		edit(b)
		if got := b.Sentence(); !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}

// An order without a mode is written as it always was.
func TestSuspendKeepsItsOldBytes(t *testing.T) {
	raw, err := Canonical(&Suspend{ID: "sus_1", Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Epoch: 2, Reason: "breach"})
	if want := `{"epoch":2,"id":"sus_1","reason":"breach","scope":{"kind":"vendor","name":"acme"}}`; err != nil || string(raw) != want {
		t.Errorf("%s, %v; want %s", raw, err, want)
	}
}
