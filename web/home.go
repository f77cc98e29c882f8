package web

import (
	"slices"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// Bounds of what a first page shows; the rest is a click away.
const (
	shownRecent = 8
	shownMost   = 50
)

// engineerHome is what I may open now, what I asked, what is planned.
type engineerHome struct {
	Open, Planned []gateway.Grant
	Asked         []waitingRequest
	Over          []gateway.Request
	Titles        map[string]string // of targets
	SSH           sshAddress
	MayAsk        bool
	NoSSHKey      bool
	Terminals     bool // shells open in the browser too
	Services      int  // service accounts that I answer for
}

// waitingRequest is a request with the seats of its quorum.
type waitingRequest struct {
	gateway.Request
	Seats   []seat
	Extends *gateway.Grant
}

func (s *Server) home(v *visit) error {
	if v.who.Person.Staff() {
		return s.staffHome(v)
	}
	d := engineerHome{SSH: s.ssh, Terminals: s.cfg.Terminals != nil, MayAsk: api.Holds(v.who.Person, api.Ask), Titles: map[string]string{}}
	ctx, me := v.Context(), v.who.Person.Name
	grants, err := s.rooms.Access.Grants(ctx, api.Filter{Person: me, States: []string{string(gateway.GrantOpen), string(gateway.GrantPlanned)}, Limit: shownMost})
	if err != nil {
		return err
	}
	for _, g := range grants {
		if g.State == gateway.GrantOpen {
			d.Open = append(d.Open, g)
		} else {
			d.Planned = append(d.Planned, g)
		}
	}
	slices.SortFunc(d.Open, func(a, b gateway.Grant) int { return a.To.Compare(b.To) })
	slices.SortFunc(d.Planned, func(a, b gateway.Grant) int { return a.From.Compare(b.From) })
	requests, err := s.rooms.Access.Requests(ctx, api.Filter{Person: me, Limit: shownMost})
	if err != nil {
		return err
	}
	for _, r := range requests {
		switch {
		case r.State == gateway.RequestWaiting:
			card, err := s.rooms.Access.Request(ctx, r.ID)
			if err != nil {
				return err
			}
			d.Asked = append(d.Asked, waitingRequest{r, seatsOf(card), card.Extends})
		case len(d.Over) < shownRecent:
			d.Over = append(d.Over, r)
		}
	}
	targets, err := s.rooms.Directory.Targets(ctx)
	if err != nil {
		return err
	}
	for _, t := range api.VisibleTargets(v.who, targets) {
		d.Titles[t.Name] = t.Title
	}
	people, err := s.rooms.Directory.People(ctx)
	if err != nil {
		return err
	}
	d.Services = len(api.VisibleServices(v.who, people))
	_, keys, err := s.id.Keys(ctx, me)
	if err != nil {
		return err
	}
	d.NoSSHKey = !slices.ContainsFunc(keys, func(k gateway.SSHKey) bool { return k.Removed.IsZero() })
	return s.show(v, "home", "Home", d)
}

// staffHome is what waits, what is live, what is shut.
type staffHome struct {
	Inbox     []waitingRequest
	Mine      int // of them that this person may still agree to
	Live      []gateway.Session
	Silent    []string // nodes that do not answer
	Shut      []gateway.Suspension
	Vendors   int
	Targets   int
	MayAgree  bool
	MaySee    bool
	MayShut   bool
	MayAdmit  bool
	NoVendors bool
}

func (s *Server) staffHome(v *visit) error {
	p, ctx := v.who.Person, v.Context()
	d := staffHome{MayAgree: api.Holds(p, api.Approve), MaySee: api.Holds(p, api.Review), MayShut: api.Holds(p, api.Suspending), MayAdmit: api.Holds(p, api.Administer)}
	var err error
	if d.Inbox, err = s.waiting(v); err != nil {
		return err
	}
	d.Mine = len(slices.DeleteFunc(slices.Clone(d.Inbox), func(r waitingRequest) bool { return gaveAlready(r, p.Name) }))
	var nodes []api.NodeState
	if d.Live, nodes, err = s.liveSessions(v); err != nil {
		return err
	}
	d.Silent = api.Silent(nodes)
	if d.Shut, err = s.inForce(v); err != nil {
		return err
	}
	vendors, err := s.rooms.Directory.Vendors(ctx)
	if err != nil {
		return err
	}
	targets, err := s.rooms.Directory.Targets(ctx)
	if err != nil {
		return err
	}
	d.Vendors, d.Targets = len(vendors), len(targets)
	return s.show(v, "staffhome", "Home", d)
}

// inForce lists the suspensions that have not been lifted.
func (s *Server) inForce(v *visit) ([]gateway.Suspension, error) {
	all, err := s.rooms.KillSwitch.Suspensions(v.Context())
	return slices.DeleteFunc(slices.Clone(all), func(x gateway.Suspension) bool { return !x.Lifted.IsZero() }), err
}

// liveSessions are those of all nodes, with their counts as far as the nodes
// answer.
func (s *Server) liveSessions(v *visit) (rows []gateway.Session, nodes []api.NodeState, err error) {
	rows, err = s.rooms.Sessions.Sessions(v.Context(), api.SessionFilter{Live: true, Limit: api.MaxPage})
	if err != nil {
		return nil, nil, err
	}
	live := s.cfg.API.Live(v.Context(), v.who)
	return api.WithCounts(rows, live.Items), live.Nodes, nil
}
