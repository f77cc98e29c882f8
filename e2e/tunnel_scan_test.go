package e2e

import (
	"context"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// scanWithin bounds one scan.
const scanWithin = time.Minute

// scan has nmap look, at a site whose routes and whose WireGuard have been
// widened by hand: it finds exactly what was granted, at whatever speed it asks.
// Of all ports it asks two hosts: of the whole /28 they take more than a minute.
func (s *tunnelStory) scan() {
	s.Helper()
	one, two := s.lab.IP(0), s.lab.IP(1)
	for _, addr := range []string{one + ":80", two + ":502", two + ":8080", two + ":22"} {
		s.serve(addr, func(c net.Conn) { c.Close() })
	}
	for _, addr := range []string{one + ":123", two + ":161", two + ":53"} {
		s.answer(addr)
	}
	site, tunnel := s.site("bob", time.Hour, "hmi.plant:7/tcp", "plc-7.plant:502/tcp", "plc-7.plant:161/udp", "plc-7.plant:9/tcp")
	inner := strings.TrimSuffix(tunnel.Address4, "/32")
	inner = inner[:strings.LastIndex(inner, ".")] + ".0/28" // the gateway's own and the neighbours'
	s.must(site.Reach(s.ctx, s.lab.Net, inner))

	want := []string{one + " 7/tcp", two + " 502/tcp"}
	if got := s.nmap(site, "-sS", "-T4", "-p", "7,9,22,53,80,443,502,3389,8080,22000-22100", s.lab.Net); !slices.Equal(got, want) {
		s.Errorf("nmap finds %q, and granted was %q", got, want)
	}
	if got := s.nmap(site, "-sU", "-T4", "--top-ports", "200", s.lab.Net); !slices.Equal(got, []string{two + " 161/udp"}) {
		s.Errorf("nmap of UDP finds %q", got)
	}
	for _, found := range s.nmap(site, "-sS", "-T4", "--max-retries", "1", "--top-ports", "20", inner) {
		if !strings.HasSuffix(found, " 53/tcp") || strings.HasPrefix(found, tunnel.Address4) { // the tunnel's own DNS
			s.Errorf("inside, nmap finds %s", found)
		}
	}
	begun := time.Now()
	if got := s.nmap(site, "-sS", "-T4", "-p-", one, two); !slices.Equal(got, want) {
		s.Errorf("of all ports nmap finds %q, and granted was %q", got, want)
	}
	s.Logf("all TCP ports of two hosts in %s", time.Since(begun).Round(time.Millisecond))
	s.there(s.dial(site), "still here")
	says(s.T, "the page", s.page("bob", tunnel.Session), "lets no flow to")
}

// nmap lists what it finds open, as "address port/protocol".
func (s *tunnelStory) nmap(site *rig.Site, args ...string) []string {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, scanWithin)
	defer cancel()
	status, out, errOut := output(s.T, site.Command(ctx, "nmap", append([]string{"-n", "-Pn", "-oG", "-"}, args...)...))
	if status != 0 {
		s.Fatalf("nmap %s: exit %d %s", strings.Join(args, " "), status, errOut)
	}
	var found []string
	for line := range strings.Lines(out) {
		host, ports, ok := strings.Cut(line, "Ports: ")
		if !ok {
			continue
		}
		for _, m := range openPort.FindAllStringSubmatch(ports, -1) {
			found = append(found, strings.Fields(host)[1]+" "+m[1]+"/"+m[2])
		}
	}
	s.Logf("nmap %s: %q", strings.Join(args, " "), found)
	return found
}

// openPort is what is open in nmap's -oG, and nothing of "open|filtered".
var openPort = regexp.MustCompile(`(\d+)/open/(tcp|udp)/`)

// answer has the plant answer datagrams at addr.
func (s *tunnelStory) answer(addr string) {
	s.Helper()
	p, err := s.lab.Plant.ListenPacket(addr)
	s.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = p.WriteTo(buf[:n], from)
		}
	}()
	s.Cleanup(func() { p.Close(); <-done })
}
