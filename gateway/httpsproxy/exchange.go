package httpsproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
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
	seen := r.Header
	if kept, own := splitCookies(r.Header["Cookie"], nil); len(own) > 0 { // what opens the console is nobody's to read
		seen = maps.Clone(r.Header)
		if delete(seen, "Cookie"); kept != "" {
			seen["Cookie"] = []string{kept}
		}
	}
	return gateway.HTTPRecord{Part: gateway.HTTPRequest, N: x.n, Method: r.Method, URL: x.c.capture.URL(r.RequestURI), Proto: r.Proto, Header: x.c.capture.Fields(seen), File: x.file}
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

// look reads the beginning of a form that could hold a file, or all of a body
// that is small: it is sent once it is known.
func (x *exchange) look() ([]byte, *gateway.Error) {
	r := x.r
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	multipart := strings.HasPrefix(baseType(r.Header.Get("Content-Type")), "multipart/")
	small := r.ContentLength > 0 && r.ContentLength <= HeldForm && r.Header.Get("Expect") == ""
	if !multipart && !small {
		return nil, nil
	}
	patience(x.w, BodyIdleTime)
	held, err := io.ReadAll(io.LimitReader(r.Body, HeldForm+1))
	patience(x.w, 0)
	if err != nil {
		return nil, badBody()
	}
	return held, nil
}

func badBody() *gateway.Error {
	return gateway.Invalid("body", "the request's body is not as its head says, or came too slowly")
}

// judge asks the abilities.
func (x *exchange) judge(held []byte) *gateway.Error {
	r := x.r
	if no := x.fromElsewhere(); no != nil {
		return no
	}
	q := gateway.HTTPAsk{Method: r.Method, Path: x.path, WebSocket: isWebSocket(r)}
	x.file, q.Upload = x.uploads(held)
	if no := x.c.abilities.LetsHTTP(q); no != nil {
		return no
	}
	if limit := x.c.abilities.MaxUpload; limit > 0 && r.ContentLength > limit {
		return tooLarge("upload", limit)
	}
	if r.Header.Get("Service-Worker") != "" {
		return gateway.Refused("service-worker", "use the console without it: what it adds works only while nobody looks", "a script that goes on answering after the session has ended is not let")
	}
	return nil
}

// uploads reports whether the request carries a file, or what is no form.
func (x *exchange) uploads(held []byte) (file string, is bool) {
	r := x.r
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return "", false
	}
	kind := r.Header.Get("Content-Type")
	if strings.HasPrefix(baseType(kind), "multipart/") {
		file, is = capture.FileIn(kind, held)
		if is && file == "" {
			file = "file"
		}
		return file, is || len(held) > HeldForm
	}
	if isFormType(kind) {
		return "", false
	}
	return lastSegment(x.path), true
}

// fromElsewhere refuses what another site, or a sister console, makes the
// browser send: a link may lead here, and nothing else.
func (x *exchange) fromElsewhere() *gateway.Error {
	r := x.r
	site, mode := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode")
	no := gateway.Refused("cross-site", "open the console's own page", "another site asked for this in your browser's name")
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch site {
	case "same-origin", "none":
	case "":
		if o := r.Header.Get("Origin"); o != "" && o != x.c.names.outer && (!safe || isWebSocket(r)) {
			return no
		}
		return nil
	default:
		if !safe || mode != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document" {
			return no
		}
		return nil
	}
	if o := r.Header.Get("Origin"); isWebSocket(r) && o != "" && o != x.c.names.outer {
		return no
	}
	return nil
}

func sameOrigin(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "same-origin" || r.Header.Get("Sec-Fetch-Site") == "" && strings.HasSuffix(r.Header.Get("Origin"), "://"+r.Host)
}

// carry sends the request and shows the answer.
func (x *exchange) carry(held []byte) {
	c := x.c
	login := c.relogin.done.Load() // whose cookies the request will carry, or older
	out, err := x.outgoing(held)
	if err != nil {
		x.failed(err)
		return
	}
	if x.sent != nil {
		defer x.sent.finish()
		if x.r.ProtoMajor == 1 && !x.sent.whole { // an answer may begin before the body has ended
			_ = http.NewResponseController(x.w).EnableFullDuplex()
		}
	}
	res, err := x.send(out, login)
	if err != nil {
		x.failed(err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		x.failed(errors.New("the target switched protocols unasked"))
		return
	}
	x.answer(res)
}

// outgoing is the request as the target gets it: the same bytes in its path and
// query that were judged.
func (x *exchange) outgoing(held []byte) (*http.Request, error) {
	r, n := x.r, x.c.names
	u := &url.URL{Scheme: "https", Host: strings.TrimPrefix(n.inner, "https://"), Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	if u.RequestURI() != r.RequestURI {
		if strings.HasPrefix(x.path, "//") {
			return nil, gateway.Invalid("path", "the address holds a byte that has no place in it")
		}
		u.Opaque, u.Path, u.RawPath = x.path, "", ""
	}
	h := x.c.forTarget(r)
	if err := x.c.inject(r.Context(), h); err != nil {
		return nil, err
	}
	out := (&http.Request{Method: r.Method, URL: u, Host: n.host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(r.Context())
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return out, nil
	}
	account := x.c.capture.Body(r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"), false)
	x.sent = &sentBody{x: x, held: held, whole: held != nil && int64(len(held)) == r.ContentLength, tally: tally{c: x.c, part: gateway.HTTPSent, n: x.n, acc: account}}
	out.Body, out.ContentLength, out.Trailer = x.sent, r.ContentLength, r.Trailer
	if x.sent.whole { // a connection that the target has just closed may be tried anew
		if err := x.sent.recordHeld(); err != nil {
			return nil, err
		}
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(held)), nil }
	}
	return out, nil
}

// failed answers for a request that came to nothing.
func (x *exchange) failed(err error) {
	c := x.c
	no := &gateway.Error{Code: gateway.CodeUnavailable, Rule: "target", Text: "the console did not answer", Next: "try again in a moment, or tell the operator"}
	status := http.StatusBadGateway
	var said *gateway.Error
	switch {
	case c.cause() != nil:
		if x.r.ProtoMajor == 1 {
			x.w.Header().Set("Connection", "close")
		}
		no, status = c.overError(), http.StatusUnauthorized
	case x.r.Context().Err() != nil:
		x.end("the browser left")
		panic(http.ErrAbortHandler)
	case x.sent != nil && x.sent.failure() != nil:
		no = gateway.AsError(x.sent.failure())
		status = statusOf(no)
		if x.r.ProtoMajor == 1 {
			x.w.Header().Set("Connection", "close")
		}
	case errors.As(err, &said):
		no, status = said, statusOf(said)
	case errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "timeout"):
		status = http.StatusGatewayTimeout
	default:
		if e := unreachable(err); e.Reason == gateway.EndHostKey {
			c.live.End(e.Reason, "", e.Detail)
			no, status = endedError(e), http.StatusUnauthorized
		}
	}
	c.p.log.Info("not carried", "session", c.live.ID(), "exchange", x.n, "word", no.Text, "error", err)
	x.end(no.Text)
	c.p.pages.refuse(x.w, x.r, status, no, c.p.c.Home)
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
