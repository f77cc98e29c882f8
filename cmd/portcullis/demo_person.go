package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// demoTimeout bounds one call of the check.
const demoTimeout = 20 * time.Second

// demoPerson is a person of the demo's check: a browser's cookies and a
// security key in software. Everything goes through the pages' own routes.
type demoPerson struct {
	name string
	base string
	key  *softkey.Key
	http *http.Client
}

func newDemoPerson(name, base string) (*demoPerson, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &demoPerson{name: name, base: base, key: softkey.New(base), http: &http.Client{Jar: jar, Timeout: demoTimeout}}, nil
}

// call posts (or gets, where in is nil) JSON.
func (p *demoPerson) call(ctx context.Context, path string, in, out any) error {
	method, body := http.MethodGet, io.Reader(nil)
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		method, body = http.MethodPost, bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", p.base)
	req.Header.Set("User-Agent", "portcullis demo --check ("+p.name+")")
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %w", method, path, problem(res))
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil || out == nil {
		return err
	}
	if text, ok := out.(*string); ok {
		*text = string(raw)
		return nil
	}
	return json.Unmarshal(raw, out)
}

// enrolDemo is somebody who has followed an invitation's link.
func enrolDemo(ctx context.Context, name, base, link string) (*demoPerson, error) {
	p, err := newDemoPerson(name, base)
	if err != nil {
		return nil, err
	}
	if err := p.enrol(ctx, link); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// enrol follows an invitation's link and enrols the key, which signs in too.
func (p *demoPerson) enrol(ctx context.Context, link string) error {
	u, err := url.Parse(link)
	if err != nil {
		return err
	}
	var begun struct {
		ID      string          `json:"id"`
		Options json.RawMessage `json:"options"`
	}
	if err := p.call(ctx, "/enrol/begin", map[string]string{"token": u.Fragment, "label": "software key of the check"}, &begun); err != nil {
		return err
	}
	credential, err := p.key.Create(begun.Options)
	if err != nil {
		return err
	}
	var created struct {
		Challenges []api.Challenge `json:"challenges"`
	}
	if err := p.call(ctx, "/enrol/created", map[string]any{"id": begun.ID, "credential": json.RawMessage(credential)}, &created); err != nil {
		return err
	}
	if len(created.Challenges) == 0 {
		return errors.New("the gateway asks for no touch of the new key")
	}
	var assertions []json.RawMessage
	for _, c := range created.Challenges {
		a, err := p.touch(c)
		if err != nil {
			return err
		}
		assertions = append(assertions, a)
	}
	return p.call(ctx, "/enrol/finish", map[string]any{"id": created.Challenges[0].ID, "assertions": assertions}, nil)
}

// touch signs a statement, after a look that it says what is on the screen.
func (p *demoPerson) touch(c api.Challenge) (json.RawMessage, error) {
	st, _, err := statement.Parse(c.Statement)
	if err != nil {
		return nil, err
	}
	if st.Sentence != c.Sentence {
		return nil, errors.New("the screen shows another sentence than the statement holds")
	}
	return p.key.Get(c.Options)
}

// act draws up, signs and hands in one statement.
func (p *demoPerson) act(ctx context.Context, kind statement.Kind, params, result any) error {
	var c api.Challenge
	if err := p.call(ctx, api.Prefix+"/acts", map[string]any{"kind": kind, "params": params}, &c); err != nil {
		return err
	}
	a, err := p.touch(c)
	if err != nil {
		return err
	}
	out := struct {
		Result any `json:"result"`
	}{result}
	return p.call(ctx, api.Prefix+"/acts/"+url.PathEscape(c.ID), map[string]any{"assertion": a}, &out)
}

// touchLink touches for the connection that a link in a terminal names.
func (p *demoPerson) touchLink(ctx context.Context, line string) error {
	_, id, ok := strings.Cut(line, p.base+"/touch/")
	if !ok {
		return fmt.Errorf("no link in %q", line)
	}
	return p.act(ctx, statement.KindOpen, api.OpenParams{Pending: strings.TrimSpace(id)}, nil)
}

// approve agrees to a request as asked; one touch must do.
func (p *demoPerson) approve(ctx context.Context, request string) (gateway.Grant, error) {
	var out struct {
		Grant *gateway.Grant `json:"grant"`
	}
	if err := p.act(ctx, statement.KindApprove, api.ApproveParams{Request: request}, &out); err != nil {
		return gateway.Grant{}, err
	}
	if out.Grant == nil {
		return gateway.Grant{}, errors.New("one approval of a low impact target made no grant")
	}
	return *out.Grant, nil
}
