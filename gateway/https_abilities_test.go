package gateway_test

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func TestAbilitiesJudgeRequests(t *testing.T) {
	part, err := gateway.ParseAbilities([]string{"GET", "POST", "path /reports", "path /api/v1/"})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := gateway.ParseAbilities([]string{"GET", "path /", "websocket", "upload", "download"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		a    gateway.Abilities
		q    gateway.HTTPAsk
		rule string // "" let
	}{
		{"below the prefix", part, gateway.HTTPAsk{Method: "GET", Path: "/reports/2026"}, ""},
		{"the prefix", part, gateway.HTTPAsk{Method: "POST", Path: "/reports"}, ""},
		{"a prefix with a slash", part, gateway.HTTPAsk{Method: "GET", Path: "/api/v1/x"}, ""},
		{"an escaped space", part, gateway.HTTPAsk{Method: "GET", Path: "/reports/a%20b"}, ""},
		{"half a segment", part, gateway.HTTPAsk{Method: "GET", Path: "/reports2"}, "abilities.paths"},
		{"another path", part, gateway.HTTPAsk{Method: "GET", Path: "/admin"}, "abilities.paths"},
		{"dots", part, gateway.HTTPAsk{Method: "GET", Path: "/reports/../admin"}, "abilities.paths"},
		{"escaped dots", part, gateway.HTTPAsk{Method: "GET", Path: "/reports/%2e%2e/admin"}, "abilities.paths"},
		{"escaped slash", part, gateway.HTTPAsk{Method: "GET", Path: "/reports/..%2fadmin"}, "abilities.paths"},
		{"escaped escape", part, gateway.HTTPAsk{Method: "GET", Path: "/reports/%252e%252e/admin"}, "abilities.paths"},
		{"backslash", part, gateway.HTTPAsk{Method: "GET", Path: `/reports\..\admin`}, "abilities.paths"},
		{"parameter", part, gateway.HTTPAsk{Method: "GET", Path: "/reports/..;/admin"}, "abilities.paths"},
		{"empty segment", part, gateway.HTTPAsk{Method: "GET", Path: "//reports"}, "abilities.paths"},
		{"NUL", part, gateway.HTTPAsk{Method: "GET", Path: "/reports/%00"}, "abilities.paths"},
		{"half an escape", part, gateway.HTTPAsk{Method: "GET", Path: "/reports/%2"}, "abilities.paths"},
		{"another method", part, gateway.HTTPAsk{Method: "DELETE", Path: "/reports"}, "abilities.methods"},
		{"no WebSocket", part, gateway.HTTPAsk{Method: "GET", Path: "/reports", WebSocket: true}, "abilities.websocket"},
		{"no upload", part, gateway.HTTPAsk{Method: "POST", Path: "/reports", Upload: true}, "abilities.upload"},
		{"no download", part, gateway.HTTPAsk{Method: "GET", Path: "/reports", Download: true}, "abilities.download"},
		{"the whole console", whole, gateway.HTTPAsk{Method: "GET", Path: "//a/%2e%2e;x/b", WebSocket: true}, ""},
	} {
		got := ""
		if err := c.a.LetsHTTP(c.q); err != nil {
			got = err.Rule
		}
		if got != c.rule {
			t.Errorf("%s: rule %q, want %q", c.name, got, c.rule)
		}
	}
}

func TestHTTPAbilitiesNarrow(t *testing.T) {
	parse := func(s string) gateway.Abilities {
		a, err := gateway.ParseAbilities(strings.Split(s, ","))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	wide := parse("GET,POST,path /a,path /b,websocket,upload,max-upload 1000")
	for _, c := range []struct {
		asked  string
		within bool
		both   string
	}{
		{"GET,path /a/x", true, "GET,path /a/x"},
		{"GET,path /", false, "GET,path /a,path /b"},
		{"GET,path /ab", false, "GET"},
		{"GET,path /a,upload", false, "upload,GET,path /a,max-upload 1000"},
		{"GET,path /a,upload,max-upload 10", true, "upload,GET,path /a,max-upload 10"},
		{"GET,path /a,upload,max-upload 2000", false, "upload,GET,path /a,max-upload 1000"},
		{"PUT,path /a", false, "path /a"},
		{"GET,path /a,websocket", true, "GET,path /a,websocket"},
		{"GET,path /a,rate 5,volume-in 10,volume-out 20", true, "GET,path /a,rate 5,volume-in 10,volume-out 20"},
	} {
		a := parse(c.asked)
		if got := a.Within(wide); got != c.within {
			t.Errorf("%s within: %v, want %v", c.asked, got, c.within)
		}
		and := a.And(wide)
		if got := strings.Join(and.List(), ","); got != c.both {
			t.Errorf("%s and: %s, want %s", c.asked, got, c.both)
		}
	}
}

func TestLimitsNarrow(t *testing.T) {
	parse := func(s string) gateway.Abilities {
		a, err := gateway.ParseAbilities(strings.Split(s, ","))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	wide := parse("GET,path /,rate 10,volume-in 100,volume-out 200")
	if !wide.Limited() || parse("GET,path /,rate 10,volume-in 100").Limited() {
		t.Error("a grant is limited where all three are stated, and only there")
	}
	for _, c := range []struct {
		asked  string
		within bool
		both   string
	}{
		{"GET,path /,rate 5,volume-in 100,volume-out 200", true, "GET,path /,rate 5,volume-in 100,volume-out 200"},
		{"GET,path /,rate 11,volume-in 1,volume-out 1", false, "GET,path /,rate 10,volume-in 1,volume-out 1"},
		{"GET,path /,rate 1,volume-in 101,volume-out 1", false, "GET,path /,rate 1,volume-in 100,volume-out 1"},
		{"GET,path /,volume-in 1,volume-out 1", false, "GET,path /,rate 10,volume-in 1,volume-out 1"},
		{"GET,path /", false, "GET,path /,rate 10,volume-in 100,volume-out 200"},
	} {
		a := parse(c.asked)
		if got := a.Within(wide); got != c.within {
			t.Errorf("%s within: %v, want %v", c.asked, got, c.within)
		}
		if got := strings.Join(a.And(wide).List(), ","); got != c.both {
			t.Errorf("%s and: %s, want %s", c.asked, got, c.both)
		}
	}
}

func TestAbilitiesFitTheKindOfTarget(t *testing.T) {
	for _, c := range []struct {
		kind  gateway.TargetKind
		asked string
		next  string // "" fits; else in the refusal
	}{
		{gateway.KindSSH, "shell,exec,upload,download,forward a:1", ""},
		{gateway.KindSSH, "shell,GET", "ask for shell, exec"},
		{gateway.KindSSH, "shell,path /", "ask for shell, exec"},
		{gateway.KindSSH, "shell,websocket", "ask for shell, exec"},
		{gateway.KindSSH, "upload,max-upload 5", "ask for shell, exec"},
		{gateway.KindSSH, "shell,rate 5", "ask for shell, exec"},
		{gateway.KindSSH, "shell,volume-out 5", "ask for shell, exec"},
		{gateway.KindHTTPS, "GET,path /", ""},
		{gateway.KindHTTPS, "GET,POST,path /a,path /b/,websocket,upload,download,max-upload 5,max-download 6", ""},
		{gateway.KindHTTPS, "shell", "GET, HEAD, OPTIONS and path /"},
		{gateway.KindHTTPS, "GET,path /,exec", "GET, HEAD, OPTIONS and path /"},
		{gateway.KindHTTPS, "GET,path /,forward a:1", "GET, HEAD, OPTIONS and path /"},
		{gateway.KindHTTPS, "GET", "ask for path /"},
		{gateway.KindHTTPS, "path /", "to look ask for GET, HEAD, OPTIONS"},
		{gateway.KindHTTPS, "upload,download", "to look ask for GET, HEAD, OPTIONS"},
		{gateway.KindHTTPS, "GET,path /,max-upload 5", "ask for upload too"},
		{gateway.KindHTTPS, "GET,path /,max-download 5", "ask for download too"},
	} {
		a, err := gateway.ParseAbilities(strings.Split(c.asked, ","))
		if err != nil {
			t.Fatal(err)
		}
		err = a.Fits(c.kind)
		if c.next == "" && err != nil || c.next != "" && (!gateway.IsCode(err, gateway.CodeInvalid) || !strings.Contains(err.Error(), c.next)) {
			t.Errorf("%s on %s: %v, want %q", c.asked, c.kind, err, c.next)
		}
	}
}

func TestReadOnlyIsLookingAlone(t *testing.T) {
	for asked, want := range map[string]bool{
		"GET,path /": true, "GET,HEAD,OPTIONS,path /,download": true, "GET,POST,path /": false, "PROPFIND,path /": false,
		"GET,path /,upload": false, "GET,path /,websocket": false, "shell": false, "download": false,
	} {
		a, err := gateway.ParseAbilities(strings.Split(asked, ","))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.ReadOnly(); got != want {
			t.Errorf("%s: read only %v, want %v", asked, got, want)
		}
	}
}

func TestHTTPAbilitiesAreRead(t *testing.T) {
	for _, s := range []string{"CONNECT", "get", "path", "path x", "path /a/../b", "path /a;b", "path /%2f", "max-upload", "max-upload 0", "max-upload -1", "max-download x", "rate", "rate 0", "rate 10001", "rate x", "volume-in 0", "volume-out -1", "volume 5", "websocket yes"} {
		if a, err := gateway.ParseAbilities([]string{s}); err == nil {
			t.Errorf("%q was taken: %v", s, a.List())
		}
	}
}
