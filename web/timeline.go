package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/web/api"
)

// choice is one kind of entry that a timeline can be narrowed to.
type choice struct {
	Word, Says string
	N          int
}

// visitKinds are the kinds in words; a timeline shows all but the parts of
// pages where nothing else is asked for.
var visitKinds = []choice{
	{"page", "pages", 0}, {"form", "forms and calls", 0}, {"file", "files", 0}, {"socket", "conversations", 0}, {"refused", "refused", 0}, {"part", "parts of pages", 0},
}

// lookers remembers who is on file as looking, so that a page which reads itself
// anew every other second is one look and not a thousand.
type lookers struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

const maxLookers = 4096

// fresh reports whether a look is to be written down.
func (l *lookers) fresh(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.seen[key]; ok && now.Sub(at) < sameLook {
		return false
	}
	if len(l.seen) >= maxLookers {
		clear(l.seen) // at worst a look is written twice
	}
	return true
}

func (l *lookers) wrote(key string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]time.Time{}
	}
	l.seen[key] = now
}

// lookAt writes down that the visitor looks at a console's recording, before
// anything of it is shown.
func (s *Server) lookAt(v *visit, typed bool) error {
	capability := api.Review
	if typed {
		capability = api.ReadInput
	}
	if err := s.cfg.API.May(v.Context(), v.who, capability, "recording:"+v.PathValue("id")); err != nil {
		return err
	}
	key := v.who.Login.ID + " " + v.PathValue("id") + " " + strconv.FormatBool(typed)
	if !s.lookers.fresh(key, s.now()) {
		return nil
	}
	if _, err := s.cfg.API.Look(v.Request, v.who, typed); err != nil {
		return err
	}
	s.lookers.wrote(key, s.now())
	return nil
}

// timeline is the recording of a console's session: what was done, in order.
func (s *Server) timeline(v *visit, x gateway.Session, d map[string]any) error {
	q, err := api.TimelineQuery(v.URL.Query())
	if err != nil {
		return err
	}
	if len(q.Kinds) == 0 && q.Text == "" {
		for _, k := range recording.VisitKinds() {
			if k != recording.VisitPart {
				q.Kinds = append(q.Kinds, k)
			}
		}
	}
	if err := s.lookAt(v, false); err != nil {
		return err
	}
	line, err := s.rooms.Recordings.Timeline(v.Context(), x.ID, q)
	last := uint64(0)
	if line.More {
		last = uint64(line.Visits[len(line.Visits)-1].N)
	}
	d["Line"], d["Client"], d["Usual"], d["Hint"] = line, "Browser", "all but parts of pages", "a path, a file, a refusal"
	d["Download"] = offered{Path: "har?download", Says: "Download HAR"}
	d["Typed"] = offered{
		Head: "What was sent", Warns: "Forms and messages may hold what is secret to the engineer.", Path: "har?typed=true&download", Says: "Download HAR with what was sent",
	}
	return s.line(v, x, d, "timeline", counted(visitKinds, line.Counts), last, err)
}

// offered is a part of a recording that can be taken away.
type offered struct{ Head, Warns, Path, Says string }

// counted adds to each choice how many entries it has.
func counted[K ~string](choices []choice, n map[K]int) []choice {
	all := make([]choice, len(choices))
	for i, c := range choices {
		c.N = n[K(c.Word)]
		all[i] = c
	}
	return all
}

// line shows a page of a timeline, up to where the recording is damaged. last
// is the number after which the next page begins; 0: there is none.
func (s *Server) line(v *visit, x gateway.Session, d map[string]any, template string, kinds []choice, last uint64, read error) error {
	damaged := ""
	if gateway.IsCode(read, gateway.CodeConflict) {
		damaged = gateway.AsError(read).Sentence()
	} else if read != nil {
		return read
	}
	all := 0
	for _, k := range kinds {
		all += k.N
	}
	kind, text := v.URL.Query().Get("kind"), v.URL.Query().Get("text")
	d["Kinds"], d["Kind"], d["Text"], d["Damaged"], d["All"], d["Acts"] = kinds, kind, text, damaged, all, true
	if last > 0 {
		next := url.Values{"after": {strconv.FormatUint(last, 10)}}
		for key, value := range map[string]string{"kind": kind, "text": text} {
			if value != "" {
				next.Set(key, value)
			}
		}
		d["More"] = "?" + next.Encode()
	}
	s.render(v, http.StatusOK, template, view{Title: "Recording of " + x.Person + " on " + x.Target, Data: d})
	return nil
}

// exchange is one exchange of a console's session, with what was kept of it.
func (s *Server) exchange(v *visit) error {
	n, err := strconv.ParseUint(v.PathValue("n"), 10, 32)
	if err != nil {
		return gateway.NotFound("exchange", v.PathValue("n"))
	}
	typed := v.URL.Query().Get("typed") == "true"
	if err := s.lookAt(v, typed); err != nil {
		return err
	}
	x, err := s.rooms.Sessions.Session(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	one, err := s.rooms.Recordings.Visit(v.Context(), x.ID, uint32(n), typed)
	if err != nil {
		return err
	}
	return s.show(v, "exchange", one.Method+" at "+x.Target, map[string]any{
		"X": x, "V": one, "Typed": typed, "MayType": api.Holds(v.who.Person, api.ReadInput), "Sent": shownBody(one.SentBody), "Shown": shownBody(one.ShownBody), "Talk": talkOf(one.Talk),
	})
}

// said is one message of a conversation, as a page can show it.
type said struct {
	At     time.Duration
	Client bool
	Opcode byte
	Bytes  int64
	Body   body
}

func talkOf(talk []recording.HTTPEvent) []said {
	all := make([]said, len(talk))
	for i, e := range talk {
		all[i] = said{At: e.At, Client: e.Record.Client, Opcode: e.Record.Opcode, Body: shownBody(e.Body)}
		if e.Record.Shown != nil {
			all[i].Bytes = e.Record.Shown.Bytes
		}
	}
	return all
}

// body is what was kept of a body: text, or so many bytes that are none.
type body struct {
	Text string
	Raw  int64
}

// shownBody is bytes as a page can show them. They are the target's or the
// engineer's: the template escapes them, and what draws nothing is left out.
func shownBody(p []byte) body {
	if !utf8.Valid(trimmed(p)) {
		return body{Raw: int64(len(p))}
	}
	return body{Text: string(trimmed(p))}
}

// trimmed is p without a character that was cut off at its end.
func trimmed(p []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if b := p[len(p)-i]; utf8.RuneStart(b) {
			if !utf8.FullRune(p[len(p)-i:]) {
				return p[:len(p)-i]
			}
			return p
		}
	}
	return p
}

// offset words a place in a recording: 1:02:03.
func offset(d time.Duration) string {
	s := int(d.Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// opcode words what a WebSocket frame is (RFC 6455 clause 11.8).
func opcode(n byte) string {
	if word, ok := map[byte]string{1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}[n]; ok {
		return word
	}
	return "frame " + strconv.Itoa(int(n))
}
