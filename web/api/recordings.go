package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
)

// Bounds of looking at recordings.
const (
	maxSearchText = 200              // characters
	maxWatch      = time.Hour        // of one live watch; the browser comes back by itself
	watchWrite    = time.Minute      // for one frame to be taken by the watcher
	leftWrite     = 10 * time.Second // for the event that he has left
)

// Recorded is a session with what is known of its recording.
type Recorded struct {
	Session   gateway.Session `json:"session"`
	Recording *RecordingInfo  `json:"recording,omitempty"` // nil: not found; never silently missing
	Away      bool            `json:"away,omitempty"`      // the node that holds it does not answer
}

func (s *Server) recordings(c call) (any, error) {
	if err := s.may(c, Review, "recordings"); err != nil {
		return nil, err
	}
	f, err := filterOf(c)
	if err != nil {
		return nil, err
	}
	if c.URL.Query().Get("text") != "" {
		return s.searchRecordings(c, f)
	}
	return s.RecordingsOfAll(c.Context(), SessionFilter{Vendor: f.Vendor, Person: f.Person, Target: f.Target, Before: f.Before, Limit: f.Limit})
}

// RecordingsOfAll lists sessions with what the nodes that hold their
// recordings know of them.
func (s *Server) RecordingsOfAll(ctx context.Context, f SessionFilter) (OfNodes[Recorded], error) {
	rows, err := s.cfg.Sessions.Sessions(ctx, f)
	if err != nil {
		return OfNodes[Recorded]{}, err
	}
	all := make([]Recorded, len(rows))
	elsewhere := false
	for i, x := range rows {
		all[i] = s.Recorded(ctx, x)
		elsewhere = elsewhere || all[i].Recording == nil && x.Node != s.cfg.Node
	}
	var nodes []NodeState
	if elsewhere {
		nodes = s.recordingsElsewhere(ctx, f, all)
	}
	return OfNodes[Recorded]{page(all, f.Limit, func(r Recorded) string { return r.Session.ID }), nodes}, nil
}

// recordingsElsewhere adds to rows what other nodes know of their recordings.
func (s *Server) recordingsElsewhere(ctx context.Context, f SessionFilter, rows []Recorded) []NodeState {
	v := url.Values{"limit": {strconv.Itoa(f.Limit)}}
	for key, value := range map[string]string{"vendor": f.Vendor, "person": f.Person, "target": f.Target, "before": f.Before} {
		if value != "" {
			v.Set(key, value)
		}
	}
	nodes := ask(ctx, s, listTime, samePath("/recordings", v), func(node string, answer Page[Recorded]) {
		for _, theirs := range answer.Items {
			i := slices.IndexFunc(rows, func(r Recorded) bool { return r.Session.ID == theirs.Session.ID })
			if i >= 0 && rows[i].Session.Node == node && rows[i].Recording == nil {
				rows[i].Recording = theirs.Recording
			}
		}
	})
	silent := Silent(nodes)
	for i, r := range rows {
		rows[i].Away = r.Recording == nil && slices.Contains(silent, r.Session.Node)
	}
	return nodes
}

// Recorded joins a session with its recording.
func (s *Server) Recorded(ctx context.Context, x gateway.Session) Recorded {
	info, err := s.cfg.Recordings.Find(ctx, x.ID)
	if err != nil {
		return Recorded{Session: x}
	}
	return Recorded{Session: x, Recording: &info}
}

func (s *Server) recording(c call) (any, error) {
	if err := s.may(c, Review, "recording:"+c.PathValue("id")); err != nil {
		return nil, err
	}
	x, err := s.cfg.Sessions.Session(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return s.Recorded(c.Context(), x), nil
}

// open finds the session whose recording is asked for and writes the event
// that somebody looks, before anything is shown (P9).
func (s *Server) open(c call, capability Capability, name audit.Name) (gateway.Session, error) {
	x, err := s.reach(c, capability)
	if err != nil {
		return x, err
	}
	return x, s.looked(c.Context(), c, x, name, nil)
}

func (s *Server) reach(c call, capability Capability) (gateway.Session, error) {
	id := c.PathValue("id")
	if err := s.may(c, capability, "recording:"+id); err != nil {
		return gateway.Session{}, err
	}
	return s.cfg.Sessions.Session(c.Context(), id)
}

func (s *Server) looked(ctx context.Context, c call, x gateway.Session, name audit.Name, detail map[string]string) error {
	return s.cfg.Audit.Append(ctx, audit.Event{
		Name: name, At: s.cfg.Now(), Actor: c.who.Person.Name, Vendor: x.Vendor, Person: x.Person, Target: x.Target, Account: x.Account,
		Request: x.Request, Grant: x.Grant, Session: x.ID, Source: c.RemoteAddr, Outcome: audit.OK, Detail: detail,
	})
}

func (s *Server) asciicast(c call) (any, error) {
	version := 2
	switch c.URL.Query().Get("version") {
	case "", "2":
	case "3":
		version = 3
	default:
		return nil, gateway.Invalid("version", "asciicast is written in version 2 or 3")
	}
	x, err := s.open(c, Review, audit.RecordingWatched)
	if err != nil {
		return nil, err
	}
	c.castHeader(x.ID)
	return nil, s.cfg.Recordings.Asciicast(c.Context(), c.w, x.ID, version)
}

func (s *Server) input(c call) (any, error) {
	x, err := s.open(c, ReadInput, audit.InputRead)
	if err != nil {
		return nil, err
	}
	c.castHeader(x.ID + "-input")
	return nil, s.cfg.Recordings.Input(c.Context(), c.w, x.ID)
}

// Look is open for pages: who may look at a console's recording, and that he
// does, with what was typed or without.
func (s *Server) Look(r *http.Request, who Who, typed bool) (gateway.Session, error) {
	capability, name := Review, audit.RecordingWatched
	if typed {
		capability, name = ReadInput, audit.InputRead
	}
	return s.open(call{Request: r, who: who}, capability, name)
}

// timeline is a page of what a console's session did.
func (s *Server) timeline(c call) (any, error) {
	q, err := TimelineQuery(c.URL.Query())
	if err != nil {
		return nil, err
	}
	x, err := s.open(c, Review, audit.RecordingWatched)
	if err != nil {
		return nil, err
	}
	return s.cfg.Recordings.Timeline(c.Context(), x.ID, q)
}

// TimelineQuery reads how a timeline is narrowed.
func TimelineQuery(v url.Values) (recording.TimelineQuery, error) {
	var q recording.TimelineQuery
	kinds, after, err := narrowed(v, recording.VisitKinds(), &q.Text, &q.Limit)
	q.Kinds, q.After = kinds, uint32(after)
	return q, err
}

// FlowQuery reads how a tunnel's timeline is narrowed.
func FlowQuery(v url.Values) (recording.FlowQuery, error) {
	var q recording.FlowQuery
	verdicts, after, err := narrowed(v, []gateway.FlowVerdict{gateway.FlowOpen, gateway.FlowRefused, gateway.FlowFailed}, &q.Text, &q.Limit)
	q.Verdicts, q.After = verdicts, after
	return q, err
}

// narrowed reads what all timelines are narrowed by.
func narrowed[K ~string](v url.Values, known []K, text *string, limit *int) (kinds []K, after uint64, err error) {
	for _, k := range v["kind"] {
		if k == "" { // a form's "all"
			continue
		}
		if !slices.Contains(known, K(k)) {
			return nil, 0, gateway.Invalid("kind", "kind %s is not one of %s", gateway.Quote(k), words(known))
		}
		kinds = append(kinds, K(k))
	}
	if *text = v.Get("text"); len(*text) > maxSearchText {
		return nil, 0, gateway.Invalid("text", "at most %d bytes are looked for", maxSearchText)
	}
	for key, into := range map[string]func(uint64){"after": func(n uint64) { after = n }, "limit": func(n uint64) { *limit = int(n) }} {
		if said := v.Get(key); said != "" {
			n, err := strconv.ParseUint(said, 10, 32)
			if err != nil {
				return nil, 0, gateway.Invalid(key, "%s is not a number", gateway.Quote(said))
			}
			into(n)
		}
	}
	return kinds, after, nil
}

func words[K ~string](known []K) string {
	all := make([]string, len(known))
	for i, k := range known {
		all[i] = string(k)
	}
	return strings.Join(all, ", ")
}

// har is what a console's session did. What was typed into the console is for
// those who may read input.
func (s *Server) har(c call) (any, error) {
	need, event, typed := Review, audit.RecordingWatched, c.URL.Query().Get("typed") == "true"
	if typed {
		need, event = ReadInput, audit.InputRead
	}
	x, err := s.openOf(c, need, event, gateway.KindHTTPS, "was not of a console; its recording is an asciicast", nil)
	if err != nil {
		return nil, err
	}
	c.fileHeader("application/json", x.ID+".har")
	return nil, s.cfg.Recordings.HAR(c.Context(), c.w, x.ID, typed)
}

// openOf is open for what the recordings of one protocol alone have.
func (s *Server) openOf(c call, capability Capability, name audit.Name, kind gateway.TargetKind, not string, detail map[string]string) (gateway.Session, error) {
	x, err := s.reach(c, capability)
	if err != nil {
		return x, err
	}
	if x.Protocol != kind {
		return x, gateway.Conflict("protocol", "session %s %s", x.ID, not)
	}
	return x, s.looked(c.Context(), c, x, name, detail)
}

const noTunnel = "was not of a tunnel, so no flow or packet of it is recorded"

// flows are a tunnel's flows, one JSON line each.
func (s *Server) flows(c call) (any, error) {
	x, err := s.openOf(c, Review, audit.RecordingWatched, gateway.KindNetwork, noTunnel, nil)
	if err != nil {
		return nil, err
	}
	c.fileHeader("application/jsonl", x.ID+"-flows.jsonl")
	return nil, s.cfg.Recordings.FlowLines(c.Context(), c.w, x.ID)
}

// pcapng is what a tunnel's packets carried, both ways: what was typed is in
// it, so it is for those who may read input, and the event says that.
func (s *Server) pcapng(c call) (any, error) {
	x, err := s.openOf(c, ReadInput, audit.InputRead, gateway.KindNetwork, noTunnel, map[string]string{"part": "packets"})
	if err != nil {
		return nil, err
	}
	c.fileHeader("application/x-pcapng", x.ID+".pcapng")
	return nil, s.cfg.Recordings.Capture(c.Context(), c.w, x.ID)
}

func (c call) castHeader(name string) { c.fileHeader("application/x-asciicast", name+".cast") }

func (c call) fileHeader(kind, name string) {
	h := c.w.Header()
	h.Set("Content-Type", kind)
	if c.URL.Query().Has("download") {
		h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	}
}

func (s *Server) verifyRecording(c call) (any, error) {
	id := c.PathValue("id")
	if err := s.may(c, VerifyStore, "recording:"+id); err != nil {
		return nil, err
	}
	if _, err := s.cfg.Sessions.Session(c.Context(), id); err != nil {
		return nil, err
	}
	out := struct {
		Session string `json:"session"`
		Holds   bool   `json:"holds"`
		Fault   string `json:"fault,omitempty"`
	}{Session: id, Holds: true}
	if err := s.cfg.Recordings.Verify(c.Context(), id); err != nil {
		out.Holds, out.Fault = false, err.Error()
	}
	return out, nil
}

func (s *Server) watch(c call) (any, error) {
	x, err := s.reach(c, Review)
	if err != nil {
		return nil, err
	}
	done, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer done()
	// Noted before the event, so that a page which the event calls finds it.
	leave, err := s.cfg.Sessions.Watch(c.Context(), x.ID, c.who.Person.Name)
	if err != nil {
		return nil, err
	}
	if err := s.looked(c.Context(), c, x, audit.RecordingWatched, map[string]string{"live": "true"}); err != nil {
		leave()
		return nil, err
	}
	defer s.left(c, x, leave)
	ctx, cancel := context.WithTimeout(c.Context(), maxWatch)
	defer cancel()
	out := newStream(c.w)
	err = s.cfg.Recordings.Follow(ctx, x.ID, func(line []byte) error { return out.send("", line) })
	if err != nil && ctx.Err() == nil {
		s.cfg.Logger.Warn("live watch cut short", "session", x.ID, "error", err)
	}
	if ctx.Err() == nil {
		_ = out.send("done", []byte("{}")) // the watcher may have left
	}
	return nil, nil
}

// left takes the watcher off and writes that he is gone. He has seen what he
// has seen: a store that is away is logged.
func (s *Server) left(c call, x gateway.Session, leave func()) {
	leave()
	ctx, cancel := context.WithTimeout(detached(c.Context()), leftWrite)
	defer cancel()
	if err := s.looked(ctx, c, x, audit.RecordingLeft, nil); err != nil {
		s.cfg.Logger.Error("event not written", "event", string(audit.RecordingLeft), "session", x.ID, "error", err)
	}
}

// newStream begins an answer of server-sent events.
func newStream(w http.ResponseWriter) *eventStream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	s := &eventStream{w: w, control: http.NewResponseController(w)}
	w.WriteHeader(http.StatusOK)
	_ = s.control.Flush() // a writer that cannot flush sends at the end
	return s
}
