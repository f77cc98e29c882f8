package httpsproxy

import (
	"net/http"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

// exchange is one request and its answer.
type exchange struct {
	c    *console
	w    http.ResponseWriter
	r    *http.Request
	n    uint32
	path string // as it came, without the query

	file string // that the request sends
	sent *sentBody
	out  *capture.Body // account of the answer's body
}

// serve judges a request, carries it, and records both before they pass. Of a
// WebSocket it returns what carries it from then on.
func (c *console) serve(w http.ResponseWriter, r *http.Request) (relay func()) {
	x := &exchange{c: c, w: w, r: r, n: c.count.Add(1)}
	c.p.requests.Add(1)
	x.path, _, _ = strings.Cut(r.RequestURI, "?")
	if x.ends(c.ch.Hold()) {
		return nil
	}
	if wait, ok := c.limits.admit(c.p.c.Now()); !ok {
		x.tooFast(wait)
		return nil
	}
	held, no := x.look()
	if no == nil {
		no = x.judge(held)
	}
	if no != nil {
		x.refuse(no)
		return nil
	}
	if x.ends(c.record(x.request())) {
		return nil
	}
	if isWebSocket(r) {
		return x.webSocket()
	}
	x.carry(held)
	return nil
}

func (c *console) record(r gateway.HTTPRecord) error { return c.ch.Exchange(r, nil) }

// request is the record of the request, as it came.
func (x *exchange) request() gateway.HTTPRecord {
	r := x.r
	cookies := r.Header["Cookie"]
	if kept, own := splitCookies(cookies, nil); len(own) > 0 { // what opens the console is nobody's to read
		cookies = []string{kept}
	}
	return gateway.HTTPRecord{Part: gateway.HTTPRequest, N: x.n, Method: r.Method, URL: x.c.capture.URL(r.RequestURI), Proto: r.Proto, Header: x.c.capture.FieldsOf(r.Header, cookies), File: x.file}
}

// ends answers for a session that has ended, and reports that it did.
func (x *exchange) ends(err error) bool {
	if err == nil {
		return false
	}
	no := x.c.overError()
	if x.c.cause() == nil {
		no = gateway.Unavailable("recorder", nil)
		x.c.p.log.Error("not recorded, so not carried", "session", x.c.live.ID(), "error", err)
	}
	x.c.p.refuse(x.w, x.r, no)
	return true
}

// refuse records a refusal, writes its event, and tells it.
func (x *exchange) refuse(no *gateway.Error) {
	r := x.request()
	r.Refused, r.Rule = no.Sentence(), no.Rule
	if x.ends(x.c.record(r)) {
		return
	}
	x.told(no)
}

func (x *exchange) told(no *gateway.Error) {
	x.c.live.Refuse(x.r.Context(), "https "+x.r.Method, no.Sentence())
	x.c.p.refuse(x.w, x.r, no)
}

// end records what passed in all. Of a session that has ended there is nobody
// left to record.
func (x *exchange) end(cut string) { x.ended(gateway.HTTPRecord{Cut: cut}) }

func (x *exchange) ended(r gateway.HTTPRecord) { _ = x.c.record(x.last(r)) }

// last is the record of the exchange's end.
func (x *exchange) last(r gateway.HTTPRecord) gateway.HTTPRecord {
	r.Part, r.N = gateway.HTTPEnd, x.n
	if x.sent != nil {
		a := x.sent.account()
		r.Sent = &a
	}
	if x.out != nil {
		a := x.out.Account()
		r.Shown = &a
	}
	return r
}
