package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// The ways in which the form asks for a window.
const (
	startNow     = "now"
	startPlanned = "planned"
	startExtend  = "extend" // when the grant that it extends ends
)

const maxHours = 24 * 31 // of a window that the form asks for

// askForm is the request form as it was filled in.
type askForm struct {
	Targets  []gateway.Target
	Chosen   *gateway.Target
	In       api.AskInput
	Service  *gateway.Person // the service account that it is for; nil: the asker
	Extends  *gateway.Grant
	Boxes    []ability
	Forwards string // one host:port a line, as typed
	Console  consoleAsk
	Network  networkAsk
	Start    string
	Hours    string
	More     string // hours of an extension
	From     string
	To       string
	Verdict  *api.Preview
	Wrong    *api.Problem
	Now      time.Time
}

// newRequest shows the form. Filled in by its address, it shows policy's
// verdict before anything is sent.
func (s *Server) newRequest(v *visit) error {
	d, err := s.askForm(v, v.URL.Query())
	if err != nil {
		return err
	}
	if d.In.Target != "" && v.URL.Query().Has("reason") && d.Wrong == nil {
		s.judge(v, d)
	}
	return s.show(v, "ask", "Ask for access", d)
}

// judge puts the verdict, or what is wrong with the input, into the form.
func (s *Server) judge(v *visit, d *askForm) {
	pre, err := s.rooms.Access.Preview(v.Context(), v.who.Person, d.In)
	if err != nil {
		d.wrong(s, v, err)
		return
	}
	d.Verdict = &pre
}

func (d *askForm) wrong(s *Server, v *visit, err error) {
	p := api.ProblemOf(err)
	api.LogFault(v.Request, s.rooms.Logger, p, err)
	d.Wrong = &p
}

// askForm reads what was typed. A form that was not filled in yet begins as
// the grant that it extends, or as the request that is asked for again.
func (s *Server) askForm(v *visit, q url.Values) (*askForm, error) {
	all, err := s.rooms.Directory.Targets(v.Context())
	if err != nil {
		return nil, err
	}
	d := &askForm{Targets: api.VisibleTargets(v.who, all), Boxes: boxes, Start: startNow, Hours: "2", More: "1", Now: s.now()}
	d.read(q)
	if err := s.begin(v, q, d); err != nil {
		return nil, err
	}
	if err := s.inWhoseName(v, d); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(d.Targets, func(t gateway.Target) bool { return t.Name == d.In.Target }); i >= 0 {
		d.Chosen = &d.Targets[i]
		if d.In.Account == "" && len(d.Chosen.Accounts) == 1 {
			d.In.Account = d.Chosen.Accounts[0].Name
		}
	}
	if err := d.ask(); err != nil && q.Has("reason") { // else nobody has filled it in yet
		d.wrong(s, v, err)
	}
	return d, nil
}

// inWhoseName lets engineers ask for themselves, and the owner of a service
// account for that, whatever his roles.
func (s *Server) inWhoseName(v *visit, d *askForm) (err error) {
	if d.In.Service == "" {
		return s.cfg.API.May(v.Context(), v.who, api.Ask, "")
	}
	if d.Service, err = s.answersFor(v, d.In.Service); err == nil {
		d.Targets = consolesOf(d.Service, d.Targets)
	}
	return err
}

// Kind is that of the target that was chosen: which abilities the form offers.
func (d *askForm) Kind() gateway.TargetKind {
	switch {
	case d.Service != nil:
		return gateway.KindHTTPS
	case d.Chosen != nil:
		return d.Chosen.Kind
	}
	return gateway.KindSSH
}

// ask puts together what is asked for.
func (d *askForm) ask() error {
	var others func() ([]string, error)
	switch d.Kind() {
	case gateway.KindHTTPS:
		others = d.console
	case gateway.KindNetwork:
		others = d.Network.abilities
	}
	if others != nil {
		list, err := others()
		if err != nil {
			return err
		}
		d.In.Abilities = list
		return d.window()
	}
	forwards, err := readForwards(d.Forwards)
	if err != nil {
		return err
	}
	d.In.Abilities = append(d.In.Abilities, forwards...)
	return d.window()
}

// console is what is asked of a console; of a service account's also how much.
func (d *askForm) console() ([]string, error) {
	list, err := d.Console.abilities()
	if err != nil || d.Service == nil {
		return list, err
	}
	limits, err := d.Console.limits()
	return append(list, limits...), err
}

func (d *askForm) read(q url.Values) {
	plain := func(key string) string { return strings.ReplaceAll(q.Get(key), "\r\n", "\n") }
	d.In = api.AskInput{Service: q.Get("service"), Target: q.Get("target"), Account: q.Get("account"), Abilities: slices.Clone(q["ability"]), Reason: plain("reason"), Ticket: q.Get("ticket")}
	d.Console, d.Network = readConsole(q), readNetworkAsk(q)
	d.Forwards, d.From, d.To = plain("forwards"), q.Get("from"), q.Get("to")
	if start := q.Get("start"); start == startPlanned || start == startExtend {
		d.Start = start
	}
	if h := q.Get("hours"); h != "" {
		d.Hours = h
	}
	if h := q.Get("more"); h != "" {
		d.More = h
	}
}

// begin finds what the request extends, and fills in a form that is fresh.
func (s *Server) begin(v *visit, q url.Values, d *askForm) error {
	fresh := !q.Has("reason")
	if id := q.Get("extends"); id != "" {
		g, r, err := s.extendable(v, id)
		if err != nil {
			return err
		}
		d.Extends = &g
		if fresh {
			d.inName(r)
			d.like(g.Target, g.Account, g.Abilities, r.Ticket)
			d.Start = startExtend
			if d.Network.add(q.Get("flow")) {
				d.Start = startNow // it is wanted in the window that runs
			}
		}
		return nil
	}
	if id := q.Get("like"); id != "" && fresh {
		card, err := s.rooms.Access.Request(v.Context(), id)
		if err != nil {
			return err
		}
		r := card.Request
		if !own(v, r) {
			return gateway.NotFound("request", id)
		}
		d.inName(r)
		d.like(r.Target, r.Account, r.Terms.Abilities, r.Ticket)
		d.In.Reason, d.Hours = r.Reason, strconv.FormatFloat(r.Terms.Window().Hours(), 'f', -1, 64)
		return nil
	}
	if fresh && len(d.In.Abilities) == 0 {
		d.In.Abilities = []string{"shell", "exec"}
	}
	return nil
}

// inName asks in the name in which an earlier request was asked.
func (d *askForm) inName(r gateway.Request) {
	if r.Asker != "" {
		d.In.Service = r.Person
	}
}

// like fills the form in as an earlier request was. Forwards stand in their
// own field, where single ones can be left out.
func (d *askForm) like(target, account string, a gateway.Abilities, ticket string) {
	list := a.List()
	d.Forwards = forwardsText(list)
	if len(a.Methods) > 0 {
		d.Console.like(a)
	}
	if len(a.Flows) > 0 {
		d.Network.like(a)
	}
	d.In.Target, d.In.Account, d.In.Ticket = target, account, ticket
	d.In.Abilities = slices.DeleteFunc(list, func(w string) bool { return strings.HasPrefix(w, forwardWord) })
}

// extendable is a grant of one's own that is not over, and what it was asked
// for by.
func (s *Server) extendable(v *visit, id string) (gateway.Grant, gateway.Request, error) {
	g, err := s.rooms.Access.Grant(v.Context(), id)
	if err != nil {
		return g, gateway.Request{}, err
	}
	card, err := s.rooms.Access.Request(v.Context(), g.Request)
	if err != nil {
		return g, card.Request, err
	}
	if !own(v, card.Request) {
		return g, card.Request, gateway.NotFound("grant", id)
	}
	if g.State == gateway.GrantClosed {
		no := gateway.Conflict("extend", "this grant is closed already, and only a window that is still open or planned can be extended")
		no.Next = "ask for a new window"
		return g, card.Request, no
	}
	return g, card.Request, nil
}

func (d *askForm) window() (err error) {
	switch d.Start {
	case startExtend:
		if d.Extends == nil {
			return gateway.Invalid("extends", "no grant is named that this window would extend")
		}
		length, err := readHours(d.More)
		d.In.From, d.In.To = d.Extends.To, d.Extends.To.Add(length)
		return err
	case startPlanned:
		if d.In.From, err = parseFormTime("from", d.From); err == nil {
			d.In.To, err = parseFormTime("to", d.To)
		}
		return err
	}
	d.In.Length, err = readHours(d.Hours)
	return err
}

func readHours(text string) (time.Duration, error) {
	h, err := strconv.ParseFloat(text, 64)
	if err != nil || !(h > 0 && h <= maxHours) {
		return 0, gateway.Invalid("hours", "a length of %s hours is not between 0 and %d", gateway.Quote(text), maxHours)
	}
	return time.Duration(h * float64(time.Hour)).Round(time.Minute), nil
}

func parseFormTime(what, text string) (time.Time, error) {
	for _, layout := range []string{formTime, formTime + ":05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return gateway.Instant(t), nil
		}
	}
	return time.Time{}, gateway.Invalid(what, "%s %s is not a time such as 2026-11-22T10:00, in UTC", what, gateway.Quote(text))
}

// sendRequest asks; a refusal comes back in the form, with nothing lost.
func (s *Server) sendRequest(v *visit) error {
	if err := v.ParseForm(); err != nil {
		return gateway.Invalid("form", "the form could not be read")
	}
	d, err := s.askForm(v, v.PostForm)
	if err != nil {
		return err
	}
	if d.Wrong == nil {
		r, err := s.rooms.Access.Ask(v.Context(), v.who.Person, d.In)
		if err == nil {
			return v.seeOther("/requests/" + url.PathEscape(r.ID) + "?done=asked")
		}
		d.wrong(s, v, err)
	}
	s.render(v, d.Wrong.Status, "ask", view{Title: "Ask for access", Data: d})
	return nil
}
