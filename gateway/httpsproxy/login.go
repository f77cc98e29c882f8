package httpsproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// maxLoginPage bounds what is read of a login's answers.
const maxLoginPage = 1 << 20

// login is one going through the target's own form. What it gets by it, cookies
// or a token, stays in the gateway, and counts once it is over: requests
// meanwhile go on with what the last one got.
type login struct {
	c    *console
	f    *gateway.Form
	held map[string]string // cookies
}

// fillIn logs in by the target's own form.
func (c *console) fillIn(ctx context.Context, cred Credential, f *gateway.Form) (secrets []string, err error) {
	if f == nil {
		return nil, cannot("its account has no login form", nil)
	}
	l := &login{c: c, f: f, held: map[string]string{}}
	token, err := l.walk(ctx, cred)
	if err != nil {
		return nil, err
	}
	secrets = []string{cred.Secret}
	if token != "" {
		secrets = append(secrets, token)
	}
	for _, v := range l.held {
		secrets = append(secrets, v)
	}
	if c.scrub != nil { // before anything is asked for by them
		c.scrub.Learn(secrets...)
	}
	if token != "" {
		c.proof.set("Authorization", "Bearer "+token, time.Time{})
	}
	c.proof.hold(l.held)
	return secrets, nil
}

// walk fetches the page, fills the form in, and reads the token where there is
// to be one.
func (l *login) walk(ctx context.Context, cred Credential) (token string, err error) {
	f := l.f
	fields := map[string]string{}
	if f.Page != "" {
		status, page, err := l.ask(ctx, http.MethodGet, f.Page, "", nil)
		if err != nil {
			return "", err
		}
		if status >= http.StatusBadRequest {
			return "", cannot("its login page was not there", nil)
		}
		for name, value := range hiddenFields(page) {
			fields[name] = value
		}
	}
	for name, value := range f.Fields {
		fields[name] = value
	}
	fields[f.User], fields[f.Password] = cred.Login, cred.Secret
	status, answer, err := l.ask(ctx, http.MethodPost, f.Action, f.Page, encoded(f, fields))
	if err != nil {
		return "", err
	}
	token, taken := l.taken(status, answer)
	if !taken {
		return "", cannot("it did not accept the gateway's credential for the account", nil)
	}
	return token, nil
}

// body is what a login form sends.
type body struct {
	kind string
	data []byte
}

func encoded(f *gateway.Form, fields map[string]string) *body {
	if f.JSON {
		b, err := json.Marshal(fields)
		if err != nil { // strings always marshal
			return &body{}
		}
		return &body{"application/json", b}
	}
	v := url.Values{}
	for name, value := range fields {
		v.Set(name, value)
	}
	return &body{"application/x-www-form-urlencoded", []byte(v.Encode())}
}

// taken holds the answer to what the form says of success.
func (l *login) taken(status int, answer []byte) (token string, ok bool) {
	f := l.f
	switch {
	case f.Done != 0 && status != f.Done, f.Done == 0 && status >= http.StatusBadRequest:
		return "", false
	case f.Failed != "" && bytes.Contains(answer, []byte(f.Failed)):
		return "", false
	case f.LoggedIn != "" && l.held[f.LoggedIn] == "":
		return "", false
	case f.Token == "":
		return "", true
	}
	var v any
	if json.Unmarshal(answer, &v) != nil {
		return "", false
	}
	for key := range strings.SplitSeq(f.Token, ".") {
		m, isMap := v.(map[string]any)
		if !isMap {
			return "", false
		}
		v = m[key]
	}
	token, ok = v.(string)
	return token, ok && token != ""
}

// ask sends one request of the gateway's own and keeps the cookies of its
// answer. It follows no redirect. While the session is recorded it is too, but
// for what it sends and gets.
func (l *login) ask(ctx context.Context, method, path, from string, b *body) (status int, answer []byte, err error) {
	c := l.c
	r, err := l.request(ctx, method, path, from, b)
	if err != nil {
		return 0, nil, cannot("its login form has a path that cannot be asked for", nil)
	}
	var n uint32
	if c.ch != nil {
		n = c.count.Add(1)
		if err := c.record(gateway.HTTPRecord{Part: gateway.HTTPRequest, N: n, Method: method, URL: c.capture.URL(path), Proto: r.Proto, Header: []gateway.HTTPField{{Name: "User-Agent", Value: ownAgent}}}); err != nil {
			return 0, nil, err
		}
	}
	res, err := c.target.RoundTrip(r)
	if err != nil {
		return 0, nil, l.brokeOff(n, err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(io.LimitReader(res.Body, maxLoginPage)); err != nil {
		return 0, nil, l.brokeOff(n, err)
	}
	keep(l.held, res.Cookies())
	if n != 0 {
		if err := c.record(gateway.HTTPRecord{Part: gateway.HTTPResponse, N: n, Proto: res.Proto, Status: res.StatusCode}); err != nil {
			return 0, nil, err
		}
		if err := c.record(gateway.HTTPRecord{Part: gateway.HTTPEnd, N: n}); err != nil {
			return 0, nil, err
		}
	}
	return res.StatusCode, answer, nil
}

// ownAgent is what the gateway calls itself where it asks for itself.
const ownAgent = "Portcullis"

func (l *login) request(ctx context.Context, method, path, from string, b *body) (*http.Request, error) {
	var sent io.Reader
	if b != nil {
		sent = bytes.NewReader(b.data)
	}
	c := l.c
	r, err := http.NewRequestWithContext(ctx, method, c.names.inner+path, sent)
	if err != nil {
		return nil, err
	}
	r.Host = c.names.host
	r.Header.Set("User-Agent", ownAgent)
	if b != nil {
		r.Header.Set("Content-Type", b.kind)
		r.Header.Set("Origin", c.names.toTarget(c.names.outer))
		r.Header.Set("Referer", c.names.toTarget(c.names.outer)+from)
	}
	if held := cookieLine(l.held); held != "" {
		r.Header.Set("Cookie", held)
	}
	return r, nil
}

// brokeOff ends the exchange, of which n is the number if it is recorded.
func (l *login) brokeOff(n uint32, cause error) error {
	const word = "it broke off the login"
	if n != 0 {
		_ = l.c.record(gateway.HTTPRecord{Part: gateway.HTTPEnd, N: n, Cut: "the console broke off"}) // the login has failed already
	}
	return cannot(word, cause)
}
