package capture

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const secret = "s3cr3t-canary-7f1e"

func capturer() *Capture { return New([]byte("key of one session"), []string{"x-plant-pass"}, nil) }

func TestSecretHeadersAreDigests(t *testing.T) {
	c := capturer()
	for _, name := range []string{"Authorization", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token", "X-CSRF-Token", "X_Plant_Pass", "Set-Cookie", "Cookie", "Private-Token"} {
		fields := c.Fields(http.Header{http.CanonicalHeaderKey(name): {secret}, "Accept": {"text/html"}})
		for _, f := range fields {
			if f.Name == "Accept" && f.Value != "text/html" {
				t.Errorf("Accept is recorded as %+v", f)
			}
			if f.Name != "Accept" && (f.Value != "" || f.Redacted == "" || strings.Contains(f.Redacted, secret)) {
				t.Errorf("%s is recorded as %+v", name, f)
			}
		}
	}
	one, two := c.Digest("a"), New([]byte("key of another"), nil, nil).Digest("a")
	if one != c.Digest("a") || one == two || one == c.Digest("b") {
		t.Error("equal values of one session, and they alone, have equal digests")
	}
}

func TestSecretsOfAddresses(t *testing.T) {
	c := capturer()
	d := Redacted + c.Digest(secret)
	for in, want := range map[string]string{
		"/a?x=1&token=" + secret + "&y=2":           "/a?x=1&token=" + d + "&y=2",
		"/a?access%5Ftoken=" + secret:               "/a?access%5Ftoken=" + d,
		"/a;b?Password=" + secret + ";q=1":          "/a;b?Password=" + d + ";q=1",
		"https://" + secret + "@host/p?q=1":         "https://" + d + "@host/p?q=1",
		"/cb#access_token=" + secret + "&state=1":   "/cb#access_token=" + d + "&state=1",
		"/a?code=" + secret + "#id_token=" + secret: "/a?code=" + d + "#id_token=" + d,
		"/plain/path?page=2":                        "/plain/path?page=2",
		"/a?flag":                                   "/a?flag",
		"/a?token=":                                 "/a?token=",
		"/search?q=a@b":                             "/search?q=a@b",
	} {
		if got := c.URL(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
	for _, f := range c.Fields(http.Header{"Referer": {"https://h/p?sid=" + secret}, "Location": {"/p?jwt=" + secret}}) {
		if strings.Contains(f.Value, secret) {
			t.Errorf("%+v", f)
		}
	}
}

// bodies are what could be sent, with the secret in it once.
var bodies = []struct{ kind, body, want string }{
	{"application/json", `{"user":"a","password":"` + secret + `","n":1}`, `{"user":"a","password":"§","n":1}`},
	{"application/json; charset=utf-8", `[{"a":{"Access-Token" : "` + secret + `"}},{"token_type":"x"}]`, `[{"a":{"Access-Token" : "§"}},{"token_type":"x"}]`},
	{"application/vnd.x+json", `{"p\u0061ssword":"` + secret + `"}`, `{"p\u0061ssword":"§"}`},
	{"text/plain", ` {"credentials":{"u":"a","p":["` + secret + `","}"]},"x":"password"}`, ` {"credentials":"*","x":"password"}`},
	{"application/x-www-form-urlencoded", "user=a&passwd=" + secret + "&x=1", "user=a&passwd=§&x=1"},
	{"application/x-www-form-urlencoded", "p%61ssword=" + secret, "p%61ssword=§"},
	{"application/x-www-form-urlencoded", `{"secret":"` + secret + `"}`, `{"secret":"§"}`},
	{`multipart/form-data; boundary="b b"`, "--b b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n" + secret + "\r\n--b b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b b--\r\n", "--b b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n§\r\n--b b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b b--\r\n"},
	{"", `{"otp":` + `"` + secret + `"}`, `{"otp":"§"}`},
}

func keep(b *Body, body string, size int) string {
	var out strings.Builder
	for p := []byte(body); len(p) > 0; {
		n := min(size, len(p))
		k, _ := b.Add(p[:n])
		out.Write(k)
		p = p[n:]
	}
	out.Write(b.Rest())
	return out.String()
}

// TestSecretsOfBodies: cut into pieces of any size.
func TestSecretsOfBodies(t *testing.T) {
	c := capturer()
	for _, x := range bodies {
		want := strings.Replace(x.want, "§", Redacted+c.Digest(secret), 1)
		for size := 1; size <= len(x.body); size++ {
			b := c.Body(x.kind, "", false)
			got := keep(b, x.body, size)
			if i := strings.Index(want, `"*"`); i >= 0 {
				got = got[:min(i, len(got))] + `"*"` + got[min(len(got), i+2+len(Redacted)+2*digestLen):]
			}
			if got != want {
				t.Fatalf("%s in pieces of %d:\n got %q\nwant %q", x.kind, size, got, want)
			}
			if a := b.Account(); a.Bytes != int64(len(x.body)) || a.Kept != a.Bytes || a.SHA256.IsZero() {
				t.Fatalf("account %+v", a)
			}
		}
	}
}

func TestWhatCannotBeReadIsNotKept(t *testing.T) {
	c := capturer()
	for _, kind := range []string{"application/json", "application/x-www-form-urlencoded"} {
		b := c.Body(kind, "br", false)
		if k := keep(b, `{"password":"`+secret+`"}`, 5); k != "" {
			t.Errorf("%s: kept %q", kind, k)
		}
		if a := b.Account(); a.Kept != 0 || a.Bytes == 0 {
			t.Errorf("account %+v", a)
		}
	}
	b := c.Body("text/html", "", false)
	long := strings.Repeat("x", KeepBytes+1000)
	if k := keep(b, long, 4096); len(k) != KeepBytes || b.Account().Bytes != int64(len(long)) || b.Account().Kept != KeepBytes {
		t.Errorf("kept %d, account %+v", len(k), b.Account())
	}
}

func TestScrubberFindsEverySpelling(t *testing.T) {
	const awkward = `p"a ss/w+<ö>` + secret
	s := NewScrubber(awkward, "short")
	quoted, _ := json.Marshal(awkward)
	text := "a" + awkward + "b" + url.QueryEscape(awkward) + "c" + string(quoted) + "d" + url.PathEscape(awkward)
	for size := 1; size < len(text); size++ {
		st := s.Stream()
		var out strings.Builder
		for p := []byte(text); len(p) > 0; {
			n := min(size, len(p))
			out.Write(st.Next(append([]byte(nil), p[:n]...)))
			p = p[n:]
		}
		out.Write(st.Rest())
		if got := out.String(); len(got) != len(text) || strings.Contains(got, secret) || !strings.HasPrefix(got, "a***") {
			t.Fatalf("in pieces of %d: %q", size, got)
		}
	}
	s.Learn("renewed-" + secret)
	if got := s.String("a renewed-" + secret); strings.Contains(got, secret) {
		t.Errorf("a renewed token is shown: %q", got)
	}
	if NewScrubber("short") != nil || NewScrubber("short").String("short") != "short" {
		t.Error("a secret that is part of ordinary words must not be looked for")
	}
}

// FuzzBody: whatever stands in a JSON string under a secret name is not in what
// is kept, however it is cut; and nothing panics.
func FuzzBody(f *testing.F) {
	for _, x := range bodies {
		f.Add(x.kind, x.body, 3)
	}
	f.Add("application/json", strings.Repeat("[", 600)+`"a"`, 7)
	f.Add("multipart/form-data; boundary=x", "--x\r\n\r\n\r\n--x--", 1)
	f.Fuzz(func(t *testing.T, kind, body string, size int) {
		if size <= 0 || len(body) > 1<<14 {
			return
		}
		c := capturer()
		keep(c.Body(kind, "", false), body, size)
		value, err := json.Marshal(secret + body)
		if err != nil {
			return
		}
		whole := `{"a":[1,{}],"password":` + string(value) + `,"b":2}`
		got := keep(c.Body("application/json", "", false), whole, size)
		if strings.Contains(got, secret) || !strings.HasSuffix(got, `,"b":2}`) {
			t.Fatalf("kept %q", got)
		}
		c.URL(body)
		FileIn(kind, []byte(body))
	})
}

// TestNamesThatComeAgain: a name is told from what it was the last time only
// where it is the same to the byte.
func TestNamesThatComeAgain(t *testing.T) {
	c := capturer()
	d := Redacted + c.Digest(secret)
	row := func(s string) string {
		return strings.ReplaceAll(`{"a":1,"b":"x","tokens":[],"token":"§"},{"a":2,"token":"§","b":"y\"token\":"},{"":0,"a\"":"b","a":{"b":"token"},"to":1,"Token":"§","b":1}`, "§", s)
	}
	in, want := "["+row(secret)+","+row(secret)+"]", "["+row(d)+","+row(d)+"]"
	for size := 1; size <= len(in); size++ {
		if got := keep(c.Body("application/json", "", false), in, size); got != want {
			t.Fatalf("in pieces of %d:\n got %s\nwant %s", size, got, want)
		}
	}
}
