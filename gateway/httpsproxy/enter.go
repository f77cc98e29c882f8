package httpsproxy

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// Entering is an engineer who has pressed Open and touched.
type Entering struct {
	Person    gateway.Person
	Login     string // the browser login that the touch was given in
	Grant     string
	Source    string // address:port
	UserAgent string
	Path      string // of the console, to begin with; empty: /
}

// Enter takes the touch, opens the session, proves the account to the target,
// and returns the link that hands the session over to the browser: good once,
// for LinkTime. An error is a *gateway.Error whose sentence the person may read.
func (p *Proxy) Enter(ctx context.Context, e Entering) (string, error) {
	path := e.Path
	if path == "" {
		path = "/"
	}
	if !ownPath(path) {
		return "", gateway.Invalid("path", "a console begins with a path of its own, such as /")
	}
	touch, ok, err := p.c.Access.TakeTicket(ctx, e.Person, e.Grant, e.Login)
	if err != nil {
		return "", err
	}
	if !ok {
		no := gateway.Refused("touch", "press Open again and touch your security key; the console opens within 60 seconds of it", "no touch waits for this grant in this login")
		p.c.Sessions.Refuse(ctx, Refusal{Person: e.Person.Name, Vendor: e.Person.Vendor, Grant: e.Grant, Source: e.Source, Rule: no.Rule, Sentence: no.Sentence()})
		return "", no
	}
	live, err := p.c.Sessions.Open(ctx, Opening{
		Touch: touch, Ticket: true, Person: e.Person.Name, Grant: e.Grant, Protocol: gateway.KindHTTPS, Source: e.Source, Client: printable(e.UserAgent),
	})
	if err != nil {
		return "", err
	}
	return p.begin(ctx, live, path)
}

// begin proves the account and makes the link. It ends the session where that
// fails.
func (p *Proxy) begin(ctx context.Context, live Live, path string) (string, error) {
	c, err := p.newConsole(ctx, live, live.Target().Name+"."+p.c.Apps)
	if err != nil {
		return "", p.notOpened(live, err)
	}
	value, hash := p.newSecret()
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return "", p.notOpened(live, &gateway.Ended{Reason: gateway.EndStopping})
	}
	p.links[hash] = link{c, path, p.c.Now().Add(LinkTime)}
	p.running.Add(1)
	p.mu.Unlock()
	go c.tend()
	return p.origin(c.host) + enterPath + "#" + value, nil
}

// notOpened ends a session that did not come to anything, and words it.
func (p *Proxy) notOpened(live Live, err error) error {
	var no *gateway.Error
	if errors.As(err, &no) {
		live.End(gateway.EndFault, "", "")
		return no
	}
	ended := &gateway.Ended{Reason: gateway.EndFault}
	var at *refusedBy
	switch {
	case errors.As(err, &at):
		ended = at.ended
		p.log.Warn("target not opened", "session", live.ID(), "target", live.Target().Name, "word", ended.Error(), "error", at.cause)
	case errors.As(err, &ended):
	default:
		p.log.Error("console not opened", "session", live.ID(), "error", err)
	}
	live.End(ended.Reason, "", ended.Detail)
	return &gateway.Error{Code: gateway.CodeUnavailable, Rule: string(ended.Reason), Text: ended.Error(), Next: "press Open again, or call the operator's control room"}
}

// enterPath is where the browser exchanges a link for its cookie. The secret
// stands behind the number sign, which browsers send to nobody: the page there
// posts it.
const enterPath = Prefix + "enter"

// enter answers the page of a link, and the exchange.
func (p *Proxy) enter(w http.ResponseWriter, r *http.Request, target string) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		p.pages.enter(w)
		return
	}
	if r.Method != http.MethodPost {
		p.refuse(w, r, methodError(r.Method))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	_, hash, ok := parseSecret(r.PostFormValue("code"))
	p.mu.Lock()
	l, found := p.links[hash]
	delete(p.links, hash)
	p.mu.Unlock()
	if !ok || !found || p.c.Now().After(l.until) || l.console.live.Target().Name != target {
		if found {
			l.console.live.End(gateway.EndClientLeft, "", "the link to the console was used where it does not lead")
		}
		p.refuse(w, r, &gateway.Error{Code: gateway.CodeSignIn, Rule: "link", Text: "this link has been used, or is older than " + LinkTime.String(), Next: "open the console anew from the gateway's pages"})
		return
	}
	value, cookie := p.newSecret()
	if no := l.console.given(cookie); no != nil {
		p.refuse(w, r, no)
		return
	}
	p.setCookie(w, value, 0)
	own(w.Header())
	w.Header().Set("Location", l.path)
	w.WriteHeader(http.StatusSeeOther)
}

// given binds the session to the cookie that its browser gets.
func (c *console) given(hash secretHash) *gateway.Error {
	p := c.p
	p.mu.Lock() // before c's own, as in ended
	defer p.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.cause() != nil {
		return c.overError()
	}
	c.cookie = hash
	p.consoles[hash] = c
	return nil
}

// ownPath reports whether a path cannot lead anywhere but to the host that it
// is asked of: browsers read // and /\ as the beginning of another host.
func ownPath(path string) bool {
	if len(path) > MaxTarget || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.HasPrefix(path, Prefix) {
		return false
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

// printable is what a browser calls itself, made fit for a log.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxUserAgent)]
}
