package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 32 << 20

// Person is somebody with a login at the gateway's pages and, where Key is
// set, a FIDO2 key. The machine itself, at the local socket, is one too.
type Person struct {
	Name  string
	Key   *Key
	Agent string // User-Agent, which the login is bound to

	base string
	http *http.Client
	from http.Header // what a browser adds
}

// Problem is a refusal (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Rule   string `json:"rule"`
	Next   string `json:"next"`
}

// Error returns what the gateway said.
func (p *Problem) Error() string {
	return fmt.Sprintf("%d %s: %s (rule %s); %s", p.Status, p.Title, p.Detail, p.Rule, p.Next)
}

// NewPerson is somebody at a browser of his own who has not signed in.
func (g *Gateway) NewPerson(name string) *Person {
	jar, _ := cookiejar.New(nil) // fails for no options
	u, _ := url.Parse(g.URL)
	return &Person{
		Name: name, Key: NewKey(g.URL, u.Hostname()), Agent: "rig/" + name, base: g.URL,
		http: &http.Client{Jar: jar, Timeout: time.Minute, Transport: g.transport(nil), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// Machine is root at the local socket.
func (g *Gateway) Machine() *Person {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", g.Data+"/portcullis.sock")
	}
	return &Person{Name: "machine", base: "http://portcullis", http: &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: time.Minute}}
}

// Get reads a route of the API or a page into v (which may be nil, a *string,
// or anything JSON decodes into).
func (p *Person) Get(ctx context.Context, path string, v any) error {
	return p.call(ctx, http.MethodGet, path, nil, v)
}

// Post sends in as JSON.
func (p *Person) Post(ctx context.Context, path string, in, v any) error {
	return p.call(ctx, http.MethodPost, path, in, v)
}

// PostFrom sends in as a page of another site would have the browser do.
func (p *Person) PostFrom(ctx context.Context, path, site, origin string, in any) error {
	other := *p
	other.from = http.Header{"Sec-Fetch-Site": {site}, "Origin": {origin}}
	return other.call(ctx, http.MethodPost, path, in, nil)
}

// Cookies are what the person's browser would send to the gateway.
func (p *Person) Cookies() []*http.Cookie {
	u, err := url.Parse(p.base)
	if err != nil || p.http.Jar == nil {
		return nil
	}
	return p.http.Jar.Cookies(u)
}

func (p *Person) call(ctx context.Context, method, path string, in, v any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, body)
	if err != nil {
		return err
	}
	maps.Copy(req.Header, p.from)
	req.Header.Set("User-Agent", p.Agent)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		no := &Problem{Status: res.StatusCode, Title: res.Status}
		if json.Unmarshal(raw, no) != nil {
			no.Detail = strings.TrimSpace(string(raw[:min(len(raw), 400)]))
		}
		return no
	}
	switch v := v.(type) {
	case nil:
	case *string:
		*v = string(raw)
	default:
		if err := json.Unmarshal(raw, v); err != nil {
			return fmt.Errorf("read the answer of %s: %w: %.200s", path, err, raw)
		}
	}
	return nil
}

// Challenge is what has been drawn up to be signed.
type Challenge struct {
	ID       string          `json:"id"`
	Sentence string          `json:"sentence"`
	Options  json.RawMessage `json:"options"`
}

// Draft has a statement drawn up.
func (p *Person) Draft(ctx context.Context, kind string, params any) (Challenge, error) {
	var c Challenge
	return c, p.Post(ctx, "/api/v1/acts", map[string]any{"kind": kind, "params": params}, &c)
}

// Act has a statement drawn up, touches the key, and has it done. The result
// goes to v, which may be nil. At the local socket the machine signs.
func (p *Person) Act(ctx context.Context, kind string, params, v any) error {
	var done struct {
		Result json.RawMessage `json:"result"`
	}
	if p.Key == nil {
		if err := p.Post(ctx, "/api/v1/acts", map[string]any{"kind": kind, "params": params}, &done); err != nil {
			return fmt.Errorf("%s by %s: %w", kind, p.Name, err)
		}
	} else {
		c, err := p.Draft(ctx, kind, params)
		if err != nil {
			return fmt.Errorf("draft %s for %s: %w", kind, p.Name, err)
		}
		assertion, err := p.Key.Get(c.Options)
		if err != nil {
			return err
		}
		if err := p.Post(ctx, "/api/v1/acts/"+c.ID, map[string]any{"assertion": assertion}, &done); err != nil {
			return fmt.Errorf("%s by %s: %w", kind, p.Name, err)
		}
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(done.Result, v)
}

// At is the same person, who finds the pages at another node's listener, as a
// load balancer would have it.
func (p *Person) At(g *Gateway) *Person {
	c, browser := *p, *p.http
	browser.Transport = g.transport(func() string { return g.Web })
	c.http = &browser
	return &c
}

// Clone is the same login in other hands: the cookies are copied, the key is
// not, and the User-Agent is agent.
func (p *Person) Clone(agent string) *Person {
	c := *p
	c.Agent, c.Key = agent, nil
	return &c
}
