package vpn

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

func TestServeBench(t *testing.T) {
	if os.Getenv("VPNBENCH") == "" {
		t.Skip()
	}
	n, _ := strconv.Atoi(os.Getenv("VPNBENCH"))
	w := &world{t: t, plant: map[string]string{}}
	w.set = func(l *fakeLive) {
		l.target.Network = &gateway.Network{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.98.0.0/24")}, Capture: gateway.CaptureHeaders}
		l.abilities = gateway.Abilities{Flows: []string{"10.98.0.2:1-65535/tcp", "10.98.0.2:1-65535/udp"}}
		l.ch.drop = true
	}
	var err error
	w.g, err = New(Config{Sessions: w, Node: "n1", Key: NewKey(), Listen: ":51820", Prefix4: netip.MustParsePrefix("100.100.0.0/16"), Prefix6: netip.MustParsePrefix("fd5c::/64"),
		Endpoint: "127.0.0.1:51820", Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	check(t, err)
	dir := os.Getenv("WGBENCH_DIR")
	for i := range n {
		key := NewKey()
		pub, _ := publicOf(key)
		tun, err := w.g.Open(context.Background(), Entering{PublicKey: pub.String(), Grant: "g"})
		check(t, err)
		conf := fmt.Sprintf("[Interface]\nPrivateKey = %s\nAddress = %s/32\nMTU = %d\n[Peer]\nPublicKey = %s\nPresharedKey = %s\nAllowedIPs = 10.98.0.0/24\nEndpoint = 127.0.0.1:51820\n", key, tun.Address4, tun.MTU, tun.ServerKey, tun.PresharedKey)
		check(t, os.WriteFile(fmt.Sprintf("%s/gw-%05d.conf", dir, i), []byte(conf), 0o600))
	}
	os.WriteFile("/tmp/vpnbench.pid", []byte(strconv.Itoa(os.Getpid())), 0o644)
	l, err := net.Listen("tcp", "127.0.0.1:6060")
	check(t, err)
	go http.Serve(l, nil)
	os.WriteFile(dir+"/gw.ready", nil, 0o644)
	go func() {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		for range c {
			sweepAll(w.lives)
			os.WriteFile(dir+"/gw.killed", nil, 0o644)
		}
	}()
	_ = w.g.Run(context.Background())
}
