package httpsproxy

import (
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func testNames(rule gateway.HostRule) names {
	t := gateway.Target{Address: "10.1.2.3:8443", HTTPS: &gateway.HTTPS{ServerName: "hist.plant.internal", Host: rule}}
	return newNames(t, "https://"+testHost)
}

// TestW15WhereAnAnswerLeads: back to the console, or where it led; the target's
// own names are not shown.
func TestW15WhereAnAnswerLeads(t *testing.T) {
	n := testNames(gateway.HostTarget)
	const outer = "https://" + testHost
	for in, want := range map[string]string{
		"https://hist.plant.internal:8443/a?b=1#c": outer + "/a?b=1#c",
		"https://HIST.plant.internal.:8443/a":      outer + "/a",
		"https://10.1.2.3:8443/x%2Fy":              outer + "/x%2Fy",
		"http://hist.plant.internal/a":             outer + "/a",
		"http://hist.plant.internal:80":            outer + "/",
		"//hist.plant.internal:8443/a":             outer + "/a",
		"https://u:p@hist.plant.internal:8443/a":   outer + "/a",
		outer + "/a":                               outer + "/a",
		"http://" + testHost + "/a":                outer + "/a",
		"/a/b?c":                                   "/a/b?c",
		"../x":                                     "../x",
		"https://elsewhere.example/a":              "https://elsewhere.example/a",
		"https://hist.plant.internal:9999/a":       "https://hist.plant.internal:9999/a",
		"https://hist.plant.internal.evil.com/":    "https://hist.plant.internal.evil.com/",
		"https://hist.plant.internal@evil.com/":    "https://hist.plant.internal@evil.com/",
		"javascript:alert(1)":                      "javascript:alert(1)",
		"ftp://hist.plant.internal/":               "ftp://hist.plant.internal/",
		"https://hist.plant.internal:8443//evil":   outer + "//evil",
	} {
		if got := n.toBrowser(in); got != want {
			t.Errorf("%s leads to %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"5; url=https://10.1.2.3:8443/x": "5; url=" + outer + "/x", "0;URL='/y'": "0; url=/y", "3": "3", "1, https://hist.plant.internal/z": "1; url=" + outer + "/z",
	} {
		if got := n.refresh(in); got != want {
			t.Errorf("Refresh %s became %s, want %s", in, got, want)
		}
	}
}

// TestW16Cookies: of its own host alone, and never one of the gateway's.
func TestW16Cookies(t *testing.T) {
	for in, want := range map[string]string{
		"sid=1; Domain=plant.internal; Path=/a; Secure; HttpOnly; SameSite=Lax": "sid=1; Path=/a; Secure; HttpOnly; SameSite=Lax",
		"__Host-x=1; Path=/; Secure; domain = apps.test":                        "__Host-x=1; Path=/; Secure",
		"a=b=c; Max-Age=5; Partitioned":                                         "a=b=c; Max-Age=5; Partitioned",
		"__Host-portcullis-app=x; Path=/":                                       "",
		"__hOST-Portcullis-app=x":                                               "",
		"portcullis-app=x":                                                      "",
		"portcullis=x":                                                          "",
		"__Secure-portcullis-login=x":                                           "",
		"=__Host-portcullis-app=x":                                              "",
		"__Host-portcullis-app":                                                 "",
		" portcullis-app =x":                                                    "",
	} {
		if _, got := appSetCookie(in); got != want {
			t.Errorf("%s became %q, want %q", in, got, want)
		}
	}
	kept, own := splitCookies([]string{"a=1; __Host-portcullis-app=n1.x; b=2", "portcullis-app=y; =portcullis-app=z; c"}, nil)
	if kept != "a=1; b=2; c" || len(own) != 3 {
		t.Errorf("kept %q, own %v", kept, own)
	}
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for i := range 60 {
			http.SetCookie(rw, &http.Cookie{Name: fmt.Sprintf("c%d", i), Value: "v", Domain: "console.plant.internal"})
		}
		rw.Header().Add("Set-Cookie", "__Host-portcullis-app=stolen; Path=/; Secure")
	}))
	w.enter()
	res, _ := w.get("/", "Cookie", "app=1")
	if n := len(res.Cookies()); n != 60 || res.Cookies()[0].Domain != "" {
		t.Errorf("%d cookies came", n)
	}
	for _, f := range w.live.ch.of(gateway.HTTPResponse)[0].Header {
		if f.Name == "Set-Cookie" && (f.Value != "" || f.Redacted == "") {
			t.Errorf("recorded %+v", f)
		}
	}
}

// TestW19WhatTheTargetHears: its own names or the browser's, all of one kind;
// who asks is told by the gateway alone, however the field is spelled.
func TestW19WhatTheTargetHears(t *testing.T) {
	for _, rule := range []gateway.HostRule{gateway.HostTarget, gateway.HostApp} {
		var got http.Header
		var host string
		w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			got, host = r.Header.Clone(), r.Host
			rw.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			rw.Header().Set("Alt-Svc", `h3=":443"`)
			rw.Header().Set("Strict-Transport-Security", "max-age=0")
			rw.Header().Set("Keep-Alive", "x")
		}), func(w *world) { w.live.target.HTTPS.Host = rule })
		w.enter()
		r := w.request("POST", "/", strings.NewReader("a=1"), "Origin", "https://"+testHost, "Referer", "https://"+testHost+"/page?x", "X-Forwarded-For", "6.6.6.6", "X_Forwarded_For", "6.6.6.6",
			"Forwarded", "for=6.6.6.6", "X-Real-Ip", "6.6.6.6", "X_real-ip", "6.6.6.6", "X-Forwarded-Host", "evil", "X-Original-Url", "/admin", "Connection", "close, X-Hop", "X-Hop", "1", "Proxy-Authorization", "Basic eA==", "Upgrade", "h2c")
		res, _ := w.do(w.client(false), r)
		origin := "https://" + testHost
		if rule == gateway.HostTarget {
			origin = "https://" + host
			if !strings.HasPrefix(host, "console.plant.internal:") || got.Get("X-Forwarded-Host") != "" {
				t.Errorf("Host %q, X-Forwarded-Host %q", host, got.Get("X-Forwarded-Host"))
			}
		} else if host != testHost || got.Get("X-Forwarded-Host") != testHost {
			t.Errorf("Host %q", host)
		}
		if got.Get("Origin") != origin || got.Get("Referer") != origin+"/page?x" || res.Header.Get("Access-Control-Allow-Origin") != "https://"+testHost {
			t.Errorf("Origin %q, Referer %q, allowed %q", got.Get("Origin"), got.Get("Referer"), res.Header.Get("Access-Control-Allow-Origin"))
		}
		raw, _ := json.Marshal(got)
		for _, bad := range []string{"6.6.6.6", "evil", "/admin", "X-Hop", "h2c", "Proxy-"} {
			if strings.Contains(string(raw), bad) {
				t.Errorf("the target heard %q in %s", bad, raw)
			}
		}
		if !slices.Equal(got["X-Forwarded-For"], []string{"127.0.0.1"}) || !strings.HasPrefix(got.Get("Forwarded"), "for=127.0.0.1;proto=https") {
			t.Errorf("X-Forwarded-For %q, Forwarded %q", got["X-Forwarded-For"], got["Forwarded"])
		}
		for _, name := range []string{"Alt-Svc", "Strict-Transport-Security", "Keep-Alive"} {
			if res.Header.Get(name) != "" {
				t.Errorf("the browser got %s", name)
			}
		}
	}
}

// TestW21CompressedBodies: pass as they came where nothing has to be looked
// for in them; where something has, they come plain.
func TestW21CompressedBodies(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Asked", r.Header.Get("Accept-Encoding"))
		rw.Header().Set("Content-Type", r.URL.Query().Get("type"))
		rw.Header().Set("Content-Encoding", r.URL.Query().Get("as"))
		z := gzip.NewWriter(rw)
		_, _ = io.WriteString(z, `{"token":"`+canary+`"}`)
		_ = z.Close()
	}), func(w *world) {
		w.live.account.Proof, w.live.cred = gateway.ProofBearer, Credential{Proof: gateway.ProofBearer, Secret: canary}
	})
	w.enter()
	res, body := w.get("/?as=gzip&type=image/png", "Accept-Encoding", "gzip, br", "Sec-Fetch-Dest", "image")
	if res.Header.Get("X-Asked") != "gzip" || res.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("image: %v", res.Header)
	}
	res, body = w.get("/?as=gzip&type=application/json", "Accept-Encoding", "gzip, br")
	if res.Header.Get("X-Asked") != "identity" || res.Header.Get("Content-Encoding") != "" || body != `{"token":"`+strings.Repeat("*", len(canary))+`"}` {
		t.Errorf("json: %v %q", res.Header, body)
	}
	if res, _ = w.get("/?as=br&type=text/html", "Accept-Encoding", "gzip, br"); res.StatusCode != http.StatusBadGateway && res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("what cannot be looked through was answered with %d", res.StatusCode)
	}
	if got := w.live.ch.body(gateway.HTTPShown); strings.Contains(got, canary) {
		t.Error("the secret is in the recording")
	}
}

// TestW26Credentials: each kind reaches the target on every request, once,
// whatever the browser sends; and nothing of it comes back or is recorded.
func TestW26Credentials(t *testing.T) {
	for name, x := range map[string]struct {
		account gateway.Account
		cred    Credential
		want    func(r *http.Request) bool
	}{
		"basic": {gateway.Account{Login: "svc"}, Credential{Proof: gateway.ProofPassword, Login: "svc", Secret: canary}, func(r *http.Request) bool { u, p, ok := r.BasicAuth(); return ok && u == "svc" && p == canary }},
		"bearer": {gateway.Account{}, Credential{Proof: gateway.ProofBearer, Secret: canary}, func(r *http.Request) bool {
			return slices.Equal(r.Header["Authorization"], []string{"Bearer " + canary})
		}},
		"header": {gateway.Account{Header: "x-plant-key"}, Credential{Proof: gateway.ProofHeader, Secret: canary}, func(r *http.Request) bool {
			return slices.Equal(r.Header["X-Plant-Key"], []string{canary}) && r.Header["X_plant-Key"] == nil && r.Header.Get("Authorization") == "Bearer mine"
		}},
		"form": {gateway.Account{Form: &gateway.Form{Page: "/login", Action: "/login", User: "u", Password: "p", LoggedIn: "console_session", Failed: "wrong"}}, Credential{Proof: gateway.ProofForm, Login: "svc", Secret: canary}, func(r *http.Request) bool {
			c, err := r.Cookie("console_session")
			return err == nil && c.Value == "logged-in-"+canary
		}},
		"json form": {gateway.Account{Form: &gateway.Form{Action: "/token", User: "u", Password: "p", JSON: true, Token: "data.token", Done: 201}}, Credential{Proof: gateway.ProofForm, Login: "svc", Secret: canary}, func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "Bearer tok-"+canary
		}},
	} {
		t.Run(name, func(t *testing.T) {
			x.account.Proof = x.cred.Proof
			w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/login" && r.Method == http.MethodGet:
					http.SetCookie(rw, &http.Cookie{Name: "pre", Value: "prelogin1"})
					fmt.Fprint(rw, `<form><INPUT Type='hidden' name=csrf value="a&amp;b"><input name=u></form>`)
				case r.URL.Path == "/login":
					if r.PostFormValue("csrf") != "a&b" || r.PostFormValue("u") != "svc" || r.PostFormValue("p") != canary || r.Header.Get("Cookie") != "pre=prelogin1" {
						fmt.Fprint(rw, "wrong")
						return
					}
					http.SetCookie(rw, &http.Cookie{Name: "console_session", Value: "logged-in-" + canary})
				case r.URL.Path == "/token":
					rw.WriteHeader(http.StatusCreated)
					fmt.Fprintf(rw, `{"data":{"token":"tok-%s"}}`, canary)
				case !x.want(r):
					t.Errorf("%s: the target got %v", name, r.Header)
				default:
					rw.Header().Set("X-Echo", canary)
					rw.Header().Set("Content-Type", "text/html")
					raw, _ := json.Marshal(r.Header)
					fmt.Fprintf(rw, "<p>%s</p> %s", canary, raw)
				}
			}), func(w *world) { w.live.account, w.live.cred = x.account, x.cred })
			w.enter()
			res, body := w.get("/page?echo="+canary, "Authorization", "Bearer mine", "X-Plant-Key", "mine", "X_Plant-Key", "mine", "Cookie", "console_session=mine")
			if strings.Contains(body, canary) || strings.Contains(res.Header.Get("X-Echo"), canary) || body == "" {
				t.Errorf("the browser got %q %v", body, res.Header)
			}
			w.live.ch.mu.Lock()
			raw, _ := json.Marshal(w.live.ch.records)
			w.live.ch.mu.Unlock()
			if all := string(raw) + w.live.ch.body(gateway.HTTPShown) + w.logs.String(); strings.Contains(all, canary) {
				t.Errorf("the secret was written down: %s", all)
			}
		})
	}
}

// TestW26ClientCertificate: shown to the target, on every connection.
func TestW26ClientCertificate(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, r.TLS.PeerCertificates[0].Subject.CommonName)
	}), func(w *world) {
		cert := w.ca.issue(t, x509.ExtKeyUsageClientAuth, "ses_test")
		w.live.cred = Credential{Proof: gateway.ProofCertificate, Certificate: &cert}
		w.target.TLS.ClientAuth, w.target.TLS.ClientCAs = tls.RequireAndVerifyClientCert, w.ca.pool
	})
	w.enter()
	if _, body := w.get("/"); body != "ses_test" {
		t.Errorf("%q", body)
	}
}

// TestTrustOfTheTarget: a name that is not proven opens nothing, and says why.
func TestTrustOfTheTarget(t *testing.T) {
	for name, x := range map[string]struct {
		https gateway.HTTPS
		want  string
	}{
		"other authority": {gateway.HTTPS{Trust: gateway.TrustCA, CA: newAuthority(t).pem, ServerName: "console.plant.internal"}, "authority"},
		"no authority":    {gateway.HTTPS{Trust: gateway.TrustCA, CA: "x"}, "no certificate"},
		"other name":      {gateway.HTTPS{Trust: gateway.TrustSystem, ServerName: "other.plant.internal"}, "another name"},
		"other key":       {gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{"sha256:" + strings.Repeat("0", 64)}}, "is not on file"},
		"no pin":          {gateway.HTTPS{Trust: gateway.TrustPin}, "is not on file"},
		"unknown":         {gateway.HTTPS{Trust: "blind"}, "not known"},
	} {
		w := newWorld(t, http.NotFoundHandler(), func(w *world) { w.live.target.HTTPS = &x.https })
		_, err := w.p.Enter(t.Context(), Entering{Grant: "grt_1"})
		if !gateway.IsCode(err, gateway.CodeUnavailable) || !strings.Contains(err.Error(), x.want) || w.live.ctx.Err() == nil || w.live.up != 0 {
			t.Errorf("%s: %v, up %d", name, err, w.live.up)
		}
	}
}

// TestW28PathsAreNotTouched, and W-49: what is judged is what is sent.
func TestW28PathsAreNotTouched(t *testing.T) {
	var got string
	w := newWorld(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI }))
	w.enter()
	limited := newWorld(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("reached by %s", r.RequestURI) }), func(w *world) { w.live.abilities.Paths = []string{"/ui"} })
	limited.enter()
	for _, path := range []string{
		"/ui/%2e%2e/admin", "/ui/..%2fadmin", "/ui/../admin", "/ui/..;/admin", "/ui//../admin", "/ui/%252e%252e/admin", "/ui/.%2e/admin", "/ui/;jsessionid=1", "/ui%2f..%2fadmin", "/UI/a", "//ui/a", "/ui\\..\\admin",
		"/ui/%5c..%5cadmin", "/ui/%00", "/uix", "/./ui/a", "/%75i/../a",
	} {
		r := w.request("GET", "/", nil)
		r.URL.Opaque = path
		if strings.HasPrefix(path, "//") {
			r.URL.Opaque, r.URL.Path = "", path
		}
		if res, _ := w.do(w.client(false), r); res.StatusCode != http.StatusOK || got != path {
			t.Errorf("%s: %d, the target got %s", path, res.StatusCode, got)
		}
		r = limited.request("GET", "/", nil)
		r.URL.Opaque = path
		if strings.HasPrefix(path, "//") {
			r.URL.Opaque, r.URL.Path = "", path
		}
		if res, _ := limited.do(limited.client(false), r); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s under /ui: %d", path, res.StatusCode)
		}
	}
	for _, path := range []string{"/a?b=%zz;c&d=1&d=2", "/a?", "/a?" + strings.Repeat("x&", 11_000)} {
		r := w.request("GET", path, nil)
		if res, _ := w.do(w.client(false), r); res.StatusCode != http.StatusOK || got != path {
			t.Errorf("%.20s: %d, the target got %.40s", path, res.StatusCode, got)
		}
	}
}
