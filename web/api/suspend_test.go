package api

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

func TestClosingOfParams(t *testing.T) {
	now := time.Date(2026, 4, 14, 6, 12, 0, 0, time.UTC)
	except := func(seconds int64) SuspendParams {
		return SuspendParams{Except: []ExceptParams{{Session: "ses_1", Owner: "olga", Reason: "r", Seconds: seconds}}}
	}
	for name, c := range map[string]struct {
		in   SuspendParams
		says string
	}{
		"nothing said":             {SuspendParams{}, ""},
		"drain":                    {SuspendParams{Mode: gateway.ModeDrain, Drain: 900}, ""},
		"drain without a time":     {SuspendParams{Mode: gateway.ModeDrain}, "the mode drain takes a time"},
		"drain backwards":          {SuspendParams{Mode: gateway.ModeDrain, Drain: -1}, "the mode drain takes a time"},
		"drain too long":           {SuspendParams{Mode: gateway.ModeDrain, Drain: int64(gateway.MaxDrain/time.Second) + 1}, "at most 4h"},
		"drain beyond all numbers": {SuspendParams{Mode: gateway.ModeDrain, Drain: 1 << 62}, "at most 4h"},
		"time of another mode":     {SuspendParams{Mode: gateway.ModeFreeze, Drain: 900}, "no other mode takes one"},
		"exception":                {except(3600), ""},
		"exception of no time":     {except(0), "at most 24h"},
		"exception of two days":    {except(2 * 86400), "at most 24h"},
		"exception beyond numbers": {except(1 << 62), "at most 24h"},
	} {
		got, err := c.in.Closing(now)
		if (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if err == nil && c.in.Drain > 0 && !got.Until.Equal(now.Add(15*time.Minute)) {
			t.Errorf("%s: until %s", name, got.Until)
		}
		if err == nil && len(got.Except) == 1 && !got.Except[0].Until.Equal(now.Add(time.Hour)) {
			t.Errorf("%s: %+v", name, got.Except)
		}
	}
}

// Of each scope the newest order says whether it is closed.
func TestInForce(t *testing.T) {
	zone, all := gateway.Scope{Kind: gateway.ScopeZone, Name: "yard"}, gateway.Scope{Kind: gateway.ScopeAll, Name: gateway.AllVendors}
	lifted := time.Now()
	got := InForce([]gateway.Suspension{{ID: "4", Scope: zone, Lifted: lifted}, {ID: "3", Scope: all}, {ID: "2", Scope: zone}, {ID: "1", Scope: all, Lifted: lifted}})
	if len(got) != 1 || got[0].ID != "3" {
		t.Errorf("in force: %+v", got)
	}
}
