package recording

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// VisitKind is what an exchange with a console was, to who looks through many.
type VisitKind string

// The closed list of kinds. An exchange is of the first that fits.
const (
	VisitRefused VisitKind = "refused" // by us: it never reached the target
	VisitFile    VisitKind = "file"    // a file was sent or saved
	VisitSocket  VisitKind = "socket"  // a WebSocket
	VisitForm    VisitKind = "form"    // a method that changes something
	VisitPage    VisitKind = "page"    // a page that was shown
	VisitPart    VisitKind = "part"    // of a page: images, scripts, calls that read
)

// VisitKinds is the closed list in its order.
func VisitKinds() []VisitKind {
	return []VisitKind{VisitPage, VisitForm, VisitFile, VisitSocket, VisitRefused, VisitPart}
}

// Visit is one exchange with a console in short.
type Visit struct {
	N           uint32        `json:"n"`
	At          time.Duration `json:"at_ns"`
	Took        time.Duration `json:"took_ns,omitempty"` // zero: it has not ended
	Kind        VisitKind     `json:"kind"`
	Method      string        `json:"method"`
	URL         string        `json:"url"`
	Status      int           `json:"status,omitempty"` // zero: there was no answer
	Type        string        `json:"type,omitempty"`   // of the answer, without parameters
	File        string        `json:"file,omitempty"`
	Sent, Shown int64         `json:",omitempty"`       // bytes of bodies and messages, as far as they were told
	SHA256      string        `json:"sha256,omitempty"` // of the file
	Messages    int           `json:"messages,omitempty"`
	Refused     string        `json:"refused,omitempty"`
	Rule        string        `json:"rule,omitempty"`
	Cut         string        `json:"cut,omitempty"`
	dest        string        // what the browser wanted it for; empty: it did not say
	kept        int64         // bytes of the answer that were told and stand in the recording
}

// MaxTimeline bounds one page of a timeline.
const MaxTimeline = 200

// TimelineQuery narrows a timeline; empty fields do not.
type TimelineQuery struct {
	Kinds []VisitKind
	Text  string // in the URL, the file's name or the refusal, without regard to case
	After uint32 // page on above this number
	Limit int    // 1 to MaxTimeline; 0 means MaxTimeline
}

// Timeline is one page of what a console's session did, in the order in which
// the exchanges began.
type Timeline struct {
	Visits []Visit           `json:"visits"`
	Counts map[VisitKind]int `json:"counts"` // of all exchanges
	More   bool              `json:"more,omitempty"`
}

// Timeline reads what a console's session did by now, without a byte of what
// was typed. A damaged recording is read up to the damage; the error names it,
// and the timeline holds what came before.
func (v *Vault) Timeline(ctx context.Context, session string, q TimelineQuery) (Timeline, error) {
	if q.Limit <= 0 || q.Limit > MaxTimeline {
		q.Limit = MaxTimeline
	}
	b := timeliner{q: q, counts: map[VisitKind]int{}, visits: lowest[Visit, uint32]{limit: q.Limit, number: func(x Visit) uint32 { return x.N }}}
	err := v.Exchanges(ctx, session, false, func(e HTTPEvent) error { b.take(e); return nil })
	if err != nil && !gateway.IsCode(err, gateway.CodeConflict) {
		return Timeline{}, err
	}
	over := v.sealed(session)
	for x := b.oldest(); x != nil; x = b.oldest() {
		x.left(over)
		b.done(x)
	}
	out := Timeline{Counts: b.counts}
	out.Visits, out.More = b.visits.page()
	return out, err
}

// timeliner puts one page of a timeline together. It keeps the lowest numbers
// that fit the query, and what is open.
type timeliner struct {
	unended[uint32, Visit]
	q      TimelineQuery
	counts map[VisitKind]int
	visits lowest[Visit, uint32]
}

func (b *timeliner) take(e HTTPEvent) {
	r := e.Record
	if r.Part == gateway.HTTPRequest {
		x := &Visit{N: r.N, At: e.At, Method: r.Method, URL: r.URL, File: r.File, Refused: r.Refused, Rule: r.Rule, dest: field(r.Header, "Sec-Fetch-Dest")}
		if r.Refused != "" {
			b.done(x)
			return
		}
		b.begin(r.N, x)
		if len(b.open) > maxHAROpen { // only a recording of no gateway of ours has so many
			b.done(b.oldest())
		}
		return
	}
	x := b.open[r.N]
	if x == nil {
		return
	}
	x.tell(e)
	if r.Part == gateway.HTTPEnd {
		b.end(r.N)
		b.done(x)
	}
}

// tell adds a later part to an exchange.
func (x *Visit) tell(e HTTPEvent) {
	switch r := e.Record; r.Part {
	case gateway.HTTPResponse:
		x.Status = r.Status
		x.Type, _, _ = strings.Cut(field(r.Header, "Content-Type"), ";")
		if r.File != "" {
			x.File = r.File
		}
	case gateway.HTTPSent:
		x.Sent = max(x.Sent, passed(r.Sent))
	case gateway.HTTPShown:
		x.kept += int64(len(e.Body))
		x.Shown = max(x.Shown, passed(r.Shown))
	case gateway.HTTPMessage:
		x.Messages++
		if r.Client {
			x.Sent += passed(r.Shown)
		} else {
			x.Shown += passed(r.Shown)
		}
	case gateway.HTTPEnd:
		x.Took, x.Cut = e.At-x.At, r.Cut
		x.Sent, x.Shown = max(x.Sent, passed(r.Sent)), max(x.Shown, passed(r.Shown))
		if x.File != "" {
			x.SHA256 = fileSum(x, r)
		}
	}
}

// left is what is known of an exchange without an end.
func (x *Visit) left(over bool) {
	x.Shown = max(x.Shown, x.kept)
	if over {
		x.Cut = sessionOver
	}
}

// sealed reports whether nothing is added to a recording any more.
func (v *Vault) sealed(session string) bool {
	dir, err := v.find(session)
	return err == nil && exists(filepath.Join(dir, sealName))
}

// fileSum is the hash of the body that was the file: what was sent, where
// something that changes was, else what was shown.
func fileSum(x *Visit, end gateway.HTTPRecord) string {
	body := end.Shown
	if !reads(x.Method) && end.Sent != nil && end.Sent.Bytes > 0 {
		body = end.Sent
	}
	if body == nil {
		return ""
	}
	return body.SHA256.String()
}

func kindOf(x *Visit) VisitKind {
	switch {
	case x.Refused != "":
		return VisitRefused
	case x.File != "":
		return VisitFile
	case x.Status == http.StatusSwitchingProtocols || x.Messages > 0:
		return VisitSocket
	case !reads(x.Method):
		return VisitForm
	case x.dest == "document" || x.dest == "iframe" || x.dest == "" && strings.EqualFold(x.Type, "text/html") && x.Status < http.StatusMultipleChoices:
		return VisitPage
	}
	return VisitPart
}

func reads(method string) bool { return slices.Contains(gateway.ReadMethods(), method) }

func (b *timeliner) done(x *Visit) {
	x.Kind = kindOf(x)
	b.counts[x.Kind]++
	if x.N > b.q.After && b.q.Fits(*x) {
		b.visits.add(*x)
	}
}

// Fits reports whether an exchange is one of those asked for.
func (q TimelineQuery) Fits(x Visit) bool {
	if len(q.Kinds) > 0 && !slices.Contains(q.Kinds, x.Kind) {
		return false
	}
	text := strings.ToLower(q.Text)
	return text == "" || strings.Contains(strings.ToLower(x.Method+" "+x.URL+" "+x.File+" "+x.Refused), text)
}

// Bounds of one exchange that is looked at.
const (
	MaxVisitBody     = 256 << 10 // bytes of each body that are shown
	MaxVisitMessages = 200       // messages that are shown
)

// VisitDetail is one exchange with what was kept of it.
type VisitDetail struct {
	Visit
	Request, Response, End *gateway.HTTPRecord // nil: it did not come
	SentBody, ShownBody    []byte
	Redacted               bool // something in the bodies was taken out before it was recorded
	Talk                   []HTTPEvent
	MoreTalk               int // messages beyond those of Talk
}

var errSeen = errors.New("the exchange was read to its end")

// Visit reads one exchange. With typed, it has what the engineer's browser sent
// too: it is for the few whom the caller lets.
func (v *Vault) Visit(ctx context.Context, session string, n uint32, typed bool) (VisitDetail, error) {
	var d VisitDetail
	err := v.Exchanges(ctx, session, typed, func(e HTTPEvent) error {
		if e.Record.N != n {
			return nil
		}
		return d.take(e)
	})
	if err != nil && !errors.Is(err, errSeen) && !gateway.IsCode(err, gateway.CodeConflict) {
		return VisitDetail{}, err
	}
	if d.Request == nil {
		return VisitDetail{}, gateway.NotFound("exchange", itoa(int(n)))
	}
	if d.End == nil && d.Refused == "" {
		d.left(v.sealed(session))
	}
	d.Kind = kindOf(&d.Visit)
	return d, nil
}

func (d *VisitDetail) take(e HTTPEvent) error {
	r := e.Record
	d.Redacted = d.Redacted || r.Redacted
	switch r.Part {
	case gateway.HTTPRequest:
		d.Request = &r
		d.Visit = Visit{N: r.N, At: e.At, Method: r.Method, URL: r.URL, File: r.File, Refused: r.Refused, Rule: r.Rule, dest: field(r.Header, "Sec-Fetch-Dest")}
		if r.Refused != "" {
			return errSeen
		}
		return nil
	case gateway.HTTPSent:
		d.SentBody = upTo(d.SentBody, e.Body)
	case gateway.HTTPShown:
		d.ShownBody = upTo(d.ShownBody, e.Body)
	case gateway.HTTPResponse:
		d.Response = &r
	case gateway.HTTPMessage:
		if len(d.Talk) < MaxVisitMessages {
			d.Talk = append(d.Talk, e)
		} else {
			d.MoreTalk++
		}
	case gateway.HTTPEnd:
		d.End = &r
	}
	d.tell(e)
	if r.Part == gateway.HTTPEnd {
		return errSeen
	}
	return nil
}

func upTo(have, more []byte) []byte {
	return append(have, more[:min(len(more), MaxVisitBody-len(have))]...)
}
