package httpsproxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of logging in anew at a target that has ended the login by itself.
const (
	reloginPause     = 2 * time.Second  // between two logins, while they help
	maxReloginPause  = 10 * time.Minute // where they do not, the pause doubles up to this
	maxLoginFailures = 3                // in a row; then no more is tried: it would lock the account
	maxDiscarded     = 64 << 10         // of an answer that is not shown, so that its connection is used again
)

// relogin is what one console knows of its logins.
type relogin struct {
	done atomic.Uint64 // logins anew, so far

	turn     sync.Mutex // held over a login: of many requests one asks
	last     time.Time  // when one began; this and below under turn
	pause    time.Duration
	failures int
}

// send carries a request, and once more where the target answers that the
// gateway's own login has ended. login counts the logins before the request
// got its cookies.
func (x *exchange) send(out *http.Request, login uint64) (*http.Response, error) {
	c := x.c
	res, err := c.target.RoundTrip(out)
	if err != nil || !x.loggedOut(res) {
		return res, err
	}
	renewed, err := c.logInAnew(login)
	if err == nil && !renewed {
		return res, nil
	}
	status := res.StatusCode
	_, _ = io.CopyN(io.Discard, res.Body, maxDiscarded) // a connection that breaks here is not used again
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	if !repeatable(out, status) {
		no := gateway.Conflict("login", "the console had ended its login when this was sent, and the gateway has logged in anew")
		no.Next = "go back and send it once more"
		return nil, no
	}
	if res, err = x.repeat(out); err == nil {
		c.relogin.helped(!x.loggedOut(res))
	}
	return res, err
}

// repeat sends a request with what proves the account now.
func (x *exchange) repeat(out *http.Request) (*http.Response, error) {
	h := x.c.forTarget(x.r)
	if err := x.c.inject(x.r.Context(), h); err != nil {
		return nil, err
	}
	next := out.WithContext(out.Context())
	next.Header = h
	if out.GetBody != nil {
		body, err := out.GetBody()
		if err != nil {
			return nil, err
		}
		next.Body = body
	}
	return x.c.target.RoundTrip(next)
}

// repeatable reports whether a request may be sent twice: all of its body is at
// hand, and either it changes nothing more the second time (RFC 9110 clause
// 9.2.2) or the target has said that it did not take it.
func repeatable(out *http.Request, status int) bool {
	if out.Body != nil && out.GetBody == nil {
		return false
	}
	switch out.Method {
	case http.MethodPost, http.MethodPatch, "LOCK", "MOVE", "COPY", "MKCOL", "PROPPATCH":
		return status == http.StatusUnauthorized
	}
	return true
}

// shakeIn is shake, and once more where the login has ended.
func (x *exchange) shakeIn() (*http.Response, *wire, error) {
	login := x.c.relogin.done.Load()
	res, target, err := x.shake()
	if err != nil || !x.loggedOut(res) {
		return res, target, err
	}
	if renewed, _ := x.c.logInAnew(login); !renewed {
		return res, target, nil // the browser's script hears what the target says; the log has why
	}
	_ = res.Body.Close()
	_ = target.conn.Close()
	if res, target, err = x.shake(); err == nil {
		x.c.relogin.helped(!x.loggedOut(res))
	}
	return res, target, err
}

// loggedOut reports whether an answer says, by the recipe of the login form,
// that it has ended: 401, or a redirect to the form. A form on the root page
// tells nothing, since much leads there; nor does an answer of the form itself.
func (x *exchange) loggedOut(res *http.Response) bool {
	f := x.c.form
	if f == nil || atForm(f, x.path) {
		return false
	}
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return true
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return false
	}
	n := x.c.names
	base := url.URL{Scheme: "https", Host: strings.TrimPrefix(n.inner, "https://"), Path: x.path}
	to, err := base.Parse(res.Header.Get("Location"))
	if err != nil || to.Host != base.Host && to.Host != n.host && to.Host != n.outerHost {
		return false
	}
	return to.Path != "/" && atForm(f, to.Path)
}

// atForm reports whether a path is that of the form or of where it is sent to.
func atForm(f *gateway.Form, path string) bool {
	path = strings.TrimSuffix(path, "/")
	for _, at := range []string{f.Page, f.Action} {
		at, _, _ = strings.Cut(at, "?")
		if at != "" && strings.TrimSuffix(at, "/") == path {
			return true
		}
	}
	return false
}

// logInAnew logs in by the form again, unless somebody has since login was
// counted. It reports whether requests carry another login now. Where the last
// one was a moment ago, or helped nobody, the target's own answer stands.
func (c *console) logInAnew(login uint64) (bool, error) {
	r := &c.relogin
	r.turn.Lock()
	defer r.turn.Unlock()
	now := c.p.c.Now()
	switch {
	case r.done.Load() != login:
		return true, nil
	case r.failures >= maxLoginFailures:
		return false, loginEnded()
	case !r.last.IsZero() && now.Before(r.last.Add(max(r.pause, reloginPause))):
		return false, nil
	}
	r.last = now
	ctx, cancel := context.WithTimeout(c.live.Context(), ProveTime) // whoever asked for it may leave; others wait for it too
	defer cancel()
	cred, err := c.live.Credential(ctx)
	if err == nil {
		_, err = c.fillIn(ctx, cred, c.form)
	}
	if err != nil {
		r.failures++
		r.slower()
		c.p.log.Error("not logged in anew", "session", c.live.ID(), "failures", r.failures, "error", errors.Join(err, errors.Unwrap(err)))
		return false, loginEnded()
	}
	r.failures = 0
	r.done.Add(1)
	c.p.log.Info("logged in anew", "session", c.live.ID(), "logins", r.done.Load())
	return true, nil
}

func loginEnded() *gateway.Error {
	return &gateway.Error{Code: gateway.CodeUnavailable, Rule: "login", Text: "the console has ended the gateway's login and does not let it in again", Next: "tell the operator"}
}

// helped says whether a request got in with a new login.
func (r *relogin) helped(yes bool) {
	r.turn.Lock()
	defer r.turn.Unlock()
	if yes {
		r.pause = 0
		return
	}
	r.slower()
}

func (r *relogin) slower() { r.pause = min(2*max(r.pause, reloginPause), maxReloginPause) }
