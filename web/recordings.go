package web

import (
	"net/http"
	"slices"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

func (s *Server) recordings(v *visit) error {
	q := v.URL.Query()
	f := api.SessionFilter{Vendor: q.Get("vendor"), Person: q.Get("person"), Target: q.Get("target"), Before: q.Get("before"), Limit: shownMost}
	text := q.Get("text")
	if text != "" {
		f.Limit = api.MaxPage
	}
	rows, err := s.rooms.Sessions.Sessions(v.Context(), f)
	if err != nil {
		return err
	}
	vendors, err := s.rooms.Directory.Vendors(v.Context())
	if err != nil {
		return err
	}
	d := map[string]any{"Text": text, "Vendor": f.Vendor, "Person": f.Person, "Target": f.Target, "Vendors": vendors}
	if text != "" {
		hits, err := s.cfg.API.SearchRecordings(v.Context(), text, rows)
		if err != nil {
			return err
		}
		d["Found"], d["Searched"] = groupHits(hits, rows), len(rows)
		return s.show(v, "recordings", "Recordings", d)
	}
	var all []api.Recorded
	for _, x := range rows {
		all = append(all, s.cfg.API.Recorded(v.Context(), x))
	}
	d["Rows"] = all
	if len(rows) == shownMost {
		q.Set("before", rows[len(rows)-1].ID)
		d["More"] = "/recordings?" + q.Encode()
	}
	return s.show(v, "recordings", "Recordings", d)
}

// found is one session's hits.
type found struct {
	gateway.Session
	Hits []api.Hit
}

func groupHits(hits []api.Hit, rows []gateway.Session) []found {
	var all []found
	for _, h := range hits {
		i := slices.IndexFunc(all, func(f found) bool { return f.ID == h.Session })
		if i < 0 {
			j := slices.IndexFunc(rows, func(x gateway.Session) bool { return x.ID == h.Session })
			if j < 0 {
				continue
			}
			all, i = append(all, found{Session: rows[j]}), len(all)
		}
		all[i].Hits = append(all[i].Hits, h)
	}
	return all
}

func (s *Server) recording(v *visit) error {
	x, err := s.rooms.Sessions.Session(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	x = api.WithCounts([]gateway.Session{x}, s.rooms.Sessions.Live())[0]
	card, err := s.rooms.Access.Request(v.Context(), x.Request)
	if err != nil {
		return err
	}
	live, at := x.State != gateway.SessionEnded, v.URL.Query().Get("at")
	d := map[string]any{
		"X": x, "Rec": s.cfg.API.Recorded(v.Context(), x).Recording, "Card": card, "Live": live,
		"MayType": api.Holds(v.who.Person, api.ReadInput), "MayVerify": api.Holds(v.who.Person, api.VerifyStore), "MayEnd": live && api.Holds(v.who.Person, api.EndSession),
		// What was so far is replayed, from a mark on, while the session goes on.
		"At": at, "Replay": live && at != "",
	}
	s.render(v, http.StatusOK, "recording", view{Title: "Recording of " + x.Person + " on " + x.Target, Wasm: true, Wide: true, Data: d})
	return nil
}
