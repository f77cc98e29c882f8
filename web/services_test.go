package web_test

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

const (
	nightlyRequest = "req_00000000000000000000000080"
	nightlyGrant   = "grt_00000000000000000000000080"
)

type consoles struct{}

func (consoles) Open(context.Context, web.ConsoleOpening) (string, error) {
	return "", gateway.Unavailable("console", nil)
}

func (consoles) ServiceAddress(target string) string {
	return "https://svc-" + target + ".apps.example.com"
}

// servicesStand has a service account that an engineer answers for, one that
// somebody of the staff does, and a console that each may be granted.
func servicesStand(t *testing.T) *stand {
	s := newStand(t, func(_ *webtest.World, c *web.Config, _ *api.Config) { c.Consoles = consoles{} })
	account := func(name, title, vendor, owner string) {
		s.People = append(s.People, gateway.Person{
			Name: name, Title: title, Vendor: vendor, Roles: []gateway.Role{gateway.ServiceAccount}, State: gateway.Active, Epoch: 1, Version: 1,
			Service: &gateway.Service{Owner: owner, Key: "sha256:" + strings.Repeat("ab", 32), Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.8/32")}},
		})
	}
	account("nightly", "Nightly pull of trends", "acme", "ana")
	account("spectra", "Spectra upload", "borealis", "olga")
	for name, vendor := range map[string]string{"pump-web": "acme", "turbine-web": "borealis"} {
		s.Targets = append(s.Targets, gateway.Target{Name: name, Title: "Console " + name, Kind: gateway.KindHTTPS, Zone: "norte", Impact: gateway.Low, Vendors: []string{vendor}, Accounts: []gateway.Account{{Name: "ops"}}})
	}
	may := gateway.Abilities{Methods: gateway.ReadMethods(), Paths: []string{"/trends"}, Rate: 5, VolumeIn: 1_000_000, VolumeOut: 50_000_000}
	s.Requests = append(s.Requests, gateway.Request{ID: nightlyRequest, Person: "nightly", Asker: "ana", Vendor: "acme", Target: "pump-web", Account: "ops", Terms: gateway.Terms{Length: 20 * 24 * time.Hour, Abilities: may}, Reason: "Pull of trends", State: gateway.RequestGranted, Asked: s.Now, Needs: 2})
	s.Grants = append(s.Grants, gateway.Grant{ID: nightlyGrant, Request: nightlyRequest, Person: "nightly", Vendor: "acme", Target: "pump-web", Account: "ops", Abilities: may, From: s.Now.Add(-time.Hour), To: s.Now.Add(19 * 24 * time.Hour), State: gateway.GrantOpen})
	return s
}

// The owner of a service account finds it, what it may, and the form that asks
// for it: consoles of its vendor alone, with a rate and volumes.
func TestOwnerAsksForAServiceAccount(t *testing.T) {
	s := servicesStand(t)
	for _, c := range []struct {
		who, path string
		has, not  []string
	}{
		{"ana", "/", []string{`href="/services"`, "1 service account<"}, nil},
		{"ben", "/", nil, []string{`href="/services"`}},
		{"ana", "/services", []string{"Nightly pull of trends", "203.0.113.8/32", `href="/requests/new?service=nightly"`, "ops on pump-web", "https://svc-pump-web.apps.example.com/"}, []string{"Spectra", "/services/new"}},
		{"ben", "/services", []string{"There is none that you answer for"}, []string{"Nightly"}},
		{"olga", "/services", []string{"Nightly", "Spectra", `href="/requests/new?service=spectra"`}, []string{`service=nightly"`}},
		{"ana", "/requests/new?service=nightly", []string{"for Nightly pull of trends", `value="pump-web"`, `name="rate"`, `name="service" value="nightly"`}, []string{`value="rtu-7"`, `value="turbine-web"`, "The input is wrong"}},
		{"olga", "/requests/new?service=spectra", []string{`value="turbine-web"`, `name="rate"`}, []string{`value="pump-web"`}},
		{"ana", "/requests/new", []string{`value="rtu-7"`}, []string{`name="rate"`}},
		{"ana", "/requests/" + nightlyRequest, []string{"a service account; asked by ana", "https://svc-pump-web.apps.example.com/", "/requests/new?extends=" + nightlyGrant, "/requests/new?like=" + nightlyRequest}, []string{"ssh ops"}},
		{"ana", "/requests/new?like=" + nightlyRequest, []string{"for Nightly pull", `name="rate" value="5"`, `name="service_out" value="50"`, "/trends</textarea>"}, nil},
		{"ana", "/requests/new?extends=" + nightlyGrant, []string{"for Nightly pull", `name="rate" value="5"`, `value="extend" checked`}, nil},
		{"olga", "/people/nightly", []string{"sha256:abab", `href="/people/ana"`}, []string{"Invitation", "SSH keys"}},
		{"root", "/services", []string{`href="/services/new"`}, nil},
		{"root", "/services/nightly/edit", []string{`value="ana"`, `data-act="person.admit"`, `value="service" data-as="list"`, "203.0.113.8/32\n"}, nil},
	} {
		body := text(t, s.as(c.who, http.MethodGet, c.path, ""))
		for _, want := range c.has {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %s lacks %q", c.who, c.path, want)
			}
		}
		for _, no := range c.not {
			if strings.Contains(body, no) {
				t.Errorf("%s: %s has %q", c.who, c.path, no)
			}
		}
	}
	for who, service := range map[string]string{"ana": "nightly", "olga": "spectra"} {
		s.Asked = nil
		target := map[string]string{"nightly": "pump-web", "spectra": "turbine-web"}[service]
		res := s.as(who, http.MethodPost, "/requests", form("service", service, "target", target, "account", "ops", "hours", "48", "reason", "Pull", "level", "look", "paths", "/trends", "rate", "5", "service_in", "1", "service_out", "0.5"))
		if res.StatusCode != http.StatusSeeOther || len(s.Asked) != 1 {
			t.Fatalf("%s: answers %d: %s", who, res.StatusCode, text(t, res))
		}
		want := append(gateway.ReadMethods(), "path /trends", "rate 5", "volume-in 1000000", "volume-out 500000")
		if got := s.Asked[0]; got.Service != service || !slices.Equal(got.Abilities, want) {
			t.Errorf("%s asked for %+v", who, got)
		}
	}
}

// Nobody asks in the name of a service account but who answers for it, and no
// request goes without its limits.
func TestServiceAccountIsNobodyElses(t *testing.T) {
	s := servicesStand(t)
	for _, c := range []struct {
		who, method, path, form string
		code                    int
		says                    string
	}{
		{"ben", "GET", "/requests/new?service=nightly", "", 404, "service account"},
		{"ben", "GET", "/requests/new?service=none", "", 404, "service account"},
		{"ben", "GET", "/requests/new?service=ana", "", 404, "service account"},
		{"olga", "GET", "/requests/new?service=nightly", "", 403, "ana answers for service account nightly"},
		{"olga", "GET", "/requests/new", "", 403, ""},
		{"olga", "POST", "/requests", form("target", "rtu-7", "reason", "x"), 403, ""},
		{"ben", "POST", "/requests", form("service", "nightly", "target", "pump-web", "account", "ops", "hours", "2", "reason", "x", "rate", "5", "service_in", "1", "service_out", "1"), 404, "service account"},
		{"ben", "GET", "/requests/" + nightlyRequest, "", 404, ""},
		{"ben", "GET", "/requests/new?like=" + nightlyRequest, "", 404, ""},
		{"ben", "GET", "/requests/new?extends=" + nightlyGrant, "", 404, ""},
		{"ben", "GET", "/services/new", "", 403, ""},
		{"root", "GET", "/services/ana/edit", "", 404, "service account"},
		{"ana", "POST", "/requests", form("service", "nightly", "target", "pump-web", "account", "ops", "hours", "2", "reason", "x", "service_in", "1", "service_out", "1"), 400, "requests a second"},
		{"ana", "POST", "/requests", form("service", "nightly", "target", "pump-web", "account", "ops", "hours", "2", "reason", "x", "rate", "5", "service_out", "1"), 400, "not a size above 0"},
	} {
		res := s.as(c.who, c.method, c.path, c.form)
		if body := text(t, res); res.StatusCode != c.code || !strings.Contains(strings.ToLower(body), strings.ToLower(c.says)) {
			t.Errorf("%s: %s %s %s answers %d: %.300s", c.who, c.method, c.path, c.form, res.StatusCode, body)
		}
	}
	if len(s.Asked) > 0 {
		t.Errorf("asked: %+v", s.Asked)
	}
}
