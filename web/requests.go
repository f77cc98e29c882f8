package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// seat is one place in a request's quorum.
type seat struct {
	Person string // empty: nobody sits there yet
	At     time.Time
	Roles  []gateway.Role
	Narrow bool
}

// seatsOf draws the quorum as seats, the empty ones with who may sit there.
func seatsOf(c api.Card) []seat {
	var seats []seat
	for _, a := range c.Approvals {
		seats = append(seats, seat{Person: a.Person, At: a.At, Narrow: !sameTerms(a.Terms, c.Request.Terms)})
	}
	for len(seats) < c.Request.Needs {
		seats = append(seats, seat{Roles: c.Request.Roles})
	}
	return seats
}

func sameTerms(a, b gateway.Terms) bool {
	return a.From.Equal(b.From) && a.To.Equal(b.To) && a.Length == b.Length && a.Abilities.Within(b.Abilities) && b.Abilities.Within(a.Abilities)
}

func gaveAlready(r waitingRequest, person string) bool {
	return slices.ContainsFunc(r.Seats, func(x seat) bool { return x.Person == person })
}

// waiting lists the requests that wait, each with its seats.
func (s *Server) waiting(v *visit) ([]waitingRequest, error) {
	rows, err := s.rooms.Access.Requests(v.Context(), api.Filter{States: []string{string(gateway.RequestWaiting)}, Limit: shownMost})
	if err != nil {
		return nil, err
	}
	all := make([]waitingRequest, len(rows))
	for i, r := range rows {
		card, err := s.rooms.Access.Request(v.Context(), r.ID)
		if err != nil {
			return nil, err
		}
		all[i] = waitingRequest{r, seatsOf(card), card.Extends}
	}
	slices.SortStableFunc(all, func(a, b waitingRequest) int { return a.Lapse.Compare(b.Lapse) })
	return all, nil
}

func (s *Server) inbox(v *visit) error {
	all, err := s.waiting(v)
	if err != nil {
		return err
	}
	var mine, given []waitingRequest
	for _, r := range all {
		if gaveAlready(r, v.who.Person.Name) {
			given = append(given, r)
		} else {
			mine = append(mine, r)
		}
	}
	return s.show(v, "inbox", "Inbox", map[string]any{"Mine": mine, "Given": given})
}

func (s *Server) requests(v *visit) error {
	q := v.URL.Query()
	f := api.Filter{Vendor: q.Get("vendor"), Person: q.Get("person"), Target: q.Get("target"), Before: q.Get("before"), Limit: shownMost}
	if st := q.Get("state"); st != "" {
		f.States = []string{st}
	}
	if !api.Holds(v.who.Person, api.SeeAll) {
		f.Vendor, f.Person = v.who.Person.Vendor, v.who.Person.Name
	}
	rows, err := s.rooms.Access.Requests(v.Context(), f)
	if err != nil {
		return err
	}
	more := ""
	if len(rows) == shownMost {
		q.Set("before", rows[len(rows)-1].ID)
		more = "/requests?" + q.Encode()
	}
	return s.show(v, "requests", "Requests", map[string]any{"Rows": rows, "State": q.Get("state"), "More": more, "States": []gateway.RequestState{
		gateway.RequestWaiting, gateway.RequestGranted, gateway.RequestRefused, gateway.RequestWithdrawn, gateway.RequestLapsed, gateway.RequestCancelled,
	}})
}

// requestCard is all that an approver, or the asker, needs to see.
type requestCard struct {
	api.Card
	Seats    []seat
	Target   gateway.Target
	Person   gateway.Person
	Vendor   gateway.Vendor
	Keys     []gateway.Authenticator
	Before   []gateway.Session // of the same vendor, newest first
	Unusual  []string
	Sessions []gateway.Session // under the grant
	Mine     bool
	MayAsk   bool
	MayAgree bool
	Gave     bool
	MayBack  bool // take the grant back
	Play     bool
	SSH      sshAddress
	Address  string // at which a service account calls the target
}

func (s *Server) request(v *visit) error {
	ctx := v.Context()
	card, err := s.rooms.Access.Request(ctx, v.PathValue("id"))
	if err != nil {
		return err
	}
	r := card.Request
	if !own(v, r) {
		if err := api.Sees(v.who, r.Person, "request", v.PathValue("id")); err != nil {
			return err
		}
	}
	d := requestCard{Card: card, Seats: seatsOf(card), Mine: own(v, r), Address: s.serviceAddress(r.Target), SSH: s.ssh, Play: api.Holds(v.who.Person, api.Review)}
	d.MayAsk = r.Asker != "" || api.Holds(v.who.Person, api.Ask)
	d.Gave = gaveAlready(waitingRequest{Request: r, Seats: d.Seats}, v.who.Person.Name)
	d.MayAgree = api.Holds(v.who.Person, api.Approve) && s.acts(statement.KindApprove) && !d.Gave && r.State == gateway.RequestWaiting
	d.MayBack = api.Holds(v.who.Person, api.Revoke) && card.Grant != nil && card.Grant.State != gateway.GrantClosed
	if d.Target, err = s.rooms.Directory.Target(ctx, r.Target); err != nil {
		return err
	}
	if shown := api.VisibleTargets(v.who, []gateway.Target{d.Target}); len(shown) == 1 {
		d.Target = shown[0]
	} else {
		d.Target = gateway.Target{Name: r.Target, Title: r.Target}
	}
	if card.Grant != nil {
		if d.Sessions, err = s.rooms.Sessions.Sessions(ctx, api.SessionFilter{Grant: card.Grant.ID, Limit: shownMost}); err != nil {
			return err
		}
	}
	if api.Holds(v.who.Person, api.SeeAll) {
		if err := s.background(v, &d); err != nil {
			return err
		}
	}
	return s.show(v, "request", "Request for "+r.Target, d)
}

// background adds what the staff sees before it agrees.
func (s *Server) background(v *visit, d *requestCard) error {
	ctx, r := v.Context(), d.Request
	var err error
	if d.Person, err = s.rooms.Directory.Person(ctx, r.Person); err != nil {
		return err
	}
	if d.Vendor, err = s.rooms.Directory.Vendor(ctx, r.Vendor); err != nil {
		return err
	}
	keys, _, err := s.id.Keys(ctx, r.Person)
	if err != nil {
		return err
	}
	d.Keys = slices.DeleteFunc(slices.Clone(keys), func(k gateway.Authenticator) bool { return !k.Removed.IsZero() })
	if d.Before, err = s.rooms.Sessions.Sessions(ctx, api.SessionFilter{Vendor: r.Vendor, Limit: 5}); err != nil {
		return err
	}
	past, err := s.rooms.Access.Grants(ctx, api.Filter{Person: r.Person, Limit: api.MaxPage})
	if err != nil {
		return err
	}
	d.Unusual = unusual(r, d.Target, past)
	return nil
}

// newAbilities are those that none of the earlier grants let.
func newAbilities(a gateway.Abilities, past []gateway.Grant) []string {
	return slices.DeleteFunc(a.List(), func(w string) bool {
		return slices.ContainsFunc(past, func(g gateway.Grant) bool { return slices.Contains(g.Abilities.List(), w) })
	})
}

// unusual names what differs from what this person was granted before. It
// judges nothing: it is what an approver would look up.
func unusual(r gateway.Request, t gateway.Target, past []gateway.Grant) []string {
	past = slices.DeleteFunc(slices.Clone(past), func(g gateway.Grant) bool { return g.Request == r.ID })
	if len(past) == 0 {
		return []string{fmt.Sprintf("This would be the first grant that %s ever had.", r.Person)}
	}
	var says []string
	var longest time.Duration
	here, account := false, false
	for _, g := range past {
		here = here || g.Target == r.Target
		account = account || g.Target == r.Target && g.Account == r.Account
		longest = max(longest, g.To.Sub(g.From))
	}
	switch {
	case !here:
		says = append(says, fmt.Sprintf("%s has never been on %s before.", r.Person, r.Target))
	case !account:
		says = append(says, fmt.Sprintf("%s has never used the account %s on %s before.", r.Person, r.Account, r.Target))
	}
	if first := newAbilities(r.Terms.Abilities, past); len(first) > 0 {
		says = append(says, fmt.Sprintf("%s was never granted %s before.", r.Person, strings.Join(first, ", ")))
	}
	if w := r.Terms.Window(); w > longest {
		says = append(says, fmt.Sprintf("The window of %s is longer than any before; the longest was %s.", span(w), span(longest)))
	}
	if !r.TargetStatement.Equal(t.Statement) && !t.Statement.IsZero() {
		says = append(says, "The target's definition was changed since this was asked.")
	}
	return says
}

func (s *Server) withdraw(v *visit) error {
	if _, err := s.rooms.Access.Withdraw(v.Context(), v.who.Person, v.PathValue("id")); err != nil {
		return err
	}
	return v.seeOther("/requests/" + url.PathEscape(v.PathValue("id")) + "?done=withdrawn")
}

func (s *Server) refuse(v *visit) error {
	word := strings.ReplaceAll(v.PostFormValue("word"), "\r\n", "\n")
	if err := gateway.CheckNeeded("word", word, gateway.MaxReason, true); err != nil {
		return err
	}
	if _, err := s.rooms.Access.Refuse(v.Context(), v.who.Person, v.PathValue("id"), word); err != nil {
		return err
	}
	return v.seeOther("/requests/" + url.PathEscape(v.PathValue("id")) + "?done=refused")
}

func (s *Server) revoke(v *visit) error {
	word := strings.ReplaceAll(v.PostFormValue("word"), "\r\n", "\n")
	if err := gateway.CheckNeeded("word", word, gateway.MaxReason, true); err != nil {
		return err
	}
	g, err := s.rooms.Access.Revoke(v.Context(), v.who.Person, v.PathValue("id"), word)
	if err != nil {
		return err
	}
	return v.seeOther("/requests/" + url.PathEscape(g.Request) + "?done=revoked")
}
