package e2e

import (
	"bytes"
	"testing"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestPrometheus: a second real application, which the engineer may only look
// at. The gateway proves the account, so that he is asked for no password; his
// query runs, his order to stop the server never reaches it, and staff end the
// session.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	app, err := rig.StartPrometheus(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.Kill)
	s, ana := newConsoleSeat(t, app.Target("figures"), "GET", "HEAD", "path /")
	id := s.sessions()[0].ID

	ana.until("its first page", "location.pathname === '/classic/graph' && document.title.includes('Prometheus')")
	ana.until("it measures itself", `fetch('/api/v1/query?query=up').then(r => r.json()).then(a => { window.up = a.data.result[0]?.value[1] }) && window.up === '1'`)
	ana.open(js[string](ana, "location.origin") + "/classic/graph?g0.expr=up&g0.tab=1")
	ana.reads(`up{instance="` + app.Addr + `"`)
	ana.shot(t, "figures-console")

	no := js[string](ana, "fetch('/-/quit', {method: 'POST'}).then(async r => r.status + ' ' + r.headers.get('content-type') + ' ' + await r.text())")
	says(t, "the refusal of a script", no, "403")
	says(t, "the refusal of a script", no, "application/problem+json")
	says(t, "the refusal of a script", no, "POST")
	select {
	case <-app.Done():
		t.Error("P7: a grant to look stopped the server")
	default:
	}

	s.must(s.People["ben"].Post(s.ctx, "/api/v1/sessions/"+id+"/end", map[string]string{"detail": "enough for today"}, nil))
	s.ended(id)
	ana.open(js[string](ana, "location.href"))
	ana.reads("This console is closed")
	ana.reads("enough for today")
	ana.shot(t, "figures-closed")

	_, raw, err := s.HAR(s.ctx, id, true)
	s.must(err)
	for _, want := range []string{"/classic/graph", "/api/v1/query", "refused by the gateway"} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("P3: the recording lacks %q", want)
		}
	}
	if bytes.Contains(raw, []byte(rig.PrometheusPassword)) {
		t.Error("the recording holds the account's password")
	}
	s.canaries(rig.PrometheusPassword)
	cleo := newSeat(t, ana.ctx, s.URL)
	cleo.borrow(s.People["cleo"])
	cleo.open("/recordings/" + id)
	cleo.reads("/-/quit")
	cleo.reads("refused")
	cleo.shot(t, "figures-timeline")
}
