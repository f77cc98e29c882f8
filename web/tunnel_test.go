package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/vpn"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/webtest"
)

// tunnelAsIs is every session's tunnel.
type tunnelAsIs struct {
	web.Tunnels
	state vpn.State
}

func (t tunnelAsIs) State(string) (vpn.State, bool) { return t.state, true }

// N-11: the page of a tunnel says whether its client is there, and since when
// nothing was heard of it.
func TestTunnelPageSaysWhetherTheClientIsThere(t *testing.T) {
	shaken := vpn.State{Handshake: noon.Add(-6 * time.Minute), Heard: noon.Add(-time.Second), Endpoint: "192.0.2.9:51820"}
	silent := shaken
	silent.Heard, silent.Silent = noon.Add(-4*time.Minute), true
	over := silent
	over.Ended = &gateway.Ended{Reason: gateway.EndWindow}
	for name, c := range map[string]struct {
		state vpn.State
		says  string
	}{
		"not yet": {vpn.State{}, "Nothing has come from the WireGuard client yet."},
		"there":   {shaken, "Last handshake 6 min ago, from <code>192.0.2.9:51820</code>."},
		"silent":  {silent, "No word from the WireGuard client since 2026-11-22 11:56 UTC, 4 min ago."},
		"over":    {over, "The window that was agreed is over"},
	} {
		s := newStand(t, withNetwork, func(w *webtest.World, cfg *web.Config, _ *api.Config) {
			x := &w.Sessions[0]
			x.Protocol, x.Target, x.Person, x.Vendor = gateway.KindNetwork, "plant", "ana", "acme"
			cfg.Tunnels = tunnelAsIs{state: c.state}
		})
		res := s.as("ana", http.MethodGet, "/sessions/"+s.Sessions[0].ID, "")
		body := text(t, res)
		_, panel, _ := strings.Cut(body, `id="tunnel"`)
		panel, _, _ = strings.Cut(panel, "Flows now")
		if res.StatusCode != http.StatusOK || !strings.Contains(panel, c.says) {
			t.Errorf("%s: %d %s", name, res.StatusCode, panel)
		}
	}
}
