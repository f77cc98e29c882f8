package httpsproxy

import (
	"bytes"
	"net"
	"net/http"
	"strings"
)

// hopByHop are fields of one connection (RFC 9110 clause 7.6.1), besides those
// that Connection names.
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings"}

func dropHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// forwardedNames are fields, as plainName writes them, by which a proxy tells a
// target who asked for what: only the gateway may.
var forwardedNames = map[string]bool{
	"forwarded": true, "x-real-ip": true, "x-client-ip": true, "true-client-ip": true, "cf-connecting-ip": true, "x-cluster-client-ip": true,
	"x-original-url": true, "x-rewrite-url": true, "x-original-host": true, "x-original-uri": true, "x-host": true, "via": true, "x-http-method-override": true,
	"x-method-override": true, "x-http-method": true, "front-end-https": true, "x-url-scheme": true, "fastly-client-ip": true, "x-appengine-user-ip": true,
}

// plainName appends a field's name in lower case, with hyphens for the
// underscores that some servers take for them. It is ASCII (RFC 9110 clause 5.1).
func plainName(b []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c == '_':
			b = append(b, '-')
		default:
			b = append(b, c)
		}
	}
	return b
}

// forTarget is the head that the target gets: the browser's own, without what
// is of its connection, of the gateway, or claimed about who asks.
func (c *console) forTarget(r *http.Request) http.Header {
	h := make(http.Header, len(r.Header)+5)
	for name, values := range r.Header {
		if name == "Cookie" || name == "Referer" || name == "Origin" || c.isOurs(name) {
			continue
		}
		h[name] = values // nobody writes into the slices: they are replaced whole
	}
	dropHopByHop(h)
	for _, te := range r.Header["Te"] { // gRPC asks for it; trailers pass
		if strings.Contains(strings.ToLower(te), "trailers") {
			h["Te"] = []string{"trailers"}
		}
	}
	kept, _ := splitCookies(r.Header["Cookie"], c.proof.holds)
	if held := c.proof.cookies(); held != "" && kept != "" {
		kept += "; " + held
	} else if kept == "" {
		kept = held
	}
	if kept != "" {
		h["Cookie"] = []string{kept}
	}
	if o, ok := r.Header["Origin"]; ok && len(o) > 0 {
		h["Origin"] = []string{c.names.toTarget(o[0])}
	}
	if ref := c.names.referer(r.Header.Get("Referer")); ref != "" {
		h["Referer"] = []string{ref}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // or the library adds its own
	}
	h["Accept-Encoding"] = c.encodings(r)
	c.forwarded(h, r)
	return h
}

// isOurs reports whether a field is one that only the gateway sends.
func (c *console) isOurs(name string) bool {
	var room [64]byte // of a longer one there is a copy
	p := plainName(room[:0], name)
	return forwardedNames[string(p)] || bytes.HasPrefix(p, []byte("x-forwarded")) || c.proof.names[string(p)]
}

// encodings is what the target may compress by. Scripts, styles and the like
// may come as the browser likes them; what can hold a secret comes as it is, so
// that it can be looked through.
func (c *console) encodings(r *http.Request) []string {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "script", "style", "font", "image":
		for _, v := range r.Header["Accept-Encoding"] {
			if strings.Contains(v, "gzip") {
				return []string{"gzip"}
			}
		}
	}
	return []string{"identity"}
}

func (c *console) forwarded(h http.Header, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	node := host
	if strings.Contains(host, ":") {
		node = `"[` + host + `]"`
	}
	said := "for=" + node + ";proto=https"
	h["X-Forwarded-For"], h["X-Forwarded-Proto"] = []string{host}, []string{"https"}
	if !c.names.own { // beside its own name in Host another one here would only confuse a target's checks
		said += `;host="` + c.names.outerHost + `"`
		h["X-Forwarded-Host"] = []string{c.names.outerHost}
	}
	h["Forwarded"] = []string{said}
}

// neverShown are a target's fields that would reach further than its console:
// to the gateway's host, to another port, or past the session's end.
var neverShown = []string{"Alt-Svc", "Strict-Transport-Security", "Public-Key-Pins", "Expect-Ct", "Set-Cookie2", "Service-Worker-Allowed", "Nel", "Clear-Site-Data"}

// forBrowser writes the head that the browser gets.
func (c *console) forBrowser(out, in http.Header) {
	ours := out["Connection"] // that this exchange is the last of its connection
	for name, values := range in {
		out[name] = values
	}
	dropHopByHop(out)
	if ours != nil {
		out["Connection"] = ours
	}
	for _, name := range neverShown {
		delete(out, name)
	}
	if lines, ok := out["Set-Cookie"]; ok {
		out["Set-Cookie"] = c.setCookies(lines)
	}
	for _, name := range []string{"Location", "Content-Location", "Access-Control-Allow-Origin"} {
		if v, ok := out[name]; ok && len(v) > 0 {
			out[name] = []string{c.addressed(name, v[0])}
		}
	}
	if v, ok := out["Refresh"]; ok && len(v) > 0 {
		out["Refresh"] = []string{c.names.refresh(v[0])}
	}
	if _, ok := out["Content-Type"]; !ok {
		out["Content-Type"] = nil // or the server guesses one
	} else if baseType(out.Get("Content-Type")) == "text/html" && !strings.Contains(out.Get("Cache-Control"), "no-store") {
		out["Cache-Control"] = []string{"private, no-cache"} // a page that is shown again asks again: after the end it is a dead end
	}
	if c.scrub == nil {
		return
	}
	for name, values := range out {
		for i, v := range values {
			if s := c.scrub.String(v); s != v {
				values = append([]string(nil), values...)
				values[i] = s
				out[name] = values
			}
		}
	}
}

func (c *console) addressed(name, value string) string {
	if name == "Access-Control-Allow-Origin" {
		if strings.EqualFold(value, c.names.inner) {
			return c.names.outer
		}
		return value
	}
	return c.names.toBrowser(value)
}

// refresh is the address in "5; url=...", which browsers read leniently.
func (n names) refresh(value string) string {
	i := strings.IndexAny(value, ";,")
	if i < 0 {
		return value
	}
	rest := strings.TrimLeft(value[i+1:], " \t")
	if len(rest) >= 3 && strings.EqualFold(rest[:3], "url") {
		if eq := strings.TrimLeft(rest[3:], " \t"); strings.HasPrefix(eq, "=") {
			rest = strings.TrimLeft(eq[1:], " \t")
		}
	}
	return value[:i] + "; url=" + n.toBrowser(strings.Trim(rest, `'"`))
}

func (c *console) setCookies(lines []string) []string {
	shown := make([]string, 0, len(lines))
	for _, line := range lines {
		name, rewritten := appSetCookie(line)
		if rewritten == "" {
			continue
		}
		if c.proof.holds(name) {
			if k, err := http.ParseSetCookie(line); err == nil {
				c.proof.follow(k)
			}
			continue
		}
		shown = append(shown, rewritten)
	}
	return shown
}
