package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/portcullis/portcullis/gateway/vpn"
)

// nobody opens no session.
type nobody struct{}

func (nobody) Open(context.Context, vpn.Opening) (vpn.Live, error) { return nil, errors.New("nobody") }

// What a scrape finds of tunnels: names that dashboards are made of, and every
// reason for a drop before there is one.
func TestMetricsOfTunnels(t *testing.T) {
	tunnels, err := vpn.New(vpn.Config{
		Sessions: nobody{}, Node: "n1", Key: vpn.NewKey(), Listen: "127.0.0.1:0", Prefix4: netip.MustParsePrefix(defaultPrefix4), Prefix6: netip.MustParsePrefix("fd5c::/64"),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	defer func() { _ = tunnels.Run(ctx) }() // closes what New has opened
	reg := prometheus.NewRegistry()
	(&gatewayd{rooms: &rooms{tunnels: tunnels}}).tunnelMetrics(reg)
	s := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer s.Close()
	res, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"# TYPE portcullis_tunnels_live gauge", "portcullis_tunnels_live 0", "# TYPE portcullis_tunnel_flows_open gauge", "portcullis_tunnel_flows_open 0",
		"# TYPE portcullis_tunnel_packets_dropped_total counter",
	}
	for _, why := range []string{"malformed", "options", "extension", "protocol", "multicast", "fragment", "stranger", "cut", "flood", "full", "spoofed"} {
		want = append(want, `portcullis_tunnel_packets_dropped_total{why="`+why+`"} 0`)
	}
	for _, line := range want {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("a scrape lacks %s", line)
		}
	}
	if n := strings.Count(string(text), "\nportcullis_"); n != 2+11 {
		t.Errorf("%d figures:\n%s", n, text)
	}
}
