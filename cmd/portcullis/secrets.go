package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/secrets"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/web/api"
)

// openSecrets joins the room that tells who had the targets' credentials.
func (r *rooms) openSecrets() (*secrets.Service, error) {
	rows := r.store.Session()
	return secrets.New(secrets.Config{
		Targets: r.directory, Suspensions: shownGate{r.killswitch, r}, Log: r.audit, Now: time.Now,
		Sessions: func(ctx context.Context, f secrets.SessionFilter) ([]gateway.Session, error) {
			return rows.Sessions(ctx, session.Filter{Vendor: f.Vendor, Person: f.Person, Target: f.Target, Before: f.Before, Limit: f.Limit})
		},
		Files: func(target string, a gateway.Account) (secrets.Rest, error) {
			rest, err := r.keys.Rest(target, a)
			return secrets.Rest(rest), err
		},
	})
}

type secretsCmd struct {
	List    secretsListCmd    `cmd:"" default:"withargs" help:"List the credentials that targets are reached with (the default)."`
	Exposed secretsExposedCmd `cmd:"" help:"List what sessions could have seen, and what of it is still to be rotated."`
	Rotated secretsRotatedCmd `cmd:"" help:"Say that a credential was rotated; refused unless its file bears that out."`
}

// sinceArg is how far back sessions are looked at.
type sinceArg struct {
	Since string `help:"How far back: 45d, 12h, a day such as 2026-11-22, or a time (RFC 3339)." placeholder:"D"`
}

func (s sinceArg) query(q url.Values, now time.Time) (url.Values, error) {
	if s.Since == "" {
		return q, nil
	}
	at, err := readSince(s.Since, now)
	if err != nil {
		return nil, err
	}
	q.Set("since", at.UTC().Format(time.RFC3339))
	return q, nil
}

// readSince reads a time, or how long before now one is.
func readSince(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("since %q is none of 45d, 12h, 2026-11-22 and 2026-11-22T10:00:00Z", text)
}

type secretsListCmd struct {
	Vendor string `help:"Only this vendor's sessions, and what it may reach or has had." placeholder:"V"`
	sinceArg
}

// Run lists secrets.
func (c *secretsListCmd) Run(r *run) error {
	q := url.Values{}
	if c.Vendor != "" {
		q.Set("vendor", c.Vendor)
	}
	q, err := c.query(q, time.Now())
	if err != nil {
		return err
	}
	var list secrets.List
	if err := r.get("/secrets?"+q.Encode(), &list); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, list)
	}
	rows := make([][]string, len(list.Items))
	for i, x := range list.Items {
		rows[i] = []string{x.Target, x.Account, string(x.Proof), x.Owner, ageOf(x), moment(x.LastUsed), exposures(x), string(x.Work)}
	}
	if err := table(r.out, "No target has an account whose credential the gateway brings.", []string{"TARGET", "ACCOUNT", "KIND", "OWNER", "AGE", "LAST USED", "EXPOSURES SINCE " + moment(list.Since), "ROTATE"}, rows); err != nil {
		return err
	}
	return printCut(r, list)
}

func printCut(r *run, list secrets.List) error {
	if list.Cut.IsZero() {
		return nil
	}
	_, err := fmt.Fprintf(r.errOut, "There are too many sessions: those that began before %s were not looked at. Narrow it by --vendor.\n", moment(list.Cut))
	return err
}

// ageOf is the age of a secret's file, in days once it has one.
func ageOf(x secrets.Secret) string {
	switch {
	case x.Fault != "":
		return "not known"
	case x.Changed.IsZero():
		return ""
	case x.Age < 24*time.Hour:
		return x.Age.Truncate(time.Minute).String()
	}
	return fmt.Sprintf("%dd", x.Age/(24*time.Hour))
}

func exposures(x secrets.Secret) string {
	if x.Sessions == 0 {
		return "none"
	}
	by := make([]string, len(x.Vendors))
	for i, u := range x.Vendors {
		by[i] = fmt.Sprintf("%s %d", u.Vendor, u.Sessions)
	}
	return strings.Join(by, ", ")
}

type secretsExposedCmd struct {
	Vendor     string `help:"What this vendor's sessions had." xor:"whose" placeholder:"V"`
	Suspension string `help:"What the sessions under this suspension had, by default from 45 days before its order on." xor:"whose" aliases:"incident" placeholder:"ID"`
	sinceArg
}

// Run prints a work-list: what is to be rotated, and why.
func (c *secretsExposedCmd) Run(r *run) error {
	q := url.Values{}
	for k, v := range map[string]string{"vendor": c.Vendor, "suspension": c.Suspension} {
		if v != "" {
			q.Set(k, v)
		}
	}
	q, err := c.query(q, time.Now())
	if err != nil {
		return err
	}
	var list secrets.WorkList
	if err := r.get("/secrets/exposed?"+q.Encode(), &list); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, list)
	}
	return printWorkList(r, list)
}

func printWorkList(r *run, list secrets.WorkList) error {
	whose := "of all that was ordered closed"
	if list.Scope != nil {
		whose = "of " + list.Scope.String()
	}
	fmt.Fprintf(r.out, "Sessions %s since %s: %d to rotate, %d done.\n", whose, moment(list.Since), list.Open, list.Done)
	for _, x := range list.Items {
		fmt.Fprintf(r.out, "\n%s  %s  %s\n", strings.ToUpper(string(x.Work)), printable(x.Target+" "+x.Account), printable(facts(x)))
		if x.Next != "" {
			fmt.Fprintf(r.out, "  %s\n", printable(x.Next))
		}
		for _, e := range x.Exposures {
			fmt.Fprintf(r.out, "  %s\n", printable(fmt.Sprintf("%s  %s of %s  %s to %s", e.Session, e.Person, e.Vendor, moment(e.From), orNow(e.To))))
		}
		if more := x.Sessions - len(x.Exposures); more > 0 {
			fmt.Fprintf(r.out, "  and %d sessions before\n", more)
		}
	}
	return printCut(r, list.List)
}

// facts are what is known of a secret, in one line.
func facts(x secrets.Secret) string {
	var f []string
	for _, w := range []string{string(x.Proof), x.Fault} {
		if w != "" {
			f = append(f, w)
		}
	}
	if x.Owner != "" {
		f = append(f, "owner "+x.Owner)
	}
	if a := ageOf(x); a != "" && x.Fault == "" {
		f = append(f, "file "+a+" old")
	}
	if x.Rotated != nil {
		f = append(f, fmt.Sprintf("last rotated %s, says %s", moment(x.Rotated.Changed), x.Rotated.By))
	}
	return strings.Join(f, ", ")
}

func orNow(t time.Time) string {
	if t.IsZero() {
		return "now"
	}
	return moment(t)
}

type secretsRotatedCmd struct {
	Target  string `arg:"" help:"The target."`
	Account string `arg:"" help:"Its account."`
	Vendor  string `help:"Hold the file against this vendor's sessions alone: another goes on using the new secret." placeholder:"V"`
}

// Run says that a secret was rotated.
func (c *secretsRotatedCmd) Run(r *run) error {
	var x secrets.Secret
	path := "/secrets/" + url.PathEscape(c.Target) + "/" + url.PathEscape(c.Account) + "/rotated"
	if err := r.post(path, api.RotatedParams{Vendor: c.Vendor}, &x); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, x)
	}
	_, err := fmt.Fprintf(r.out, "Rotated: the file of account %s at %s was written at %s, and none of the sessions that were looked at had what it holds.\n", printable(x.Account), printable(x.Target), moment(x.Changed))
	return err
}
