package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// webListener is a gateway that serves its pages and consoles over TLS, by its own
// authority, and an honest client of it.
type webListener struct {
	*rig.Gateway
	honest *http.Client
}

func newWebListener(t *testing.T) *webListener {
	t.Helper()
	g, err := rig.NewGateway(built, filepath.Join(t.TempDir(), "gateway"), "apps_domain: localhost\n")
	if err != nil {
		t.Fatal(err)
	}
	g.URL = strings.Replace(g.URL, "http://", "https://", 1)
	if _, err := g.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Kill)
	roots := x509.NewCertPool()
	raw, err := os.ReadFile(filepath.Join(g.Data, "web-ca.pem"))
	if err != nil || !roots.AppendCertsFromPEM(raw) {
		t.Fatalf("the gateway's authority: %v", err)
	}
	return &webListener{g, &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, g.Web)
		},
	}}}
}

// TestSlowClients: slowhttptest's four ways to hold a server, all at once. Who
// sends a head or a body slowly is cut off, and an honest client beside them is
// served all the while.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	g := newWebListener(t)
	const clients = 30
	ways := map[string]struct {
		args string
		ends bool // before the test's own time is up
	}{
		"headers": {"-H -i 2 -l 16", true},
		"body":    {"-B -i 2 -s 8192 -l 16", true},
		"range":   {"-R -l 16", true},
		"read":    {"-X -n 2 -w 1 -y 2 -z 1 -l 6", false},
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	type ended struct {
		way, said string
		took      time.Duration
	}
	ends := make(chan ended, len(ways))
	for way, x := range ways {
		args := append(strings.Fields(x.args), "-c", strconv.Itoa(clients), "-r", strconv.Itoa(clients), "-p", "3", "-u", g.URL+"/")
		go func() {
			begun := time.Now()
			out, err := exec.CommandContext(ctx, "slowhttptest", args...).CombinedOutput()
			ends <- ended{way, fmt.Sprintf("%v\n%s", err, out), time.Since(begun)}
		}()
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	asked := 0
	for left := len(ways); left > 0; {
		select {
		case e := <-ends:
			left--
			e.said = regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(e.said, "")
			if want := "No open connections left"; strings.Contains(e.said, want) != ways[e.way].ends || strings.Contains(e.said, "service available:   NO") {
				t.Errorf("slow %s, after %s: %s", e.way, e.took, tail(e.said, 800))
			}
			t.Logf("slow %s: over after %s", e.way, e.took.Round(100*time.Millisecond))
		case <-tick.C:
			asked++
			r, err := g.honest.Get(g.URL + "/healthz")
			if err != nil {
				t.Errorf("an honest client: %v", err)
				continue
			}
			if r.Body.Close(); r.StatusCode != http.StatusOK {
				t.Errorf("an honest client: %s", r.Status)
			}
		}
	}
	if asked < 10 {
		t.Errorf("an honest client asked %d times", asked)
	}
}

// known are testssl's findings that are no faults here. Whoever brings a
// certificate of their own, by files or ACME, has their authority's answer.
var known = map[string]string{
	"cert_revocation": "the internal authority signs for this one gateway alone, for 90 days: there is nobody else to take a certificate back from",
}

// TestTLSFindings: testssl.sh has nothing of medium severity or above to say of
// the listener, asked for a console's name.
func TestTLSFindings(t *testing.T) {
	t.Parallel()
	g := newWebListener(t)
	report := filepath.Join(t.TempDir(), "report.json")
	_, port, _ := net.SplitHostPort(g.Web)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1",
		"--add-ca", filepath.Join(g.Data, "web-ca.pem"), "--protocols", "--server-defaults", "--headers", "--jsonfile", report, "https://pump-web.localhost:"+port).CombinedOutput()
	raw, readErr := os.ReadFile(report)
	if readErr != nil {
		t.Fatalf("%v, %v: %s", err, readErr, tail(string(out), 2000))
	}
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(raw, &findings); err != nil {
		t.Fatalf("%v: %s", err, tail(string(raw), 2000))
	}
	said := map[string]string{}
	for _, f := range findings {
		said[f.ID] = f.Finding
		switch f.Severity {
		case "MEDIUM", "HIGH", "CRITICAL", "FATAL":
			if known[f.ID] == "" {
				t.Errorf("%s: %s, %s", f.Severity, f.ID, f.Finding)
			}
		}
	}
	for id, want := range map[string]string{"TLS1_3": "offered", "TLS1_2": "not offered", "ALPN_HTTP2": "h2", "cert_chain_of_trust": "passed"} {
		if !strings.HasPrefix(said[id], want) {
			t.Errorf("%s: %q, want %q: the checks were not all made", id, said[id], want)
		}
	}
}
