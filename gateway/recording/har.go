package recording

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of a HAR file that is being put together.
const (
	MaxHARPages    = 10_000   // pages listed
	maxHAROpen     = 4096     // exchanges that have not ended yet, in memory
	maxHARExchange = 16 << 20 // bytes of bodies and messages of one exchange
	maxHARMemory   = 64 << 20 // of all that have not ended yet
)

const wsText = 1 // RFC 6455 clause 11.8

// HAR writes a console's recording as HTTP Archive 1.2, entries in the order in
// which they ended. What was redacted says so, what was cut short or refused
// has a comment. With typed, what the browser sent has its bytes too: it is for
// the few whom the caller lets.
func (v *Vault) HAR(ctx context.Context, w io.Writer, session string, typed bool) error {
	info, err := v.Find(session)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	a := &archive{w: b, info: info}
	a.print(`{"log":{"version":"1.2","creator":`)
	a.json(map[string]string{"name": "Portcullis", "version": "1"})
	a.print(`,"comment":`)
	a.json(info.Session + ": " + info.Person + " at " + info.Target + " as " + info.Account)
	a.print(`,"entries":[`)
	damaged := v.Exchanges(ctx, session, typed, a.take)
	if a.err == nil && (damaged == nil || gateway.IsCode(damaged, gateway.CodeConflict)) {
		a.finish(info, damaged)
	}
	if a.err != nil {
		return a.err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return damaged
}

// archive writes one HAR file; the first error is kept.
type archive struct {
	unended[uint32, harEntry]
	w       *bufio.Writer
	err     error
	info    Info
	held    int // bytes of bodies in open
	entries int
	pages   []harPage
}

func (a *archive) print(s string) {
	if a.err == nil {
		_, a.err = a.w.WriteString(s)
	}
}

func (a *archive) json(v any) {
	raw, err := json.Marshal(v)
	if err != nil && a.err == nil {
		a.err = gateway.Internal(err)
	}
	a.print(string(raw))
}

// take adds one part to its exchange.
func (a *archive) take(e HTTPEvent) error {
	x, ok := a.open[e.Record.N]
	switch {
	case !ok && e.Record.Part != gateway.HTTPRequest:
		return a.err // of an exchange that was written already
	case !ok:
		a.request(e)
		return a.err
	}
	switch r := e.Record; r.Part {
	case gateway.HTTPSent:
		x.sent = a.keep(x, x.sent, e)
	case gateway.HTTPResponse:
		x.response, x.answered = &r, e.At
	case gateway.HTTPShown:
		x.shown = a.keep(x, x.shown, e)
	case gateway.HTTPMessage:
		a.message(x, e)
	case gateway.HTTPEnd:
		x.end, x.ended = &r, e.At
		a.end(r.N)
		a.write(x, "")
	}
	return a.err
}

func (a *archive) request(e HTTPEvent) {
	r := e.Record
	x := &harEntry{began: e.At, request: r}
	if field(r.Header, "Sec-Fetch-Dest") == "document" && len(a.pages) < MaxHARPages {
		a.pages = append(a.pages, harPage{
			StartedDateTime: a.at(e.At), ID: "page_" + itoa(len(a.pages)+1), Title: a.url(r.URL), PageTimings: struct{}{},
		})
	}
	if len(a.pages) > 0 {
		x.page = a.pages[len(a.pages)-1].ID
	}
	if r.Refused != "" {
		a.write(x, "refused by the gateway: "+r.Refused)
		return
	}
	a.begin(r.N, x)
	if len(a.open) > maxHAROpen { // only a recording of no gateway of ours has so many
		a.spill(a.oldest())
	}
}

// keep adds bytes to a body while there is room for them.
func (a *archive) keep(x *harEntry, body []byte, e HTTPEvent) []byte {
	x.redacted = x.redacted || e.Record.Redacted
	if !a.room(x, len(e.Body)) {
		return body
	}
	return append(body, e.Body...)
}

func (a *archive) room(x *harEntry, n int) bool {
	if x.held+n > maxHARExchange || a.held+n > maxHARMemory {
		x.left++
		return false
	}
	x.held += n
	a.held += n
	return true
}

func (a *archive) message(x *harEntry, e HTTPEvent) {
	const overhead = 64 // of a message without bytes
	if !a.room(x, len(e.Body)+overhead) {
		return
	}
	m := harMessage{Type: "receive", Time: float64(a.info.Begun.Add(e.At).UnixMicro()) / 1e6, Opcode: int(e.Record.Opcode), Data: string(e.Body)}
	if e.Record.Client {
		m.Type = "send"
	}
	if e.Record.Opcode != wsText || !utf8.Valid(e.Body) {
		m.Data = base64Of(e.Body)
	}
	x.messages = append(x.messages, m)
}

// spill writes an exchange that has not ended.
func (a *archive) spill(x *harEntry) { a.write(x, "not ended when this was written") }

func (a *archive) write(x *harEntry, comment string) {
	if a.entries > 0 {
		a.print(",\n")
	}
	a.entries++
	a.json(a.entry(x, comment))
	a.held -= x.held
}

// finish writes what never ended, and the pages.
func (a *archive) finish(info Info, damaged error) {
	for x := a.oldest(); x != nil; x = a.oldest() {
		a.spill(x)
	}
	a.print(`],"pages":`)
	if a.pages == nil {
		a.pages = []harPage{}
	}
	a.json(a.pages)
	a.print(`,"_session":`)
	a.json(info.Session)
	a.print(`,"_grant":`)
	a.json(info.Grant)
	if damaged != nil {
		a.print(`,"_damaged":`)
		a.json(damaged.Error())
	}
	a.print("}}\n")
}

func (a *archive) at(d time.Duration) string {
	return a.info.Begun.Add(d).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}

// url makes a path absolute: HAR wants it so. The name is the target's, as
// people know it.
func (a *archive) url(path string) string { return "https://" + a.info.Target + path }
