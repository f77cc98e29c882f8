package main

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// The doctor holds each console's certificate to its definition, and says when
// it ends.
func TestDoctorLooksAtConsoles(t *testing.T) {
	keys, err := certs.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	web, ca, err := keys.Web("console.example", "")
	if err != nil {
		t.Fatal(err)
	}
	console := httptest.NewUnstartedServer(http.NotFoundHandler())
	console.TLS = &tls.Config{Certificates: []tls.Certificate{web}}
	console.StartTLS()
	t.Cleanup(console.Close)
	address := console.Listener.Addr().String()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	pin := statement.Pin(console.Certificate())
	now := time.Now()
	for name, c := range map[string]struct {
		https gateway.HTTPS
		at    string
		now   time.Time
		ok    bool
		says  string
	}{
		"authority":       {gateway.HTTPS{Trust: gateway.TrustCA, CA: string(ca), ServerName: "console.example"}, address, now, true, "is believed, until"},
		"another name":    {gateway.HTTPS{Trust: gateway.TrustCA, CA: string(ca), ServerName: "evil.example"}, address, now, false, "is not believed"},
		"unknown to all":  {gateway.HTTPS{Trust: gateway.TrustSystem, ServerName: "console.example"}, address, now, false, "is not believed"},
		"pinned":          {gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{pin}}, address, now, true, "is believed, until"},
		"another key":     {gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{"sha256:" + strings.Repeat("0f", 32)}}, address, now, false, pin},
		"ends in 29 days": {gateway.HTTPS{Trust: gateway.TrustCA, CA: string(ca), ServerName: "console.example"}, address, now.Add(certs.MaxWeb - 29*24*time.Hour), false, "ends at"},
		"pinned, its end": {gateway.HTTPS{Trust: gateway.TrustPin, Pins: []string{pin}}, address, now.Add(certs.MaxWeb), true, "is believed"},
		"nobody is there": {gateway.HTTPS{Trust: gateway.TrustSystem}, gone.Listener.Addr().String(), now, false, "is not reached"},
	} {
		target := gateway.Target{Name: "scada", Kind: gateway.KindHTTPS, Address: c.at, HTTPS: &c.https}
		found := lookAtConsoles(t.Context(), []gateway.Target{target, {Name: "ssh", Kind: gateway.KindSSH}, {Name: "old", Kind: gateway.KindHTTPS, Removed: true}}, c.now)
		if len(found) != 1 || found[0].OK != c.ok || !strings.Contains(found[0].Text, c.says) || !c.ok && found[0].Cure == "" {
			t.Errorf("%s: %+v, want %q", name, found, c.says)
		}
	}
}
