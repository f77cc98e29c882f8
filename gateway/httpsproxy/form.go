package httpsproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of a login form.
const (
	maxLoginPage = 1 << 20
	maxHidden    = 64
)

// fillIn logs in by the target's own form. What it gets by it, cookies or a
// token, stays here.
func (c *console) fillIn(ctx context.Context, cred Credential, a gateway.Account) (secrets []string, err error) {
	f := a.Form
	if f == nil {
		return nil, cannot("its account has no login form", nil)
	}
	fields := map[string]string{}
	if f.Page != "" {
		status, page, err := c.ask(ctx, http.MethodGet, f.Page, "", nil)
		if err != nil {
			return nil, err
		}
		if status >= http.StatusBadRequest {
			return nil, cannot("its login page was not there", nil)
		}
		for name, value := range hiddenFields(page) {
			fields[name] = value
		}
	}
	for name, value := range f.Fields {
		fields[name] = value
	}
	fields[f.User], fields[f.Password] = cred.Login, cred.Secret
	status, answer, err := c.ask(ctx, http.MethodPost, f.Action, f.Page, encoded(f, fields))
	if err != nil {
		return nil, err
	}
	token, taken := c.taken(f, status, answer)
	if !taken {
		return nil, cannot("it did not accept the gateway's credential for the account", nil)
	}
	secrets = []string{cred.Secret}
	if token != "" {
		c.proof.set("Authorization", "Bearer "+token, time.Time{})
		secrets = append(secrets, token)
	}
	for _, v := range c.proof.held {
		secrets = append(secrets, v)
	}
	return secrets, nil
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
func (c *console) taken(f *gateway.Form, status int, answer []byte) (token string, ok bool) {
	switch {
	case f.Done != 0 && status != f.Done, f.Done == 0 && status >= http.StatusBadRequest:
		return "", false
	case f.Failed != "" && bytes.Contains(answer, []byte(f.Failed)):
		return "", false
	case f.LoggedIn != "" && c.proof.held[f.LoggedIn] == "":
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
// answer. It follows no redirect.
func (c *console) ask(ctx context.Context, method, path, from string, b *body) (status int, answer []byte, err error) {
	var sent io.Reader
	if b != nil {
		sent = bytes.NewReader(b.data)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.names.inner+path, sent)
	if err != nil {
		return 0, nil, cannot("its login form has a path that cannot be asked for", nil)
	}
	r.Host = c.names.host
	r.Header.Set("User-Agent", "Portcullis")
	if b != nil {
		r.Header.Set("Content-Type", b.kind)
		r.Header.Set("Origin", c.names.toTarget(c.names.outer))
		r.Header.Set("Referer", c.names.toTarget(c.names.outer)+from)
	}
	if held := c.proof.cookies(); held != "" {
		r.Header.Set("Cookie", held)
	}
	res, err := c.target.RoundTrip(r)
	if err != nil {
		return 0, nil, cannot("it broke off the login", err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxLoginPage))
	if err != nil {
		return 0, nil, cannot("it broke off the login", err)
	}
	for _, k := range res.Cookies() {
		c.proof.hold(k)
	}
	return res.StatusCode, answer, nil
}

// hold keeps a cookie of the login, or forgets it.
func (p *proof) hold(k *http.Cookie) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.MaxAge < 0 || k.Value == "" {
		delete(p.held, k.Name)
		return
	}
	p.held[k.Name] = k.Value
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
	var b strings.Builder
	for name, value := range p.held {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(name + "=" + value)
	}
	return b.String()
}

// hiddenFields finds the hidden inputs of a page. It reads tags and no
// scripts; of a page that is no HTML it finds none.
func hiddenFields(page []byte) map[string]string {
	fields := map[string]string{}
	lower := lowered(page)
	for at := 0; len(fields) < maxHidden; {
		i := bytes.Index(lower[at:], []byte("<input"))
		if i < 0 {
			break
		}
		at += i + len("<input")
		a, n := attributes(page[at:])
		at += n
		if strings.EqualFold(a["type"], "hidden") && a["name"] != "" {
			fields[a["name"]] = a["value"]
		}
	}
	return fields
}

// lowered is p in lower case, byte for byte.
func lowered(p []byte) []byte {
	q := bytes.Clone(p)
	for i, c := range q {
		if c >= 'A' && c <= 'Z' {
			q[i] = c + 'a' - 'A'
		}
	}
	return q
}

// attributes reads a tag's, up to its end.
func attributes(p []byte) (found map[string]string, n int) {
	found = map[string]string{}
	const space = " \t\r\n\f/"
	for n < len(p) && p[n] != '>' {
		if strings.IndexByte(space, p[n]) >= 0 {
			n++
			continue
		}
		start := n
		for n < len(p) && strings.IndexByte(space+"=>", p[n]) < 0 {
			n++
		}
		key := strings.ToLower(string(p[start:n]))
		for n < len(p) && strings.IndexByte(space, p[n]) >= 0 {
			n++
		}
		if n >= len(p) || p[n] != '=' {
			found[key] = ""
			if n == start { // a stray sign
				n++
			}
			continue
		}
		n++
		for n < len(p) && strings.IndexByte(" \t\r\n\f", p[n]) >= 0 {
			n++
		}
		var value []byte
		if n < len(p) && (p[n] == '"' || p[n] == '\'') {
			end := bytes.IndexByte(p[n+1:], p[n])
			if end < 0 {
				return found, len(p)
			}
			value = p[n+1 : n+1+end]
			n += end + 2
		} else {
			start := n
			for n < len(p) && strings.IndexByte(" \t\r\n\f>", p[n]) < 0 {
				n++
			}
			value = p[start:n]
		}
		if _, twice := found[key]; !twice {
			found[key] = html.UnescapeString(string(value))
		}
	}
	return found, n
}
