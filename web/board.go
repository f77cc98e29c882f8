package web

import (
	"cmp"
	"net/url"
	"slices"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// tile is one vendor on the board.
type tile struct {
	gateway.Vendor
	Live     []gateway.Session
	Waiting  int // requests
	Open     int // grants
	BytesOut int64
}

func (s *Server) board(v *visit) error {
	ctx := v.Context()
	live, nodes, err := s.liveSessions(v)
	if err != nil {
		return err
	}
	vendors, err := s.rooms.Directory.Vendors(ctx)
	if err != nil {
		return err
	}
	grants, err := s.rooms.Access.Grants(ctx, api.Filter{States: []string{string(gateway.GrantOpen)}, Limit: api.MaxPage})
	if err != nil {
		return err
	}
	requests, err := s.rooms.Access.Requests(ctx, api.Filter{States: []string{string(gateway.RequestWaiting)}, Limit: api.MaxPage})
	if err != nil {
		return err
	}
	var tiles []tile
	for _, x := range vendors {
		if x.State == gateway.Removed {
			continue
		}
		t := tile{Vendor: x}
		for _, l := range live {
			if l.Vendor == x.Name {
				t.Live = append(t.Live, l)
				t.BytesOut += l.BytesOut
			}
		}
		for _, g := range grants {
			t.Open += one(g.Vendor == x.Name)
		}
		for _, r := range requests {
			t.Waiting += one(r.Vendor == x.Name)
		}
		tiles = append(tiles, t)
	}
	slices.SortStableFunc(tiles, func(a, b tile) int { return cmp.Compare(len(b.Live), len(a.Live)) })
	shut, err := s.shutOver(v, func(gateway.Scope) bool { return true })
	if err != nil {
		return err
	}
	s.render(v, 200, "board", view{Title: "Live board", Wide: true, Data: map[string]any{
		"Live": live, "Silent": api.Silent(nodes), "Many": len(nodes) > 1, "Tiles": tiles, "Wide": shut, "MayEnd": api.Holds(v.who.Person, api.EndSession), "MayShut": api.Holds(v.who.Person, api.Suspending), "MaySee": api.Holds(v.who.Person, api.Review),
	}})
	return nil
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (s *Server) session(v *visit) error {
	x, err := s.rooms.Sessions.Session(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	if err := api.Sees(v.who, x.Person, "session", v.PathValue("id")); err != nil {
		return err
	}
	x = api.WithCounts([]gateway.Session{x}, s.rooms.Sessions.Live())[0]
	over := x.State == gateway.SessionEnded
	var watchers []string
	if api.Holds(v.who.Person, api.SeeAll) {
		watchers = s.rooms.Sessions.Watchers(x.ID)
	}
	return s.show(v, "session", "Session on "+x.Target, map[string]any{
		"Watchers": watchers, "MayFreeze": api.Holds(v.who.Person, api.EndSession),
		"X": x, "Tunnel": s.tunnelOf(x), "Over": over, "Away": s.cfg.API.Away(x), "MayEnd": !over && (x.Person == v.who.Person.Name || api.Holds(v.who.Person, api.EndSession)), "MaySee": api.Holds(v.who.Person, api.Review),
	})
}

func (s *Server) endSession(v *visit) error {
	id := v.PathValue("id")
	if err := s.cfg.API.EndSession(v.Context(), v.who, id, v.PostFormValue("detail")); err != nil {
		return err
	}
	return v.seeOther("/sessions/" + url.PathEscape(id) + "?done=ended")
}

func (s *Server) freezeSession(v *visit) error {
	id := v.PathValue("id")
	if err := s.cfg.API.FreezeSession(v.Context(), v.who, id, v.PostFormValue("reason")); err != nil {
		return err
	}
	return v.backTo(id, "frozen")
}

func (s *Server) thawSession(v *visit) error {
	id := v.PathValue("id")
	if err := s.cfg.API.ThawSession(v.Context(), v.who, id); err != nil {
		return err
	}
	return v.backTo(id, "thawed")
}

// backTo leads to where the button stood: the board, or the session's page.
func (v *visit) backTo(id, done string) error {
	if v.PostFormValue("from") == "board" {
		return v.seeOther("/board?done=" + done)
	}
	return v.seeOther("/sessions/" + url.PathEscape(id) + "?done=" + done)
}
