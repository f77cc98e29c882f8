package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// A store that does not answer is 503, and so on.
func TestProblems(t *testing.T) {
	for code, status := range map[gateway.Code]int{
		gateway.CodeInvalid: 400, gateway.CodeSignIn: 401, gateway.CodeRefused: 403, gateway.CodeNotFound: 404, gateway.CodeConflict: 409, gateway.CodeTooMany: 429, gateway.CodeUnavailable: 503, gateway.CodeInternal: 500,
	} {
		s := newStand(t)
		s.Broken = &gateway.Error{Code: code, Rule: "some-rule", Text: "what happened", Next: "what to do", Cause: errors.New("secret of the operator")}
		got, body := s.call("ana", http.MethodGet, "/requests", "")
		p := decoded[api.Problem](t, body)
		if got != status || p.Status != status || p.Detail != "what happened" || p.Rule != "some-rule" || p.Next != "what to do" || p.Type != "urn:portcullis:problem:"+string(code) || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %s", code, got, body)
		}
	}
	s := newStand(t)
	s.Broken = errors.New("open /var/lib/portcullis/secret: permission denied")
	if got, body := s.call("ana", http.MethodGet, "/requests", ""); got != 500 || strings.Contains(body, "/var/lib") {
		t.Errorf("a fault of our own: %d %s", got, body)
	}
}

func TestWhoSeesWhat(t *testing.T) {
	s := newStand(t)
	other, session := s.Requests[1].ID, s.Sessions[0].ID
	for _, c := range []struct {
		person, method, path, body string
		status                     int
	}{
		{"nobody", "GET", "/me", "", 401}, {"ana", "GET", "/me", "", 200}, {"machine", "GET", "/me", "", 200},
		{"ana", "GET", "/vendors", "", 403}, {"ana", "GET", "/people", "", 403}, {"ana", "GET", "/people/ana", "", 200}, {"ana", "GET", "/people/ben", "", 404},
		{"ana", "GET", "/requests/" + other, "", 404}, {"dora", "GET", "/requests/" + other, "", 200}, {"dora", "GET", "/sessions/" + session, "", 404}, {"dora", "GET", "/targets/rtu-7", "", 404},
		{"ana", "GET", "/recordings", "", 403}, {"omar", "GET", "/recordings", "", 200}, {"omar", "GET", "/recordings/" + session + "/input", "", 403}, {"rita", "GET", "/recordings/" + session + "/input", "", 200},
		{"ana", "GET", "/events", "", 403}, {"olga", "GET", "/events", "", 403}, {"rita", "GET", "/events?limit=2", "", 200}, {"rita", "GET", "/events?limit=0", "", 400}, {"rita", "GET", "/events?from=yesterday", "", 400},
		{"olga", "POST", "/suspensions/preview", `{"kind":"vendor","name":"acme"}`, 403}, {"omar", "POST", "/suspensions/preview", `{"kind":"vendor","name":"acme"}`, 200},
		{"olga", "POST", "/sessions/" + session + "/end", `{"detail":""}`, 403}, {"omar", "POST", "/sessions/" + session + "/end", `{"detail":"enough"}`, 200}, {"ana", "POST", "/sessions/" + session + "/end", `{"detail":""}`, 200},
		{"olga", "POST", "/requests", `{"target":"rtu-7"}`, 403}, {"ana", "POST", "/requests", `{"target":"rtu-7","reason":"x","seconds":3600,"abilities":["shell"]}`, 200},
		{"ana", "POST", "/requests", `{"target":"rtu-7","colour":"red"}`, 400}, {"ana", "POST", "/requests", `{} {}`, 400}, {"ana", "POST", "/requests", `{"seconds":99999999999}`, 400},
		{"ana", "POST", "/requests", `{"reason":"` + strings.Repeat("x", api.MaxBody) + `"}`, 400},
		{"machine", "GET", "/events", "", 200}, {"machine", "GET", "/nothing", "", 404},
	} {
		if got, body := s.call(c.person, c.method, c.path, c.body); got != c.status {
			t.Errorf("%s %s %s: %d, wants %d: %.200s", c.person, c.method, c.path, got, c.status, body)
		}
	}
}

// A vendor's people learn of a target what they need to ask for it.
func TestTargetsAreBareToVendors(t *testing.T) {
	s := newStand(t)
	_, body := s.call("ana", http.MethodGet, "/targets", "")
	got := decoded[api.Page[gateway.Target]](t, body)
	if len(got.Items) != 2 {
		t.Fatalf("acme sees %d targets: %s", len(got.Items), body)
	}
	for _, secret := range []string{"10.20.0.7", "10.40.7.2", "/etc/portcullis", "cobalt", "olga", "certificate", "ssh-ed25519"} {
		if strings.Contains(body, secret) {
			t.Errorf("a vendor's person reads %q", secret)
		}
	}
	_, body = s.call("ana", http.MethodGet, "/requests?vendor=borealis&person=dora", "")
	for _, r := range decoded[api.Page[gateway.Request]](t, body).Items {
		if r.Person != "ana" {
			t.Errorf("ana reads a request of %s", r.Person)
		}
	}
}

func TestActs(t *testing.T) {
	s := newStand(t)
	const order = `{"kind":"suspend","params":{"scope":{"kind":"vendor","name":"acme"},"reason":"drill"}}`
	if got, body := s.call("olga", http.MethodPost, "/acts", order); got != http.StatusForbidden {
		t.Errorf("an approver draws up a suspension: %d %s", got, body)
	}
	if got, _ := s.call("omar", http.MethodPost, "/acts", `{"kind":"authenticator.enrol","params":{}}`); got != http.StatusBadRequest {
		t.Errorf("a kind that is not signed here answers %d", got)
	}
	got, body := s.call("omar", http.MethodPost, "/acts", order)
	drawn := decoded[api.Challenge](t, body)
	if got != http.StatusOK || !strings.HasPrefix(drawn.Sentence, "Suspend vendor acme now") {
		t.Fatalf("draft: %d %s", got, body)
	}
	if done := s.Calls("commit"); len(done) > 0 {
		t.Fatalf("done before it was signed: %q", done)
	}
	got, body = s.call("omar", http.MethodPost, "/acts/"+drawn.ID, `{"assertion":{}}`)
	if done := decoded[api.Signed](t, body); got != http.StatusOK || done.Kind != statement.KindSuspend || done.Sentence != drawn.Sentence || len(s.Calls("commit suspend")) != 1 {
		t.Errorf("commit: %d %s", got, body)
	}
	if got, _ = s.call("omar", http.MethodPost, "/acts/"+drawn.ID, `{"assertion":{}}`); got != http.StatusForbidden || len(s.Calls("commit suspend")) != 1 {
		t.Errorf("the same signature again: %d", got)
	}
}

func TestMachineSignsAtOnce(t *testing.T) {
	const order = `{"kind":"suspend","params":{"scope":{"kind":"vendor","name":"acme"},"reason":"drill"}}`
	s := newStand(t)
	if got, _ := s.call("machine", http.MethodPost, "/acts", order); got != http.StatusForbidden {
		t.Errorf("a machine without a key signs: %d", got)
	}
	s = newStand(t, func(c *api.Config) {
		c.Machine = func(b statement.Body) (statement.Signed, error) {
			st, err := statement.Draft("http://localhost", statement.Machine, noon, nil, b)
			if err != nil {
				return statement.Signed{}, err
			}
			return statement.Seal(st)
		}
	})
	got, body := s.call("machine", http.MethodPost, "/acts", order)
	if done := decoded[api.Signed](t, body); got != http.StatusOK || done.Kind != statement.KindSuspend || len(s.Calls("commit suspend")) != 1 {
		t.Errorf("%d %s", got, body)
	}
}

// Who looks at a recording is written before anything is shown; where it
// cannot be written, nothing is shown.
func TestLookingIsAnEventFirst(t *testing.T) {
	s := newStand(t)
	id := s.Sessions[2].ID
	got, body := s.call("rita", http.MethodGet, "/recordings/"+id+"/asciicast?version=3", "")
	if got != http.StatusOK || !strings.Contains(body, `"version":3`) {
		t.Fatalf("%d %s", got, body)
	}
	if did := s.Calls(""); len(did) < 2 || did[len(did)-2] != "event recording.watched rita "+id || did[len(did)-1] != "asciicast 3" {
		t.Errorf("order: %q", did)
	}
	if s.call("rita", http.MethodGet, "/recordings/"+id+"/input", ""); len(s.Calls("event "+string(audit.InputRead))) != 1 {
		t.Errorf("reading what was typed is no event: %q", s.Calls("event"))
	}
	if got, _ := s.call("rita", http.MethodGet, "/recordings/"+id+"/har", ""); got != http.StatusConflict {
		t.Errorf("an SSH session's archive: %d", got)
	}
	s.Sessions[2].Protocol = gateway.KindHTTPS
	if got, body := s.call("omar", http.MethodGet, "/recordings/"+id+"/har", ""); got != http.StatusOK || !strings.Contains(body, `"version":"1.2"`) || s.Calls("")[len(s.Calls(""))-1] != "har "+id+" typed false" {
		t.Errorf("a console's archive: %d %s", got, body)
	}
	if got, _ := s.call("omar", http.MethodGet, "/recordings/"+id+"/har?typed=true", ""); got != http.StatusForbidden {
		t.Errorf("what was typed, for who may only watch: %d", got)
	}
	if got, _ := s.call("rita", http.MethodGet, "/recordings/"+id+"/har?typed=true", ""); got != http.StatusOK || len(s.Calls("event "+string(audit.InputRead))) != 2 {
		t.Errorf("what was typed: %d, events %q", got, s.Calls("event"))
	}
	if got, _ := s.call("rita", http.MethodGet, "/recordings/"+id+"/pcapng", ""); got != http.StatusConflict {
		t.Errorf("a console's packets: %d", got)
	}
	s.Sessions[2].Protocol = gateway.KindNetwork
	if got, body := s.call("omar", http.MethodGet, "/recordings/"+id+"/flows", ""); got != http.StatusOK || !strings.Contains(body, `"name":"hist"`) {
		t.Errorf("a tunnel's flows: %d %s", got, body)
	}
	if got, _ := s.call("omar", http.MethodGet, "/recordings/"+id+"/pcapng", ""); got != http.StatusForbidden || len(s.Calls("capture")) != 0 {
		t.Errorf("a tunnel's packets, for who may only watch: %d", got)
	}
	if got, _ := s.call("rita", http.MethodGet, "/recordings/"+id+"/pcapng", ""); got != http.StatusOK || len(s.Calls("event "+string(audit.InputRead))) != 3 {
		t.Errorf("a tunnel's packets: %d, events %q", got, s.Calls("event"))
	}
	s.Broken = gateway.Unavailable("store", nil)
	if got, _ := s.call("rita", http.MethodGet, "/recordings/"+id+"/pcapng", ""); got != http.StatusServiceUnavailable || len(s.Calls("capture")) != 1 {
		t.Errorf("packets shown without an event: %d", got)
	}
	if got, body := s.call("rita", http.MethodGet, "/recordings/"+id+"/asciicast", ""); got != http.StatusServiceUnavailable || strings.Contains(body, "uname") {
		t.Errorf("shown without an event: %d %s", got, body)
	}
}

// stream reads updates until n have come.
func (s *stand) stream(person string, n int) (updates []api.Update, ended bool) {
	s.t.Helper()
	srv := httptest.NewServer(s.server.Handler(s.actor(person)))
	defer srv.Close()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+api.Prefix+"/stream", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		s.t.Fatalf("the stream is %q", got)
	}
	lines, change := bufio.NewScanner(res.Body), false
	for lines.Scan() {
		name, data, _ := strings.Cut(lines.Text(), ": ")
		if name == "event" {
			change = data == "change"
		}
		if name != "data" || !change {
			continue
		}
		var u api.Update
		if err := json.Unmarshal([]byte(data), &u); err != nil {
			s.t.Fatal(err)
		}
		if updates = append(updates, u); len(updates) == n {
			return updates, false
		}
	}
	return updates, true
}

func TestStreamTellsPeopleTheirOwn(t *testing.T) {
	s := newStand(t)
	all, _ := s.stream("olga", len(s.Lines))
	if len(all) != len(s.Lines) || all[0].Name != audit.GatewayStarted {
		t.Errorf("the staff hears %d of %d", len(all), len(s.Lines))
	}
	mine, _ := s.stream("ana", 3)
	for _, u := range mine {
		if u.Person != "ana" && u.Actor != "ana" {
			t.Errorf("ana hears %+v", u)
		}
	}
	if heard, ended := s.stream("carl", 99); !ended || len(heard) != 1 {
		t.Errorf("a suspended person's stream goes on: ended %t, heard %d", ended, len(heard))
	}
}

func TestOpenAPIHoldsEveryRoute(t *testing.T) {
	s := newStand(t)
	got, body := s.call("nobody", http.MethodGet, "/openapi.json", "")
	doc := decoded[struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}](t, body)
	if got != http.StatusOK || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%d %.200s", got, body)
	}
	for _, c := range [][2]string{{"/vendors", "get"}, {"/people", "get"}, {"/targets", "get"}, {"/requests", "post"}, {"/grants", "get"}, {"/sessions", "get"}, {"/recordings", "get"}, {"/events", "get"}, {"/suspensions", "get"}, {"/stream", "get"}, {"/acts/{id}", "post"}} {
		if doc.Paths[api.Prefix+c[0]][c[1]] == nil {
			t.Errorf("%s %s is not described", c[1], c[0])
		}
	}
}

// What a list takes behind the question mark is described where it is read, by
// each route that reads it.
func TestOpenAPIHoldsQueries(t *testing.T) {
	s := newStand(t)
	_, body := s.call("nobody", http.MethodGet, "/openapi.json", "")
	doc := decoded[struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name, In, Description string
				Schema                map[string]any
			}
		}
	}](t, body)
	n := 0
	for path, want := range map[string]string{
		"/requests": "before limit person state target vendor", "/grants": "before limit person state target vendor",
		"/sessions":   "before grant limit live person target vendor",
		"/recordings": "before from kind limit person session target text to vendor",
		"/events":     "before from limit name person session text to vendor", "/recordings/{id}/asciicast": "download version", "/recordings/{id}/input": "download",
		"/recordings/{id}/har": "download typed", "/recordings/{id}/timeline": "after kind limit text", "/recordings/{id}/flows": "download", "/recordings/{id}/pcapng": "download",
		"/secrets": "since vendor", "/secrets/exposed": "since suspension vendor",
	} {
		var names []string
		for _, p := range doc.Paths[api.Prefix+path]["get"].Parameters {
			if p.In != "query" {
				continue
			}
			names = append(names, p.Name)
			if n++; p.Description == "" || p.Schema["type"] == nil {
				t.Errorf("%s: %s says nothing of itself", path, p.Name)
			}
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s takes %q, want %q", path, got, want)
		}
	}
	if all := strings.Count(body, `"in": "query"`); all != n {
		t.Errorf("%d parameters are described, and %d are known here", all, n)
	}
}

func TestMissingRoomIsAnError(t *testing.T) {
	if _, err := api.New(api.Config{}); err == nil || !strings.Contains(err.Error(), "api: no ") {
		t.Errorf("New of nothing: %v", err)
	}
}

// The description tells what a web console's target says of itself, by the
// types that are answered and taken.
func TestOpenAPIHoldsTargets(t *testing.T) {
	s := newStand(t)
	_, body := s.call("nobody", http.MethodGet, "/openapi.json", "")
	type schema struct {
		Ref         string `json:"$ref"`
		Description string
		Enum        []string
		Properties  map[string]struct {
			Ref         string `json:"$ref"`
			Description string
			Enum        []string
			Items       map[string]any
		}
	}
	doc := decoded[struct {
		Components struct{ Schemas map[string]schema }
	}](t, body)
	all := doc.Components.Schemas
	for _, name := range []string{"Target", "TargetDefine"} {
		if p := all[name].Properties["https"]; p.Ref != "#/components/schemas/HTTPS" || p.Description == "" {
			t.Errorf("%s.https is described as %+v", name, p)
		}
	}
	for _, field := range []string{"trust", "ca", "pins", "server_name", "host", "redact"} {
		if all["HTTPS"].Properties[field].Description == "" {
			t.Errorf("https.%s is not described", field)
		}
	}
	if got := strings.Join(all["HTTPS"].Properties["trust"].Enum, " "); got != "system ca pin" {
		t.Errorf("https.trust is one of %q", got)
	}
	if got := len(all["Account"].Properties["proof"].Enum); got != 8 || all["Account"].Properties["form"].Ref != "#/components/schemas/Form" || len(all["Form"].Properties) != 10 {
		t.Errorf("an account is described as %+v", all["Account"])
	}
	for _, ref := range regexp.MustCompile(`#/components/schemas/(\w+)`).FindAllStringSubmatch(body, -1) {
		if _, ok := all[ref[1]]; !ok {
			t.Errorf("%s is spoken of and not described", ref[1])
		}
	}
}
