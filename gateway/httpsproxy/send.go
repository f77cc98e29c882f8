package httpsproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

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
