package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// Restore holds the shortest stays in the stages of a restoration, in whole
// seconds: 24h watch-only and 168h supervised by default, at most 90 days each.
type Restore struct {
	WatchOnly  time.Duration `yaml:"watch_only,omitempty"`
	Supervised time.Duration `yaml:"supervised,omitempty"`
}

func (r *Restore) fill() {
	if r.WatchOnly == 0 {
		r.WatchOnly = gateway.DefaultWatchOnly
	}
	if r.Supervised == 0 {
		r.Supervised = gateway.DefaultSupervised
	}
}

func (r Restore) stays() gateway.Stays {
	return gateway.Stays{WatchOnly: r.WatchOnly, Supervised: r.Supervised}
}

func (r Restore) check() error {
	for key, d := range map[string]time.Duration{"watch_only": r.WatchOnly, "supervised": r.Supervised} {
		if d < time.Second || d > gateway.MaxStay || d%time.Second != 0 {
			return fmt.Errorf("restore.%s: %s is not a time of whole seconds between 1s and %dh", key, d, gateway.MaxStay/time.Hour)
		}
	}
	return nil
}

// restoreGroup is `restore KIND NAME`, and what comes after it.
type restoreGroup struct {
	Sign    restoreCmd `cmd:"" default:"withargs" help:"Sign the restoration of what was suspended."`
	Advance advanceCmd `cmd:"" help:"Let what was restored go on to its next stage."`
	Stage   stageCmd   `cmd:"" help:"Show how far something has come back."`
}

// stagedArgs name what was restored; of one word it is a vendor.
type stagedArgs struct {
	What []string `arg:"" help:"A vendor, or a kind and a name: zone yard, person ana, all." placeholder:"[KIND] NAME"`
}

func (a stagedArgs) scope() (gateway.Scope, error) {
	switch {
	case len(a.What) == 2:
		if !slices.Contains(gateway.ScopeKinds, gateway.ScopeKind(a.What[0])) {
			return gateway.Scope{}, usagef("%s is not one of vendor, person, target, zone, protocol, all", a.What[0])
		}
		return scopeOf(a.What[0], a.What[1])
	case len(a.What) == 1 && a.What[0] == string(gateway.ScopeAll):
		return scopeOf(a.What[0], "")
	case len(a.What) == 1:
		return scopeOf(string(gateway.ScopeVendor), a.What[0])
	}
	return gateway.Scope{}, usagef("name one vendor, or a kind and a name")
}

type advanceCmd struct {
	stagedArgs
	Reason string `help:"Why, in a sentence for the record." required:""`
}

// Run signs the next stage with the machine's key.
func (c *advanceCmd) Run(r *run) error {
	scope, err := c.scope()
	if err != nil {
		return err
	}
	var x gateway.Ladder
	if err := r.act(string(statement.KindAdvance), api.AdvanceParams{Scope: scope, Reason: c.Reason}, &x); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, x)
	}
	return printLadder(r.out, x)
}

type stageCmd struct{ stagedArgs }

// Run prints the stages of what was restored.
func (c *stageCmd) Run(r *run) error {
	scope, err := c.scope()
	if err != nil {
		return err
	}
	last, err := r.lastOf(scope)
	switch {
	case err != nil:
		return err
	case last.ID == "":
		return hinted(fmt.Errorf("%s was never suspended", scope), "`portcullis suspensions` lists what was")
	}
	var x gateway.Ladder
	if err := r.get("/suspensions/"+url.PathEscape(last.ID)+"/ladder", &x); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, x)
	}
	return printLadder(r.out, x)
}

// printLadder prints the stages, one a line: when each began and by whom, and
// from when on the next may be signed for.
func printLadder(w io.Writer, x gateway.Ladder) error {
	if x.Stage == "" {
		_, err := fmt.Fprintf(w, "%s is closed. Its restoration takes two people of different roles.\n", x.Scope)
		return err
	}
	var b strings.Builder
	for _, stage := range gateway.Stages {
		mark, since := " ", ""
		i := slices.IndexFunc(x.Steps, func(s gateway.Step) bool { return s.Stage == stage })
		switch {
		case i >= 0:
			since = "since " + moment(x.Steps[i].Since) + ", by " + strings.Join(x.Steps[i].By, " and ")
		case stage == x.Next:
			since = "from " + moment(x.Earliest) + " at the earliest"
		}
		if stage == x.Stage {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %-11s %s\n              %s\n", mark, stage, since, stage.Lets())
	}
	_, err := fmt.Fprintf(w, "%s is %s.\n%s", x.Scope, x.Stage, b.String())
	return err
}
