package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// holds wants a page to say words, and not to say others.
func (s *stand) holds(path string, words []string, not ...string) {
	s.t.Helper()
	body := text(s.t, s.as("omar", http.MethodGet, path, ""))
	for _, w := range words {
		if !strings.Contains(body, w) {
			s.t.Errorf("%s lacks %q", path, w)
		}
	}
	for _, w := range not {
		if strings.Contains(body, w) {
			s.t.Errorf("%s says %q", path, w)
		}
	}
}

// Every scope can be chosen, and its preview offers every mode, tells the
// lease, marks a transfer and lets each live session be left alone.
func TestSuspendPageOffersScopesAndModes(t *testing.T) {
	s := newStand(t)
	s.holds("/suspend", []string{"kind=all", "kind=vendor&amp;name=acme", "kind=person&amp;name=ana", "kind=target&amp;name=headend-1", "kind=zone&amp;name=ami", "kind=protocol&amp;name=ssh"})
	var live gateway.Session
	for i, x := range s.Sessions {
		if x.Target == "headend-1" && x.Ended.IsZero() {
			s.Sessions[i].Running = []gateway.ChannelKind{gateway.ChannelSCP}
			live = s.Sessions[i]
		}
	}
	if live.ID == "" {
		t.Fatal("nothing is live in the sample")
	}
	for _, query := range []string{"kind=target&name=headend-1", "kind=zone&name=ami", "kind=all&name=vendors", "kind=vendor&name=" + live.Vendor} {
		s.holds("/suspend?"+query, []string{
			`value="cut" checked`, `value="freeze"`, `value="drain"`, `value="no-new"`, `name="drain"`, `data-with="mode=drain"`, "neither store nor bus for 10 s", "transfer under way: scp",
			`name="except.` + live.ID + `.owner"`, `data-rows="except:session"`,
		}, `value="ana" selected`)
	}
	s.holds("/suspend?kind=all&name=vendors", []string{"Suspend every vendor now", "the operator’s own people go on working"}, "Other vendors feel nothing", "Who is locked out")
	s.holds("/suspend?kind=vendor&name=acme", []string{"Other vendors feel nothing"})
}

// What a wide order closes stands on the board and on the pages of its targets
// and vendors, until it is lifted.
func TestWideSuspensionsAreShown(t *testing.T) {
	s := newStand(t)
	now := time.Now()
	s.Suspensions = append([]gateway.Suspension{{
		ID: "sus_wide", Scope: gateway.Scope{Kind: gateway.ScopeZone, Name: "ami"}, Epoch: 2, By: "omar", Ordered: now, Reason: "breach",
		Closing: gateway.Closing{Mode: gateway.ModeDrain, Until: now.Add(time.Hour), Except: []gateway.Exception{{Session: "ses_left", Owner: "olga", Reason: "firmware is written", Until: now.Add(2 * time.Hour)}}},
		Report: &gateway.Report{Verdict: gateway.Pass, Ordered: now, Durable: now, Nodes: []gateway.NodeReport{{Node: "node-1", Answered: true, LiveBefore: 2, Left: 2, Sessions: []gateway.ClosedSession{
			{Session: "ses_drains", Fate: gateway.FateDraining}, {Session: "ses_left", Fate: gateway.FateExcepted},
		}}}},
	}}, s.Suspensions...)
	var vendor string
	for _, x := range s.Targets {
		if x.Name == "headend-1" {
			vendor = x.Vendors[0]
		}
	}
	shown := []string{"<b>Zone ami</b> is closed to vendors", `href="/suspensions/sus_wide"`}
	for _, path := range []string{"/board", "/targets/headend-1", "/vendors/" + vendor} {
		s.holds(path, shown)
	}
	s.holds("/targets/rtu-7", nil, shown...)
	s.holds("/suspensions", []string{"zone ami", "by omar, drain"})
	s.holds("/suspensions/sus_wide", []string{"Suspension of zone ami", "drain, until", "data-countdown", "Left alone by the order", "firmware is written", "draining", "excepted", "<b>2</b> left by the order", "Nothing new gets in"}, "still open", "live flows left")

	s.Suspensions[0].Lifted = now
	s.Suspensions = slices.Insert(s.Suspensions, 1, s.Suspensions[0])
	s.Suspensions[1].ID, s.Suspensions[1].Lifted = "sus_before", time.Time{}
	for _, path := range []string{"/board", "/targets/headend-1", "/vendors/" + vendor} {
		s.holds(path, nil, shown[0])
	}
}

// A session that is neither closed nor spared reads as still open, whatever
// the mode.
func TestReportTellsWhatIsStillOpen(t *testing.T) {
	s := newStand(t)
	for i, mode := range gateway.Modes {
		s.Suspensions[0].Mode, s.Suspensions[0].Until = mode, time.Now()
		s.Suspensions[0].Report.Verdict = gateway.Fail
		s.Suspensions[0].Report.Nodes[0].Sessions[0].Closed = false
		s.Suspensions[0].Report.Nodes[0].LiveAfter = i + 1
		s.holds("/suspensions/"+s.Suspensions[0].ID, []string{"FAIL", "still open"})
	}
}
