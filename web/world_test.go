package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// stand is the sample plant behind a Server.
type stand struct {
	*webtest.World
	t      *testing.T
	server *web.Server
	h      http.Handler
}

func newStand(t *testing.T, change ...func(*webtest.World, *web.Config, *api.Config)) *stand {
	t.Helper()
	w := webtest.New(noon)
	rooms, cfg := w.Rooms(), web.Config{Identity: w.Identity(), URL: webtest.URL, SSH: "localhost:2022", Node: "node-1", Now: func() time.Time { return noon }}
	for _, f := range change {
		f(w, &cfg, &rooms)
	}
	a, err := api.New(rooms)
	if err != nil {
		t.Fatal(err)
	}
	cfg.API = a
	s, err := web.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.PretendBuilt()
	return &stand{w, t, s, s.Handler()}
}

// browser is how a browser's own page of ours calls.
func browser(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, webtest.URL+path, strings.NewReader(body))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	switch {
	case strings.HasPrefix(body, "{"):
		r.Header.Set("Content-Type", "application/json")
	case body != "":
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// as calls as a person; nobody is "".
func (s *stand) as(person, method, path, body string) *http.Response {
	s.t.Helper()
	r := browser(method, path, body)
	if person != "" {
		r.AddCookie(&http.Cookie{Name: "portcullis", Value: s.SignIn(person)})
	}
	return s.do(r)
}

func (s *stand) do(r *http.Request) *http.Response { return serve(s.h, r) }

func serve(h http.Handler, r *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result()
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// crawl visits every page that a person can reach by links, beginning at
// starts, and hands each to look.
func (s *stand) crawl(person string, look func(path string, res *http.Response, body string)) {
	s.t.Helper()
	todo, seen := []string{"/"}, map[string]bool{"/": true}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		res := s.as(person, http.MethodGet, path, "")
		body := text(s.t, res)
		look(path, res, body)
		for _, part := range strings.Split(body, `href="`)[1:] {
			href, _, _ := strings.Cut(part, `"`)
			href, _, _ = strings.Cut(strings.ReplaceAll(href, "&amp;", "&"), "#")
			u, err := url.Parse(href)
			if err != nil {
				s.t.Errorf("%s: link %q: %v", path, href, err)
				continue
			}
			if u.Host != "" || href == "" || strings.HasPrefix(href, "/assets/") || strings.HasPrefix(href, "/api/") || seen[href] {
				continue
			}
			seen[href] = true
			todo = append(todo, href)
		}
	}
	if len(seen) < 5 {
		s.t.Errorf("%s reaches %d pages only", person, len(seen))
	}
}
