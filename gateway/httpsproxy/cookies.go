package httpsproxy

import (
	"net/http"
	"strings"
)

// appCookie is the cookie of one console's session. Under TLS its prefix makes
// browsers take it from its own host alone, so that no sister host can set it.
const (
	appCookie    = "portcullis-app"
	hostPrefix   = "__Host-"
	securePrefix = "__Secure-"
	gatewayNames = "portcullis" // no target sets or sees a cookie that begins so
)

func (p *Proxy) cookieName() string {
	if p.c.Insecure {
		return appCookie
	}
	return hostPrefix + appCookie
}

func (p *Proxy) setCookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // only the demo, under localhost, has no TLS
		Name: p.cookieName(), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: !p.c.Insecure, SameSite: http.SameSiteLaxMode,
	})
}

type cookie struct{ name, value string }

// gatewayCookie reports whether a cookie of that name is the gateway's.
// Browsers compare prefixes without regard to case.
func gatewayCookie(name string) bool {
	name = strings.TrimSpace(name)
	for _, prefix := range []string{hostPrefix, securePrefix} {
		if beginsFold(name, prefix) {
			name = name[len(prefix):]
		}
	}
	return beginsFold(name, gatewayNames)
}

func beginsFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// splitCookies parts what a browser sends into what the target may see, as one
// line, and the gateway's own. held are names that the gateway itself answers
// for.
func splitCookies(lines []string, held func(name string) bool) (kept string, own []cookie) {
	var b strings.Builder
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			name, value, _ := strings.Cut(pair, "=")
			switch {
			case pair == "":
			case gatewayCookie(name) || name == "" && gatewayCookie(value):
				own = append(own, cookie{name, value})
			case held != nil && held(name):
			default:
				if b.Len() > 0 {
					b.WriteString("; ")
				}
				b.WriteString(pair)
			}
		}
	}
	return b.String(), own
}

// appSetCookie is a target's Set-Cookie as the browser gets it: without Domain,
// so that it stays on the console's own host. It is empty for a cookie that is
// named like the gateway's, or has no name and could be read as one.
func appSetCookie(line string) (name, rewritten string) {
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, has := strings.Cut(pair, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !has || name == "" || gatewayCookie(name) || strings.ContainsAny(pair, "\x00\r\n") {
		return name, ""
	}
	var b strings.Builder
	b.WriteString(name + "=" + value)
	for a := range strings.SplitSeq(attributes, ";") {
		a = strings.TrimSpace(a)
		key, _, _ := strings.Cut(a, "=")
		if a == "" || strings.EqualFold(strings.TrimSpace(key), "Domain") {
			continue
		}
		b.WriteString("; " + a)
	}
	return name, b.String()
}

// keep puts cookies to those that are held, or takes out what the target ends.
func keep(held map[string]string, cookies []*http.Cookie) {
	for _, k := range cookies {
		if k.MaxAge < 0 || k.Value == "" {
			delete(held, k.Name)
			continue
		}
		held[k.Name] = k.Value
	}
}

// hold takes over the cookies of a login.
func (p *proof) hold(cookies map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = cookies
}

// follow takes a cookie over that the target has set anew.
func (p *proof) follow(k *http.Cookie) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep(p.held, []*http.Cookie{k})
}

func (p *proof) holds(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.held[name]
	return ok
}

func (p *proof) cookies() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cookieLine(p.held)
}

func cookieLine(held map[string]string) string {
	var b strings.Builder
	for name, value := range held {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(name + "=" + value)
	}
	return b.String()
}
