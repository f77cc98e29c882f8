package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// stand is the sample plant behind the API.
type stand struct {
	*webtest.World
	t      *testing.T
	server *api.Server
}

func newStand(t *testing.T, change ...func(*api.Config)) *stand {
	t.Helper()
	w := webtest.New(noon)
	rooms := w.Rooms()
	for _, f := range change {
		f(&rooms)
	}
	s, err := api.New(rooms)
	if err != nil {
		t.Fatal(err)
	}
	return &stand{w, t, s}
}

// actor is that person with a login, or the machine.
func (s *stand) actor(person string) api.Actor {
	if person == "machine" {
		return api.Machine
	}
	return func(*http.Request) (api.Who, error) {
		for _, p := range s.People {
			if p.Name == person {
				return api.Who{Person: p, Login: &gateway.Login{ID: "lgn_" + person, Person: person}}, nil
			}
		}
		return api.Who{}, &gateway.Error{Code: gateway.CodeSignIn, Text: "nobody is signed in"}
	}
}

// call returns the status and the body.
func (s *stand) call(person, method, path, body string) (int, string) {
	s.t.Helper()
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(method, api.Prefix+path, strings.NewReader(body))
	s.server.Handler(s.actor(person)).ServeHTTP(rec, r)
	return rec.Code, rec.Body.String()
}

func decoded[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}
