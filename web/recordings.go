package web

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/web/api"
)

func (s *Server) recordings(v *visit) error {
	q := v.URL.Query()
	f := api.SessionFilter{Vendor: q.Get("vendor"), Person: q.Get("person"), Target: q.Get("target"), Before: q.Get("before"), Limit: shownMost}
	vendors, err := s.rooms.Directory.Vendors(v.Context())
	if err != nil {
		return err
	}
	d := map[string]any{"Text": q.Get("text"), "Vendor": f.Vendor, "Person": f.Person, "Target": f.Target, "Vendors": vendors}
	if q.Get("text") != "" {
		if err := s.searchRecordings(v, q, d); err != nil {
			return err
		}
		return s.show(v, "recordings", "Recordings", d)
	}
	rows, err := s.rooms.Sessions.Sessions(v.Context(), f)
	if err != nil {
		return err
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

// searchRecordings puts what was found into the page's data.
func (s *Server) searchRecordings(v *visit, q url.Values, d map[string]any) error {
	hits, err := s.cfg.API.SearchRecordings(v.Context(), api.RecordingQuery{
		Text: q.Get("text"), Vendor: q.Get("vendor"), Person: q.Get("person"), Target: q.Get("target"), Session: q.Get("session"), Before: q.Get("before"),
	})
	if err != nil {
		return err
	}
	if d["Found"], err = s.groupHits(v, hits.Items); err != nil {
		return err
	}
	d["Waiting"], d["Cut"] = hits.Waiting, hits.Cut
	if hits.Next != "" {
		q.Set("before", hits.Next)
		d["MoreHits"] = "/recordings?" + q.Encode()
	}
	return nil
}

// found is one session's hits.
type found struct {
	gateway.Session
	Hits []api.Hit
}

// groupHits puts hits, which come session by session, under their sessions.
func (s *Server) groupHits(v *visit, hits []api.Hit) ([]found, error) {
	var all []found
	for _, h := range hits {
		if n := len(all); n == 0 || all[n-1].ID != h.Session {
			x, err := s.rooms.Sessions.Session(v.Context(), h.Session)
			if gateway.IsCode(err, gateway.CodeNotFound) {
				x = gateway.Session{ID: h.Session} // of a store that was lost: the recording is still there
			} else if err != nil {
				return nil, err
			}
			all = append(all, found{Session: x})
		}
		last := &all[len(all)-1]
		last.Hits = append(last.Hits, h)
	}
	return all, nil
}

// look is one time that somebody looked at a recording.
type look struct {
	Who, How string
	At       time.Time
}

const (
	maxLooks = 50          // events that are read, newest first
	sameLook = time.Minute // within it, the same person's look in the same way is shown once
)

// looks tells from the audit log who looked. A log that does not answer leaves
// the page as it is, but for that list.
func (s *Server) looks(v *visit, session string) []look {
	if !api.Holds(v.who.Person, api.ReadEvents) {
		return nil
	}
	var all []look
	for _, name := range []audit.Name{audit.RecordingWatched, audit.InputRead} {
		lines, err := s.rooms.Audit.Search(v.Context(), api.Query{Name: string(name), Session: session, Limit: maxLooks})
		if err != nil {
			s.rooms.Logger.Error("who watched is not known", "session", session, "error", err)
			return nil
		}
		for _, l := range lines {
			how := "opened it"
			switch {
			case name == audit.InputRead:
				how = "read what was typed"
			case l.Event.Detail["live"] != "":
				how = "watched it live"
			}
			all = append(all, look{l.Event.Actor, how, l.Event.At})
		}
	}
	slices.SortStableFunc(all, func(a, b look) int { return b.At.Compare(a.At) })
	return slices.CompactFunc(all, func(a, b look) bool { return a.Who == b.Who && a.How == b.How && a.At.Sub(b.At).Abs() < sameLook })
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
		"Looks": s.looks(v, x.ID),
		// What was so far is replayed, from a mark on, while the session goes on.
		"At": at, "Replay": live && at != "",
	}
	s.render(v, http.StatusOK, "recording", view{Title: "Recording of " + x.Person + " on " + x.Target, Wasm: true, Wide: true, Data: d})
	return nil
}
