package httpsproxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
)

// FuzzHiddenFields: whatever a login page holds, its hidden fields are bounded,
// have names, and come from the page.
func FuzzHiddenFields(f *testing.F) {
	f.Add([]byte(`<form><INPUT type=hidden name="csrf" value='a&amp;b'><input name=x type="hidden"/></form>`))
	f.Add([]byte(`<input type="hidden" name="unended`))
	f.Add([]byte(`<input==type=hidden/=name = a value=><input`))
	f.Fuzz(func(t *testing.T, page []byte) {
		fields := hiddenFields(page)
		if len(fields) > maxHidden {
			t.Fatalf("%d fields", len(fields))
		}
		for name, value := range fields {
			if name == "" || len(name)+len(value) > 6*len(page) { // no reference is longer than its character
				t.Fatalf("%q: %q", name, value)
			}
		}
	})
}

// FuzzText: a text cut in two or three pieces is judged as the whole is.
func FuzzText(f *testing.F) {
	f.Add(kosme, 1, 2)
	f.Add("\xf4\x90\x80\x80", 1, 1)
	f.Add("a\xf0\x9f\x92", 2, 1)
	f.Fuzz(func(t *testing.T, s string, one, two int) {
		one = max(0, min(one, len(s)))
		two = one + max(0, min(two, len(s)-one))
		var c textCheck
		got := c.next([]byte(s[:one])) && c.next([]byte(s[one:two])) && c.next([]byte(s[two:])) && c.whole()
		if got != utf8.ValidString(s) {
			t.Fatalf("%q cut at %d and %d: %v", s, one, two, got)
		}
	})
}

// FuzzNames: no address that a target writes, and no cookie, reaches further
// than its console.
func FuzzNames(f *testing.F) {
	f.Add("https://plc.internal/a?b#c", "a=b; Domain=apps.test; Path=/", "5; url='http://plc.internal:80/x'")
	f.Add("//plc.internal\\@evil/", "__Host-portcullis-app=x", "0,URL=//plc.internal")
	f.Add("http://[::1]:443/", "=", ";;;")
	n := newNames(gateway.Target{Name: testTarget, Address: "plc.internal:443"}, "https://"+testHost)
	f.Fuzz(func(t *testing.T, address, cookie, refresh string) {
		n.refresh(refresh)
		n.referer(address)
		if got := n.toBrowser(address); got != address {
			u, err := url.Parse(got)
			if err != nil || u.Scheme != "https" || u.Host != testHost || u.User != nil {
				t.Fatalf("%q became %q", address, got)
			}
		}
		name, line := appSetCookie(cookie)
		if line == "" {
			return
		}
		k, err := http.ParseSetCookie(line)
		if err == nil && (k.Domain != "" || gatewayCookie(k.Name) || k.Name != name) {
			t.Fatalf("%q became %q", cookie, line)
		}
	})
}

// FuzzCookies: the cookies that are ours are never sent on to a target,
// however the line is spelled.
func FuzzCookies(f *testing.F) {
	f.Add("a=b; __Host-portcullis-app=n1.x; c=d")
	f.Add(";;=;__Host-portcullis-app")
	f.Fuzz(func(t *testing.T, line string) {
		kept, _ := splitCookies([]string{line}, nil)
		if again, own := splitCookies([]string{kept}, nil); len(own) != 0 || again != kept {
			t.Fatalf("%q kept %q, of which %q is kept and %d are ours", line, kept, again, len(own))
		}
		if _, _, ok := parseSecret(line); ok && strings.ContainsAny(line, " ;,\r\n") {
			t.Fatalf("%q is a secret", line)
		}
	})
}
