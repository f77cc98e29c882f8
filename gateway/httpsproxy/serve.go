package httpsproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// serve answers one request of a browser.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	var c *console
	defer func() { p.contain(recover(), c) }()
	target := p.targetOf(r.Host)
	if no := p.misdirected(r, target); no != nil {
		p.pages.refuse(w, r, http.StatusMisdirectedRequest, no, p.c.Home)
		return
	}
	if status, no := malformed(r); no != nil {
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		p.pages.refuse(w, r, status, no, p.c.Home)
		return
	}
	if r.ProtoMajor == 1 && (len(r.TransferEncoding) > 0 || r.ProtoMinor == 0) {
		// Whatever came behind a chunked body, or one that HTTP/1.0 cannot have,
		// is never read as another request (RFC 9112 clause 6.1).
		w.Header().Set("Connection", "close")
	}
	if name, is := strings.CutPrefix(target, gateway.ServicePrefix); is && p.c.Accounts != nil {
		p.serveService(w, r, name, &c)
		return
	}
	if strings.HasPrefix(r.URL.Path, Prefix) {
		p.serveOwn(w, r, target)
		return
	}
	b := browserOf(r.Context())
	if b == nil {
		p.log.Error("the server was not prepared: see Proxy.Server")
		p.refuse(w, r, gateway.Internal(nil))
		return
	}
	var no *gateway.Error
	if c, no = p.find(r, target); no != nil {
		p.refuse(w, r, no)
		return
	}
	if no := c.enter(b); no != nil {
		p.refuse(w, r, no)
		return
	}
	var relay func()
	defer func() {
		if relay == nil {
			c.leave(b)
		}
	}()
	if relay = c.serve(w, r); relay != nil {
		c.goOn(b, relay)
	}
}

// goOn carries a WebSocket in a goroutine of its own: the handler returns, and
// with it goes what the server keeps for a request, two fifths of what an idle
// one costs.
func (c *console) goOn(b *browser, relay func()) {
	p := c.p
	carry := func() {
		defer func() { p.contained(recover(), c) }()
		defer c.forget(b)
		defer c.leave(b)
		relay()
	}
	p.mu.Lock()
	over := p.stopped // Run may have ceased to wait
	if !over {
		p.running.Add(1)
	}
	p.mu.Unlock()
	if over {
		carry()
		return
	}
	go func() {
		defer p.running.Done()
		carry()
	}()
}

// targetOf is the target that a host names; empty: none of ours. Only the one
// spelling that links have is known, but for upper case.
func (p *Proxy) targetOf(host string) string {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	target, ok := strings.CutSuffix(strings.ToLower(name), "."+p.c.Apps)
	if !ok || target == "" || strings.ContainsAny(target, ".:@/ ") {
		return ""
	}
	return target
}

// Directed reports whether a request came over a connection for its own host.
// One that did not must not be handed to another node, which cannot tell.
func (p *Proxy) Directed(r *http.Request) bool { return p.misdirected(r, p.targetOf(r.Host)) == nil }

// Vouched is a request that another node has handed over: that node has looked
// at the connection to the browser, and this one sees the node's alone.
func Vouched(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), vouchedKey{}, true))
}

type vouchedKey struct{}

// misdirected refuses a request that came over a connection for another name
// (RFC 9110 clause 15.5.20): browsers do that where two hosts share a
// certificate, and attackers to be judged as one and served as the other.
func (p *Proxy) misdirected(r *http.Request, target string) *gateway.Error {
	switch {
	case target == "":
		return gateway.NotFound("console", r.Host)
	case r.Context().Value(vouchedKey{}) != nil:
	case r.TLS == nil && !p.c.Insecure:
		return gateway.Invalid("tls", "consoles are reached over TLS alone")
	case r.TLS != nil && !strings.EqualFold(r.TLS.ServerName, target+"."+p.c.Apps):
		return gateway.Invalid("host", "this connection was made for another host")
	}
	return nil
}

// malformed refuses what two programs could read in two ways.
func malformed(r *http.Request) (int, *gateway.Error) {
	switch {
	case len(r.RequestURI) > MaxTarget:
		return http.StatusRequestURITooLong, gateway.Invalid("path", "the address is longer than %d bytes", MaxTarget)
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return http.StatusMethodNotAllowed, methodError(r.Method)
	case r.URL.IsAbs() || r.URL.Host != "" || r.URL.User != nil || !strings.HasPrefix(r.RequestURI, "/"):
		return http.StatusBadRequest, gateway.Invalid("path", "a request names a path, and its host in Host alone")
	}
	for i := range len(r.RequestURI) {
		if c := r.RequestURI[i]; c <= ' ' || c == 0x7f || c == '#' {
			return http.StatusBadRequest, gateway.Invalid("path", "the address holds a byte that has no place in it")
		}
	}
	return 0, nil
}

func methodError(method string) *gateway.Error {
	return gateway.Refused("method", "use the console's own pages", "no %.20q passes here", method)
}

// find is the session that a request's cookie is of, if it is one of that host.
func (p *Proxy) find(r *http.Request, target string) (*console, *gateway.Error) {
	_, own := splitCookies(r.Header["Cookie"], nil)
	var over *gateway.Error
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range own {
		if k.name != p.cookieName() {
			continue
		}
		_, hash, ok := parseSecret(k.value)
		if !ok {
			continue
		}
		if c := p.consoles[hash]; c != nil && c.live.Target().Name == target {
			return c, nil
		}
		if e, was := p.ended[hash]; was && e.target == target {
			over = endedError(e.why)
		}
	}
	if over != nil {
		return nil, over
	}
	return nil, noSession()
}

func noSession() *gateway.Error {
	return &gateway.Error{Code: gateway.CodeSignIn, Rule: "session", Text: "no session of yours is open to this console", Next: "open it from the gateway's pages, under a grant"}
}

// serveOwn answers what is under Prefix.
func (p *Proxy) serveOwn(w http.ResponseWriter, r *http.Request, target string) {
	switch r.URL.Path {
	case enterPath:
		p.enter(w, r, target)
	case Prefix, Prefix + "leave":
		p.serveSession(w, r, target)
	default:
		p.refuse(w, r, gateway.NotFound("page", r.URL.Path))
	}
}

// serveSession shows the session, and ends it on a word of its engineer.
func (p *Proxy) serveSession(w http.ResponseWriter, r *http.Request, target string) {
	c, no := p.find(r, target)
	if no != nil {
		p.refuse(w, r, no)
		return
	}
	switch {
	case r.URL.Path == Prefix && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		p.pages.session(w, c, p.c.Home)
	case r.URL.Path == Prefix+"leave" && r.Method == http.MethodPost && sameOrigin(r):
		c.live.End(gateway.EndClientLeft, "", "")
		<-c.live.Context().Done()
		p.refuse(w, r, c.overError())
	default:
		p.refuse(w, r, methodError(r.Method))
	}
}

// refuse answers with a page, or with a problem where a script asks.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, no *gateway.Error) {
	p.pages.refuse(w, r, statusOf(no), no, p.c.Home)
}

func statusOf(e *gateway.Error) int {
	switch e.Code {
	case gateway.CodeInvalid:
		return http.StatusBadRequest
	case gateway.CodeSignIn:
		return http.StatusUnauthorized
	case gateway.CodeRefused:
		return http.StatusForbidden
	case gateway.CodeNotFound:
		return http.StatusNotFound
	case gateway.CodeConflict:
		return http.StatusConflict
	case gateway.CodeTooMany:
		return http.StatusTooManyRequests
	case gateway.CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// contain keeps a panic of ours to the session whose bytes found it. What net/http
// calls an abort goes on to it: the connection, or the stream, is cut.
func (p *Proxy) contain(v any, c *console) {
	if v == nil {
		return
	}
	p.contained(v, c)
	panic(http.ErrAbortHandler)
}

// contained logs a fault of ours and ends the session.
func (p *Proxy) contained(v any, c *console) {
	if v == nil {
		return
	}
	if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		p.log.Error("a fault of the gateway ends one session", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		if c != nil {
			c.live.End(gateway.EndFault, "", "")
		}
	}
}
