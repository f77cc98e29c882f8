package httpsproxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// smuggling is W-13 and V-44: requests that two programs could read in two
// ways. In each, {S} is a whole request that must not be taken for one, with
// the session's own cookie in it.
var smuggling = map[string]string{
	"CL.TE":                         "POST / HTTP/1.1\r\n{H}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
	"TE.CL":                         "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{S}",
	"TE with CL 0":                  "POST / HTTP/1.1\r\n{H}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
	"two CL":                        "POST / HTTP/1.1\r\n{H}Content-Length: 0\r\nContent-Length: 44\r\n\r\n{S}",
	"two CL in one line":            "POST / HTTP/1.1\r\n{H}Content-Length: 0, 44\r\n\r\n{S}",
	"CL +5":                         "POST / HTTP/1.1\r\n{H}Content-Length: +0\r\n\r\n{S}",
	"CL -1":                         "POST / HTTP/1.1\r\n{H}Content-Length: -1\r\n\r\n{S}",
	"CL 0x0":                        "POST / HTTP/1.1\r\n{H}Content-Length: 0x0\r\n\r\n{S}",
	"CL with a space":               "POST / HTTP/1.1\r\n{H}Content-Length: 0 0\r\n\r\n{S}",
	"CL empty":                      "POST / HTTP/1.1\r\n{H}Content-Length: \r\n\r\n{S}",
	"CL letters":                    "POST / HTTP/1.1\r\n{H}Content-Length: zero\r\n\r\n{S}",
	"CL too large":                  "POST / HTTP/1.1\r\n{H}Content-Length: 99999999999999999999\r\n\r\n{S}",
	"CL _":                          "POST / HTTP/1.1\r\n{H}Content-Length: 1_0\r\n\r\n{S}",
	"CL with a space before colon":  "POST / HTTP/1.1\r\n{H}Content-Length : 0\r\n\r\n{S}",
	"TE with a space before colon":  "POST / HTTP/1.1\r\n{H}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{S}",
	"TE with a tab before colon":    "POST / HTTP/1.1\r\n{H}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n{S}",
	"TE xchunked":                   "POST / HTTP/1.1\r\n{H}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{S}",
	"TE identity":                   "POST / HTTP/1.1\r\n{H}Transfer-Encoding: identity\r\n\r\n{S}",
	"TE chunked, identity":          "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{S}",
	"TE identity, chunked":          "POST / HTTP/1.1\r\n{H}Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n{S}",
	"TE gzip, chunked":              "POST / HTTP/1.1\r\n{H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{S}",
	"TE chunked twice":              "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
	"TE chunked and identity":       "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{S}",
	"TE quoted":                     "POST / HTTP/1.1\r\n{H}Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n{S}",
	"TE with parameter":             "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n{S}",
	"TE vertical tab":               "POST / HTTP/1.1\r\n{H}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{S}",
	"TE with NUL":                   "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n{S}",
	"TE folded":                     "POST / HTTP/1.1\r\n{H}Transfer-Encoding:\r\n chunked, x\r\n\r\n0\r\n\r\n{S}",
	"TE on HTTP/1.0":                "POST / HTTP/1.0\r\n{H}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
	"folded header":                 "GET / HTTP/1.1\r\n{H}Connection: close\r\nX-A: b\r\n \r\n\r\n{S}",
	"line that is only a space":     "GET / HTTP/1.1\r\n{H}Connection: close\r\nX-A: b\r\n \r\n\r\n{S}",
	"first header folded":           "GET / HTTP/1.1\r\n {H}\r\n\r\n{S}",
	"bare CR in a value":            "GET / HTTP/1.1\r\n{H}X-A: b\rX-B: c\r\n\r\n{S}",
	"bare CR before a name":         "GET / HTTP/1.1\r\n{H}\rX-B: c\r\n\r\n{S}",
	"NUL in a value":                "GET / HTTP/1.1\r\n{H}X-A: b\x00c\r\n\r\n{S}",
	"NUL in a name":                 "GET / HTTP/1.1\r\n{H}X\x00A: b\r\n\r\n{S}",
	"no colon":                      "GET / HTTP/1.1\r\n{H}X-A\r\n\r\n{S}",
	"empty name":                    "GET / HTTP/1.1\r\n{H}: x\r\n\r\n{S}",
	"space in a name":               "GET / HTTP/1.1\r\n{H}X A: b\r\n\r\n{S}",
	"chunk size +5":                 "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n{S}",
	"chunk size 0x0":                "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n{S}",
	"chunk size too large":          "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\nx\r\n0\r\n\r\n{S}",
	"chunk size negative":           "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n{S}",
	"chunk size empty":              "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n{S}",
	"chunk size with a space":       "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n 0\r\n\r\n{S}",
	"chunk longer than said":        "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n{S}",
	"chunk shorter than said":       "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n5\r\nx\r\n0\r\n\r\n{S}",
	"chunk with bare LF":            "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n{S}",
	"chunk ends by bare LF":         "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n{S}",
	"chunk ends by bare CR":         "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n1\rx\r\n0\r\n\r\n{S}",
	"chunk extension with LF":       "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n{S}",
	"chunk extension":               "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n{S}",
	"chunk extension, endless":      "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("a", 1<<20) + "\r\nx\r\n0\r\n\r\n{S}",
	"chunk extensions, many":        "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("a", 3000)+"\r\nx\r\n", 20) + "0\r\n\r\n{S}",
	"trailer with a length":         "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: 5\r\n\r\n{S}",
	"trailer that breaks":           "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n{S}",
	"no host":                       "GET / HTTP/1.1\r\nCookie: {C}\r\n\r\n{S}",
	"two hosts":                     "GET / HTTP/1.1\r\n{H}Host: other.apps.test\r\n\r\n{S}",
	"absolute form":                 "GET https://historian.apps.test/ HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"absolute form, other host":     "GET http://127.0.0.1/admin HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"authority with a user":         "GET https://a@historian.apps.test/ HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"CONNECT":                       "CONNECT 127.0.0.1:22 HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"TRACE":                         "TRACE / HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"asterisk":                      "GET * HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"no leading slash":              "GET evil HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"fragment":                      "GET /a#b HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"space in the target":           "GET /a b HTTP/1.1\r\n{H}\r\n{S}",
	"tab in the target":             "GET /a\tb HTTP/1.1\r\n{H}\r\n{S}",
	"control in the target":         "GET /a\x01b HTTP/1.1\r\n{H}\r\n{S}",
	"HTTP/0.9":                      "GET /\r\n{S}",
	"HTTP/1.2":                      "GET / HTTP/1.2\r\n{H}Transfer-Encoding: xchunked\r\n\r\n{S}",
	"HTTP/2.0 by name":              "GET / HTTP/2.0\r\n{H}\r\n{S}",
	"version with a plus":           "GET / HTTP/+1.1\r\n{H}\r\n{S}",
	"lower case version":            "GET / http/1.1\r\n{H}\r\n{S}",
	"method with a colon":           "GE:T / HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"h2 preface":                    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{S}",
	"1 MB header":                   "GET / HTTP/1.1\r\n{H}X-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n{S}",
	"100,000 headers":               "GET / HTTP/1.1\r\n{H}" + strings.Repeat("X-A: b\r\n", 100_000) + "\r\n{S}",
	"long target":                   "GET /" + strings.Repeat("a", MaxTarget) + " HTTP/1.1\r\n{H}Connection: close\r\n\r\n{S}",
	"expectation that nobody knows": "POST / HTTP/1.1\r\n{H}Expect: 200-ok\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc{S}",
}

// TestW13Smuggling: each is answered by 4xx or 5xx, by a close, or as the one
// request that it can only be read as; and what was smuggled never reaches the
// target.
func TestW13Smuggling(t *testing.T) {
	if len(smuggling) < 60 {
		t.Fatalf("the corpus has %d requests", len(smuggling))
	}
	var mu sync.Mutex
	var seen []string
	w := newWorld(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.RequestURI+" "+string(b))
	}))
	w.enter()
	header := "Host: " + testHost + "\r\nCookie: " + w.cookie + "\r\n"
	smuggled := "GET /smuggled HTTP/1.1\r\n" + header + "\r\n"
	for name, raw := range smuggling {
		c := w.raw()
		raw = strings.NewReplacer("{H}", header, "{C}", w.cookie, "{S}", smuggled).Replace(raw)
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		go func() { _, _ = io.WriteString(c, raw) }()
		got, err := io.ReadAll(io.LimitReader(c, 1<<20))
		var late interface{ Timeout() bool }
		if asTimeout(err, &late) {
			t.Errorf("%s: neither refused nor closed; answered %.60q", name, got)
		}
		if n := bytes.Count(got, []byte("HTTP/1.")); n > 1 {
			t.Errorf("%s: %d answers", name, n)
		}
		_ = c.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	if slices.ContainsFunc(seen, func(s string) bool { return strings.Contains(s, "smuggled") }) {
		t.Errorf("the target saw %q", seen)
	}
}

func asTimeout(err error, as *interface{ Timeout() bool }) bool {
	e, ok := err.(interface{ Timeout() bool })
	*as = e
	return ok && e.Timeout()
}

// TestBodyThatBreaksIsTheBrowsersFault: 400 and close, as V-44 wants it, and
// not 502.
func TestBodyThatBreaksIsTheBrowsersFault(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	w.enter()
	for _, chunks := range []string{"1\nx\n0\n\n", "1\r\nx\n0\r\n\r\n", "zz\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n"} {
		c := w.raw()
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: "+testHost+"\r\nCookie: "+w.cookie+"\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks)
		check(t, err)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != http.StatusBadRequest || !res.Close {
			t.Errorf("%q: %v %v", chunks, res, err)
		}
	}
}

// TestW31HostAndNameAgree: or it is 421, before anything is looked at.
func TestW31HostAndNameAgree(t *testing.T) {
	w := newWorld(t, hello())
	w.enter()
	for host, want := range map[string]int{
		testHost: 200, testHost + ":443": 200, strings.ToUpper(testHost): 200, "other." + testApps: 421, testApps: 421, "127.0.0.1": 421, "[::1]": 421, "a." + testHost: 421,
		testHost + ".": 421, "historian": 421, testHost + "@evil": 421, "evil#" + testHost: 421, testHost + ":443:443": 421,
	} {
		c := w.raw()
		_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+w.cookie+"\r\nConnection: close\r\n\r\n")
		check(t, err)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		check(t, err)
		if res.StatusCode != want && (want != 421 || res.StatusCode != http.StatusBadRequest) {
			t.Errorf("Host %s: %d, want %d", host, res.StatusCode, want)
		}
	}
}

// TestATargetThatLies: about its length, in its head, or with an answer
// within an answer; the browser gets a whole one or a broken connection.
func TestATargetThatLies(t *testing.T) {
	for name, x := range map[string]struct {
		raw  string
		want string // of the body; "cut", or a status
	}{
		"shorter than said": {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nshort", "cut"},
		"longer than said":  {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nshortHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "short"},
		"two lengths":       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nshortevil", "502"},
		"broken chunk":      {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n", "cut"},
		"no head":           {"evil", "502"},
		"header of 1 MB":    {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", "502"},
		"split by bare CR":  {"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: __Host-portcullis-app=evil\r\nContent-Length: 2\r\n\r\nok", "502"},
		"switches unasked":  {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\nConnection: Upgrade\r\n\r\nevil", "502"},
	} {
		w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			if c, _, err := http.NewResponseController(rw).Hijack(); err == nil {
				_, _ = io.WriteString(c, x.raw)
				_ = c.(*tls.Conn).CloseWrite()
				_ = c.Close()
			}
		}), func(w *world) { w.target.EnableHTTP2 = false })
		w.enter()
		res, err := w.client(false).Do(w.request("GET", "/", nil))
		check(t, err)
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		got := string(b)
		switch {
		case res.StatusCode != http.StatusOK:
			got = res.Status[:3]
		case err != nil:
			got = "cut"
		}
		if got != x.want && !(name == "split by bare CR" && got == "ok" && len(res.Cookies()) == 0) {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}
