package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// narrow are the filters that lists take.
type narrow struct {
	Vendor string `help:"Of this vendor only." placeholder:"V"`
	Person string `help:"Of this person only." placeholder:"P"`
	Target string `help:"At this target only." placeholder:"T"`
	Before string `help:"Page on below this identifier." placeholder:"ID"`
	Limit  int    `help:"At most so many (1 to 200)." default:"50"`
}

func (n narrow) query() url.Values {
	q := url.Values{"limit": {fmt.Sprint(n.Limit)}}
	for k, v := range map[string]string{"vendor": n.Vendor, "person": n.Person, "target": n.Target, "before": n.Before} {
		if v != "" {
			q.Set(k, v)
		}
	}
	return q
}

// list fetches one page and prints it: as it came with --json, else as a
// table with one row an item.
func list[T any](r *run, path string, q url.Values, empty string, header []string, row func(T) []string) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := c.do(r.ctx, http.MethodGet, api.Prefix+path+"?"+q.Encode(), nil, &raw); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, raw)
	}
	var page api.OfNodes[T]
	if err := json.Unmarshal(raw, &page); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	rows := make([][]string, len(page.Items))
	for i, item := range page.Items {
		rows[i] = row(item)
	}
	if err := table(r.out, empty, header, rows); err != nil {
		return err
	}
	if err := printSilent(r, page.Nodes); err != nil {
		return err
	}
	if page.Next != "" {
		_, err = fmt.Fprintf(r.errOut, "There is more: page on with --before %s\n", page.Next)
	}
	return err
}

// printSilent names the nodes that have not told their part.
func printSilent(r *run, nodes []api.NodeState) error {
	for _, n := range api.Silent(nodes) {
		if _, err := fmt.Fprintf(r.errOut, "Node %s does not answer: of what it holds there is only what the store knew last.\n", printable(n)); err != nil {
			return err
		}
	}
	return nil
}

type sessionsCmd struct {
	narrow
	Live bool `help:"Live sessions only."`
}

// Run lists sessions.
func (c *sessionsCmd) Run(r *run) error {
	q := c.query()
	if c.Live {
		q.Set("live", "true")
	}
	return list(r, "/sessions", q, "No sessions.", []string{"SESSION", "STATE", "VENDOR", "PERSON", "ACCOUNT@TARGET", "STARTED", "ENDED", "WHY", "OUT", "IN", "NODE"}, func(s gateway.Session) []string {
		return []string{s.ID, stateOf(s), s.Vendor, s.Person, s.Account + "@" + s.Target, moment(s.Started), moment(s.Ended), string(s.Reason), size(s.BytesOut), size(s.BytesIn), s.Node}
	})
}

type requestsCmd struct {
	narrow
	State []string `help:"In these states only: waiting, granted, refused, withdrawn, lapsed, cancelled."`
}

// Run lists requests.
func (c *requestsCmd) Run(r *run) error {
	q := c.query()
	q["state"] = c.State
	return list(r, "/requests", q, "No requests.", []string{"REQUEST", "STATE", "VENDOR", "PERSON", "ACCOUNT@TARGET", "ASKED", "WINDOW", "REASON"}, func(x gateway.Request) []string {
		window := x.Terms.Length.String()
		if !x.Terms.From.IsZero() {
			window = moment(x.Terms.From) + " to " + moment(x.Terms.To)
		}
		return []string{x.ID, string(x.State), x.Vendor, x.Person, x.Account + "@" + x.Target, moment(x.Asked), window, x.Reason}
	})
}

type grantsCmd struct {
	narrow
	State []string `help:"In these states only: planned, open, closed."`
}

// Run lists grants.
func (c *grantsCmd) Run(r *run) error {
	q := c.query()
	q["state"] = c.State
	return list(r, "/grants", q, "No grants.", []string{"GRANT", "STATE", "VENDOR", "PERSON", "ACCOUNT@TARGET", "ABILITIES", "FROM", "TO", "WHY"}, func(x gateway.Grant) []string {
		return []string{x.ID, string(x.State), x.Vendor, x.Person, x.Account + "@" + x.Target, strings.Join(x.Abilities.List(), ", "), moment(x.From), moment(x.To), string(x.Why)}
	})
}

type grantCmd struct {
	Revoke grantRevokeCmd `cmd:"" help:"Take a grant back; its sessions end."`
}

type grantRevokeCmd struct {
	ID   string `arg:"" help:"The grant."`
	Word string `help:"Why, in a sentence that the engineer reads." name:"reason" required:""`
}

// Run takes a grant back.
func (g *grantRevokeCmd) Run(r *run) error {
	var out gateway.Grant
	if err := r.post("/grants/"+url.PathEscape(g.ID)+"/revoke", map[string]string{"word": g.Word}, &out); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, out)
	}
	_, err := fmt.Fprintf(r.out, "Grant %s is closed (%s).\n", out.ID, out.Why)
	return err
}

type vendorsCmd struct{}

// Run lists vendors.
func (*vendorsCmd) Run(r *run) error {
	return list(r, "/vendors", nil, "No vendors. Admit one with `portcullis apply`.", []string{"VENDOR", "STATE", "STAGE", "NEXT FROM", "EPOCH", "NETWORKS", "TITLE"}, func(v api.Vendor) []string {
		var nets []string
		for _, n := range v.Networks {
			nets = append(nets, n.String())
		}
		if len(nets) == 0 {
			nets = []string{"any"}
		}
		stage, next := "", ""
		if v.State == gateway.Active {
			stage = string(gateway.StageNormal)
		}
		if x := v.Restoration; x != nil {
			stage, next = string(x.Stage), moment(x.Earliest)
		}
		return []string{v.Name, string(v.State), stage, next, fmt.Sprint(v.Epoch), strings.Join(nets, ","), v.Title}
	})
}

type peopleCmd struct{}

// Run lists people.
func (*peopleCmd) Run(r *run) error {
	return list(r, "/people", nil, "No people.", []string{"PERSON", "STATE", "OF", "ROLES", "TITLE", "MAIL"}, func(p gateway.Person) []string {
		of := p.Vendor
		if p.Staff() {
			of = "staff"
		}
		var roles []string
		for _, x := range p.Roles {
			roles = append(roles, string(x))
		}
		return []string{p.Name, string(p.State), of, strings.Join(roles, ","), p.Title, p.Email}
	})
}

type servicesCmd struct{}

// Run lists service accounts.
func (*servicesCmd) Run(r *run) error {
	return list(r, "/services", nil, "No service accounts.", []string{"SERVICE", "STATE", "OF", "OWNER", "KEY", "TITLE"}, func(p gateway.Person) []string {
		return []string{p.Name, string(p.State), p.Vendor, p.Service.Owner, p.Service.Pin(), p.Title}
	})
}

type targetsCmd struct{}

// Run lists targets.
func (*targetsCmd) Run(r *run) error {
	return list(r, "/targets", nil, "No targets. Define one with `portcullis apply`.", []string{"TARGET", "KIND", "ADDRESS", "ZONE", "IMPACT", "VENDORS", "ACCOUNTS", "TITLE"}, func(t gateway.Target) []string {
		var accounts []string
		for _, a := range t.Accounts {
			accounts = append(accounts, a.Name)
		}
		return []string{t.Name, string(t.Kind), t.Address, t.Zone, string(t.Impact), strings.Join(t.Vendors, ","), strings.Join(accounts, ","), t.Title}
	})
}

type sessionCmd struct {
	Show sessionShowCmd `cmd:"" help:"Show one session."`
	End  sessionEndCmd  `cmd:"" help:"End one session; prints when both its sockets are closed."`

	Freeze sessionFreezeCmd `cmd:"" help:"Hold what is typed in a live session; the link stays up, and its engineer is told."`
	Thaw   sessionThawCmd   `cmd:"" help:"Let what was held in a frozen session pass."`
}

type sessionShowCmd struct {
	ID string `arg:"" help:"The session."`
}

// Run shows one session.
func (s *sessionShowCmd) Run(r *run) error {
	var x api.Watched
	if err := r.get("/sessions/"+url.PathEscape(s.ID), &x); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, x)
	}
	rows := [][]string{
		{"session", x.ID}, {"state", string(x.State)}, {"person", x.Person}, {"vendor", x.Vendor}, {"target", x.Account + "@" + x.Target},
		{"from", x.Source}, {"client", x.Client}, {"node", nodeOf(x)}, {"grant", x.Grant}, {"request", x.Request}, {"touch", x.Touch.String()},
		{"frozen", frozen(x.Session)}, {"watched by", strings.Join(x.Watchers, ", ")},
		{"started", moment(x.Started)}, {"until", moment(x.Until)}, {"ended", moment(x.Ended)}, {"why", string(x.Reason)}, {"detail", x.Detail},
		{"ended by", x.EndedBy}, {"shown", size(x.BytesOut)}, {"typed", size(x.BytesIn)}, {"recording's seal", x.Seal.String()},
	}
	return table(r.out, "", []string{"FIELD", "VALUE"}, rows)
}

func nodeOf(x api.Watched) string {
	if x.Away {
		return x.Node + ", which does not answer: this is what the store knew last"
	}
	return x.Node
}

type sessionEndCmd struct {
	ID   string `arg:"" help:"The session."`
	Word string `help:"Why, in a sentence that the engineer reads." name:"reason" default:"ended from the gateway's own machine"`
}

// Run ends one session.
func (s *sessionEndCmd) Run(r *run) error {
	var x gateway.Session
	if err := r.post("/sessions/"+url.PathEscape(s.ID)+"/end", map[string]string{"detail": s.Word}, &x); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, x)
	}
	_, err := fmt.Fprintf(r.out, "Session %s of %s on %s is closed.\n", x.ID, x.Person, x.Target)
	return err
}

// get fetches one thing of the API.
func (r *run) get(path string, v any) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	return c.do(r.ctx, http.MethodGet, api.Prefix+path, nil, v)
}

// post does one thing by the API.
func (r *run) post(path string, body, v any) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	return c.do(r.ctx, http.MethodPost, api.Prefix+path, body, v)
}

// act has the machine sign one statement and do what it says.
func (r *run) act(kind string, params, result any) error {
	out := struct {
		Result any `json:"result"`
	}{result}
	return r.post("/acts", map[string]any{"kind": kind, "params": params}, &out)
}
