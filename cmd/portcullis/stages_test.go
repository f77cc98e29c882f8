package main

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// What `restore`, `restore stage` and `restore advance` take, and what they
// refuse before any gateway is asked.
func TestStageUsage(t *testing.T) {
	nowhere := []string{"--data", t.TempDir()}
	for name, c := range map[string]struct {
		args []string
		says string // empty: it goes on to ask the gateway
	}{
		"the stage of nothing":        {[]string{"restore", "stage"}, "<what>"},
		"the stage of a planet":       {[]string{"restore", "stage", "planet", "earth"}, "not one of vendor, person, target, zone, protocol, all"},
		"the stage of three words":    {[]string{"restore", "stage", "zone", "ami", "yard"}, "one vendor, or a kind and a name"},
		"all, by a name":              {[]string{"restore", "stage", "all", "acme"}, "all takes no name"},
		"a step without a reason":     {[]string{"restore", "advance", "zone", "ami"}, "reason"},
		"a step of a planet":          {[]string{"restore", "advance", "planet", "earth", "--reason", "r"}, "not one of"},
		"a return without a report":   {[]string{"restore", "zone", "ami", "--reason", "r"}, "report"},
		"a vendor's stage":            {[]string{"restore", "stage", "acme"}, ""},
		"a zone's stage":              {[]string{"restore", "stage", "zone", "ami"}, ""},
		"everybody's stage":           {[]string{"restore", "stage", "all"}, ""},
		"a protocol's step":           {[]string{"restore", "advance", "protocol", "ssh", "--reason", "r"}, ""},
		"everybody's step":            {[]string{"restore", "advance", "all", "--reason", "r"}, ""},
		"the return of a target":      {[]string{"restore", "target", "pump", "--reason", "r", "--report", "stages_test.go"}, ""},
		"the return of all":           {[]string{"restore", "all", "--reason", "r", "--report", "stages_test.go"}, ""},
		"a vendor by the name of all": {[]string{"restore", "stage", "vendor", "all"}, ""},
	} {
		status, _, errOut := command(t, append(nowhere[:2:2], c.args...)...)
		want, says := exitUsage, c.says
		if says == "" {
			want, says = exitFailed, "no gateway answers"
		}
		if status != want || !strings.Contains(errOut, says) {
			t.Errorf("%s: exit status %d, want %d; said %q, want %q", name, status, want, errOut, says)
		}
	}
}

// Each stage says since when, by whom or from when on, and which is now.
func TestLadderWords(t *testing.T) {
	at := time.Date(2026, 4, 14, 6, 12, 0, 0, time.UTC)
	x := gateway.Ladder{Scope: gateway.Scope{Kind: gateway.ScopeZone, Name: "ami"}, Stage: gateway.StageSupervised, Next: gateway.StageNormal, Since: at, Earliest: at.Add(gateway.DefaultSupervised),
		Steps: []gateway.Step{{Stage: gateway.StageWatchOnly, Since: at.Add(-gateway.DefaultWatchOnly), By: []string{"omar", "olga"}}, {Stage: gateway.StageSupervised, Since: at, By: []string{"olga"}}}}
	for name, c := range map[string]struct {
		x    gateway.Ladder
		says []string
		not  string
	}{
		"closed":     {gateway.Ladder{Scope: x.Scope}, []string{"zone ami is closed", "two people of different roles"}, "watch-only"},
		"supervised": {x, []string{"zone ami is supervised", "  watch-only  since 2026-04-13 06:12:00Z, by omar and olga", "> supervised  since 2026-04-14 06:12:00Z, by olga", "  normal      from 2026-04-21 06:12:00Z at the earliest", "only while somebody of the staff watches"}, "> normal"},
	} {
		var out strings.Builder
		if err := printLadder(&out, c.x); err != nil || strings.Contains(out.String(), c.not) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
		for _, w := range c.says {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s lacks %q:\n%s", name, w, out.String())
			}
		}
	}
}
