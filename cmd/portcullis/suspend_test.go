package main

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

func TestSuspendUsage(t *testing.T) {
	suspend := func(args ...string) []string { return append([]string{"suspend", "--reason", "r"}, args...) }
	except := []string{"--except", "ses_1", "--owner", "ben", "--except-reason", "a, b", "--until", "2h"}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"a vendor without a name":          {suspend("vendor"), "which vendor"},
		"all with a name":                  {suspend("all", "acme"), "all takes no name"},
		"a mode of one's own":              {suspend("vendor", "acme", "--mode", "slow"), "not one of cut, no-new, freeze, drain=15m"},
		"a drain without a time":           {suspend("vendor", "acme", "--mode", "drain"), "drain takes a time"},
		"a freeze with a time":             {suspend("vendor", "acme", "--mode", "freeze=5m"), "no other mode takes one"},
		"a drain of a week":                {suspend("vendor", "acme", "--mode", "drain=168h"), "at most 4h"},
		"a drain of half a second":         {suspend("vendor", "acme", "--mode", "drain=500ms"), "whole seconds"},
		"an exception without an owner":    {suspend("vendor", "acme", "--except", "ses_1"), "an --owner, an --except-reason and an --until"},
		"an owner of no exception":         {suspend("vendor", "acme", "--owner", "ben"), "an --owner"},
		"an exception of two days":         {append(suspend("vendor", "acme"), append(except[:7:7], "48h")...), "at most 24h"},
		"two exceptions with one owner":    {append(suspend("vendor", "acme", "--except", "ses_2"), except...), "of its own"},
		"restoring everybody by a name":    {[]string{"restore", "all", "acme", "--reason", "r", "--report", "suspend_test.go"}, "all takes no name"},
		"restoring a zone without a name":  {[]string{"restore", "zone", "--reason", "r", "--report", "suspend_test.go"}, "which zone"},
		"too many names for one command":   {suspend(append([]string{"vendor"}, many()...)...), "are too many"},
		"the demo's socket is asked first": {append(suspend("vendor", "acme", "--data", "/nowhere"), except...), ""},
	} {
		var out, errs strings.Builder
		status := execute(t.Context(), c.args, strings.NewReader(""), &out, &errs)
		if want := map[bool]int{true: exitFailed, false: exitUsage}[c.says == ""]; status != want || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%s: %d %q, want %q", name, status, errs.String(), c.says)
		}
	}
}

func many() []string {
	list := make([]string, maxScopes+1)
	for i := range list {
		list[i] = "v" + strings.Repeat("x", i)
	}
	return list
}

// Each mode's report says what became of whom, and who answers for what is
// left.
func TestReportWords(t *testing.T) {
	at := time.Date(2026, 4, 14, 6, 12, 0, 0, time.UTC)
	closed := gateway.ClosedSession{Session: "ses_closed", Closed: true, After: 11 * time.Millisecond}
	with := func(s ...gateway.ClosedSession) []gateway.ClosedSession { return s }
	for name, c := range map[string]struct {
		closing  gateway.Closing
		sessions []gateway.ClosedSession
		left     int
		says     []string
		not      string
	}{
		"cut":    {gateway.Closing{Mode: gateway.ModeCut}, with(closed), 0, []string{"closed, measured", "11.0 ms"}, "Mode "},
		"freeze": {gateway.Closing{Mode: gateway.ModeFreeze}, with(gateway.ClosedSession{Session: "s", Fate: gateway.FateFrozen, After: time.Millisecond}), 0, []string{"Mode        freeze", "frozen", "1.0 ms"}, "left by the order"},
		"drain": {gateway.Closing{Mode: gateway.ModeDrain, Until: at.Add(15 * time.Minute)}, with(gateway.ClosedSession{Session: "s", Fate: gateway.FateDraining}), 1,
			[]string{"draining until 2026-04-14 06:27:00Z", "1 left by the order"}, "OPEN"},
		"no-new": {gateway.Closing{Mode: gateway.ModeNoNew}, with(gateway.ClosedSession{Session: "s", Fate: gateway.FateLeft}), 1, []string{"left to its window's end"}, "OPEN"},
		"excepted": {gateway.Closing{Mode: gateway.ModeCut, Except: []gateway.Exception{{Session: "ses_left", Owner: "olga", Reason: "firmware\x1b[2J", Until: at.Add(time.Hour)}}}, with(closed, gateway.ClosedSession{Session: "ses_left", Fate: gateway.FateExcepted}), 1,
			[]string{"Excepted    ses_left until 2026-04-14 07:12:00Z; olga answers for it: firmware\\u001b", "left until 2026-04-14 07:12:00Z, olga answers"}, "\x1b"},
		"still open": {gateway.Closing{Mode: gateway.ModeCut}, with(gateway.ClosedSession{Session: "s"}), 0, []string{"OPEN"}, "closed, measured"},
	} {
		var out strings.Builder
		err := printReport(&out, gateway.Suspension{ID: "sus_1", Scope: gateway.Scope{Kind: gateway.ScopeZone, Name: "yard"}, Closing: c.closing, Reason: "breach", By: "rita", Ordered: at,
			Report: &gateway.Report{Verdict: gateway.Pass, Ordered: at, Durable: at, Finished: at, Nodes: []gateway.NodeReport{{Node: "node-1", Answered: true, LiveBefore: 1, Left: c.left, Sessions: c.sessions}}}})
		if err != nil || strings.Contains(out.String(), c.not) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
		for _, w := range append(c.says, "PASS  zone yard is suspended.") {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s lacks %q:\n%s", name, w, out.String())
			}
		}
	}
}

// A preview says what would become of each session, who is left, and which
// carries a file now.
func TestPreviewWords(t *testing.T) {
	p := api.SuspendPreview{State: gateway.Active, Lease: 10 * time.Second, Sessions: []gateway.Session{
		{ID: "ses_1", Person: "ana", Running: []gateway.ChannelKind{gateway.ChannelShell, gateway.ChannelSCP}}, {ID: "ses_2", Person: "bob", Running: []gateway.ChannelKind{gateway.ChannelSFTP}}, {ID: "ses_3", Person: "eve"},
	}}
	except := []api.ExceptParams{{Session: "ses_3", Owner: "olga", Seconds: 7200}, {Session: "ses_9", Owner: "olga", Seconds: 60}}
	for mode, says := range map[gateway.Mode]string{
		gateway.ModeCut: "would end 2 live sessions, leave 1 alone", gateway.ModeFreeze: "would freeze 2 live", gateway.ModeDrain: "would drain for 15m0s 2 live", gateway.ModeNoNew: "would leave to their windows' ends 2 live",
	} {
		var out strings.Builder
		o := api.SuspendParams{Scope: gateway.Scope{Kind: gateway.ScopeAll, Name: gateway.AllVendors}, Mode: mode, Except: except, Reason: "r"}
		if mode == gateway.ModeDrain {
			o.Drain = 900
		}
		if err := printPreview(&out, o, p); err != nil {
			t.Fatal(err)
		}
		for _, w := range []string{says, "transfer under way: scp", "sftp is open, a transfer may be under way", "left alone for 2h0m0s; olga answers for it", "Session ses_9 is not live", "lease (10s)"} {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s lacks %q:\n%s", mode, w, out.String())
			}
		}
	}
}
