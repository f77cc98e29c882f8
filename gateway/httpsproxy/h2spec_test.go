package httpsproxy

import (
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// h2specTool is where make test-needs puts it.
const h2specTool = "../../.tools/h2spec"

// h2specCases is how many cases h2spec has with --strict: fewer were not run.
const h2specCases = 146

// h2specTries is how often a case that failed here alone is tried again.
const h2specTries = 3

// TestH2Spec holds the listener, with a session behind it and a target behind
// that, to what h2spec knows of RFC 9113 and RFC 7541: it fails in no case in
// which a plain server of net/http does not.
func TestH2Spec(t *testing.T) {
	target := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(rw, "a page of the console")
	})
	w := newWorld(t, target)
	w.enter()
	// h2spec keeps no cookie and knows one name: what a browser would send
	// besides is put in behind the server, before the proxy looks.
	browser := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r = Vouched(r)
		r.Host = testHost
		r.Header.Add("Cookie", w.cookie)
		w.p.Handler().ServeHTTP(rw, r)
	})
	ours, plain := httptest.NewUnstartedServer(browser), httptest.NewUnstartedServer(target)
	w.p.Server(ours.Config)
	var failed [2]map[h2specCase]string
	var ran [2]int
	var both sync.WaitGroup
	for i, s := range []*httptest.Server{ours, plain} {
		s.EnableHTTP2 = true
		s.Config.ErrorLog = w.target.Config.ErrorLog
		s.StartTLS()
		t.Cleanup(s.Close)
		both.Go(func() { failed[i], ran[i] = h2spec(t, s.Listener.Addr(), "--timeout", "1") })
	}
	both.Wait()
	if ran != [2]int{h2specCases, h2specCases} {
		t.Fatalf("h2spec ran %v cases, want %d", ran, h2specCases)
	}
	for c, why := range failed[0] {
		if _, too := failed[1][c]; too {
			continue
		}
		// Some cases race the server's GOAWAY and fail now and then with either:
		// a fault of ours fails each time, with more time too.
		for range h2specTries {
			if again, _ := h2spec(t, ours.Listener.Addr(), "--timeout", "5", c.Clause); again[c] == "" {
				why = ""
				break
			}
		}
		if why != "" {
			t.Errorf("%v: %s", c, why)
		}
	}
	t.Logf("of %d cases %d fail here, and %d with plain net/http: %v", h2specCases, len(failed[0]), len(failed[1]), failed[1])
}

// h2specCase is one case, by the clause that it is about.
type h2specCase struct {
	Clause string `xml:"package,attr"`
	Title  string `xml:"classname,attr"`
}

// h2spec runs it, and returns the cases that failed, with what they had wanted.
func h2spec(t *testing.T, addr net.Addr, args ...string) (failed map[h2specCase]string, ran int) {
	report := filepath.Join(t.TempDir(), "report.xml")
	host, port, _ := net.SplitHostPort(addr.String()) // a listener's own
	args = append([]string{"--host", host, "--port", port, "--tls", "--insecure", "--strict", "--junit-report", report}, args...)
	var said []byte
	// A connection that its server closes at the wrong moment makes it give up
	// altogether, and write no report.
	for try := 0; try < h2specTries; try++ {
		var err error
		said, err = exec.CommandContext(t.Context(), h2specTool, args...).CombinedOutput()
		var failure *exec.ExitError
		if err != nil && !errors.As(err, &failure) {
			t.Errorf("h2spec: %v; make test-needs installs it", err)
			return nil, 0
		}
		if _, err := os.Stat(report); err == nil {
			break
		}
	}
	var x struct {
		Cases []struct {
			h2specCase
			Failure *string `xml:"failure"`
			Error   *string `xml:"error"`
		} `xml:"testsuite>testcase"`
	}
	raw, err := os.ReadFile(report)
	if err == nil {
		err = xml.Unmarshal(raw, &x)
	}
	if err != nil {
		t.Errorf("%v; h2spec said %s", err, said)
		return nil, 0
	}
	failed = map[h2specCase]string{}
	for _, c := range x.Cases {
		for _, why := range []*string{c.Failure, c.Error} {
			if why != nil {
				failed[c.h2specCase] = "wanted " + *why
			}
		}
	}
	return failed, len(x.Cases)
}
