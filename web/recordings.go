package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/web/api"
)

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
			case l.Event.Detail["part"] == "file":
				how = "took a file out of it"
			case l.Event.Detail["part"] == "packets":
				how = "took the packets"
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
	if d["Rec"] != (*api.RecordingInfo)(nil) || live {
		switch x.Protocol {
		case gateway.KindHTTPS:
			return s.timeline(v, x, d)
		case gateway.KindNetwork:
			return s.flows(v, x, d)
		}
	}
	d["Download"] = offered{Path: "asciicast?download", Says: "Download asciicast"}
	d["Typed"] = offered{Head: "What was typed", Warns: "May hold passwords.", Path: "input?download", Says: "Download what was typed"}
	s.render(v, http.StatusOK, "recording", view{Title: "Recording of " + x.Person + " on " + x.Target, Wasm: true, Wide: true, Data: d})
	return nil
}
