package web_test

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

var cobalt = gateway.Scope{Kind: gateway.ScopeVendor, Name: "cobalt"}

// comeBack makes cobalt a vendor that was restored and is in the stage since
// the given time ago.
func comeBack(stage gateway.Stage, ago time.Duration) func(*webtest.World, *web.Config, *api.Config) {
	return func(w *webtest.World, _ *web.Config, _ *api.Config) {
		for i := range w.Vendors {
			if w.Vendors[i].Name == cobalt.Name {
				w.Vendors[i].State, w.Vendors[i].Epoch = gateway.Active, 3
			}
		}
		stays := gateway.Stays{WatchOnly: gateway.DefaultWatchOnly, Supervised: gateway.DefaultSupervised}
		began := noon.Add(-ago)
		w.Suspensions[0].Lifted = began
		x := gateway.Ladder{Scope: cobalt, Suspension: w.Suspensions[0].ID, Epoch: 3, Stage: stage, Stays: stays, Since: began, Next: stage.Next(), Began: gateway.DigestOf([]byte("restored")),
			Steps: []gateway.Step{{Stage: gateway.StageWatchOnly, Since: began, By: []string{"omar", "olga"}, Reason: "The forensic report is clean."}}}
		if stage == gateway.StageSupervised {
			x.Steps[0].Since = began.Add(-gateway.DefaultWatchOnly)
			x.Steps = append(x.Steps, gateway.Step{Stage: stage, Since: began, By: []string{"olga"}, Reason: "Nothing was seen."})
		}
		x.Earliest = began.Add(stays.In(stage))
		w.Ladders = map[gateway.Scope]gateway.Ladder{cobalt: x}
	}
}

// The stage, what it lets, and when the next may be signed for stand on the
// vendor's page, the list and the suspension's page; the form for the next
// step is there when its time has come, and for those alone who may sign it.
func TestTheStagesAreShown(t *testing.T) {
	for name, c := range map[string]struct {
		stage  gateway.Stage
		ago    time.Duration
		person string
		form   bool
	}{
		"watch-only, too early":           {gateway.StageWatchOnly, time.Hour, "omar", false},
		"watch-only, in time":             {gateway.StageWatchOnly, 25 * time.Hour, "omar", true},
		"supervised, in time":             {gateway.StageSupervised, 8 * 24 * time.Hour, "olga", true},
		"watch-only, by an administrator": {gateway.StageWatchOnly, 25 * time.Hour, "root", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, comeBack(c.stage, c.ago))
			for _, path := range []string{"/vendors", "/vendors/cobalt", "/suspensions/" + s.Suspensions[0].ID} {
				body, err := io.ReadAll(s.as(c.person, "GET", path, "").Body)
				if err != nil {
					t.Fatal(err)
				}
				page := string(body)
				if !strings.Contains(page, map[gateway.Stage]string{"watch-only": "watch only", "supervised": "supervised"}[c.stage]) {
					t.Errorf("%s does not name the stage", path)
				}
				if path != "/vendors" && !regexp.MustCompile("(?s)No session opens.*passes only while somebody.*as for everybody else").MatchString(page) {
					t.Errorf("%s does not say what each stage lets", path)
				}
				if got := regexp.MustCompile(`data-act="restore.advance"`).MatchString(page); got != (c.form && path != "/vendors" && path != "/vendors/cobalt") {
					t.Errorf("%s: the form of the next step: %t", path, got)
				}
			}
		})
	}
}

// Whoever signs a restoration sees what it goes through first.
func TestTheStagesAreSeenBeforeSigning(t *testing.T) {
	s := newStand(t)
	s.holds("/suspensions/"+s.Suspensions[0].ID, []string{"Two people of different roles", "It lasts at least 1 day", "It lasts at least 7 days", "No session opens"}, `data-act="restore.advance"`)
}

// What is wider than a vendor comes back by the same page: its plan says what
// becomes of windows of before, and its stages stand above the report.
func TestTheStagesOfAWideScope(t *testing.T) {
	for _, scope := range []gateway.Scope{
		{Kind: gateway.ScopeTarget, Name: "headend-1"}, {Kind: gateway.ScopeZone, Name: "ami"}, {Kind: gateway.ScopeProtocol, Name: "ssh"}, {Kind: gateway.ScopeAll, Name: gateway.AllVendors},
	} {
		t.Run(string(scope.Kind), func(t *testing.T) {
			s := newStand(t)
			form := []string{`name="scope.kind" value="` + string(scope.Kind) + `"`, `name="scope.name" value="` + scope.Name + `"`}
			s.Suspensions = []gateway.Suspension{{ID: "sus_wide", Scope: scope, Epoch: 2, By: "omar", Ordered: noon, Reason: "breach"}}
			s.holds("/suspensions/sus_wide", append(form, `data-act="restore"`, "whoever needs it asks anew, and what still runs from before is ended", "It lasts at least 7 days"), `data-act="restore.advance"`, "enrols new keys")

			since := noon.Add(-25 * time.Hour)
			s.Suspensions[0].Lifted = since
			s.Ladders = map[gateway.Scope]gateway.Ladder{scope: {
				Scope: scope, Suspension: "sus_wide", Epoch: 3, Stage: gateway.StageWatchOnly, Next: gateway.StageSupervised, Since: since, Earliest: since.Add(gateway.DefaultWatchOnly),
				Steps: []gateway.Step{{Stage: gateway.StageWatchOnly, Since: since, By: []string{"omar", "olga"}, Reason: "clean"}},
			}}
			s.holds("/suspensions/sus_wide", append(form, `data-act="restore.advance"`, "signed by omar", "Let it go on to supervised"), `data-act="restore"`)
			if page := text(t, s.as("omar", "GET", "/suspensions/sus_wide", "")); strings.Index(page, `id="back"`) > strings.Index(page, `id="report"`) {
				t.Error("the stages stand below the report")
			}
		})
	}
}
