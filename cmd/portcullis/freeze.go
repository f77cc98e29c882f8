package main

import (
	"fmt"
	"net/url"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

type sessionFreezeCmd struct {
	ID     string `arg:"" help:"The session."`
	Reason string `help:"Why, in a sentence that the engineer reads." default:"frozen from the gateway's own machine"`
}

// Run freezes one session.
func (c *sessionFreezeCmd) Run(r *run) error {
	return r.turn(c.ID, "freeze", map[string]string{"reason": c.Reason}, "frozen: what is typed is held until it is thawed")
}

type sessionThawCmd struct {
	ID string `arg:"" help:"The session."`
}

// Run thaws one session.
func (c *sessionThawCmd) Run(r *run) error {
	return r.turn(c.ID, "thaw", map[string]string{}, "thawed: what was held has passed")
}

func (r *run) turn(id, how string, body map[string]string, done string) error {
	var x api.Watched
	if err := r.post("/sessions/"+url.PathEscape(id)+"/"+how, body, &x); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, x)
	}
	_, err := fmt.Fprintf(r.out, "Session %s of %s on %s is %s.\n", x.ID, x.Person, x.Target, done)
	return err
}

func frozen(x gateway.Session) string {
	if x.Frozen.IsZero() {
		return ""
	}
	return moment(x.Frozen) + " by " + x.FrozenBy
}

func stateOf(x gateway.Session) string {
	if x.Frozen.IsZero() || x.State == gateway.SessionEnded {
		return string(x.State)
	}
	return string(x.State) + ", frozen"
}
