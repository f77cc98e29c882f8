package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// tunnelStory is a stage with a plant of its own addresses, which is the
// network "plc".
type tunnelStory struct {
	*story
	lab  *rig.Lab
	echo chan chan error // of what connected to the plant's port 7: how each ended
}

func newTunnelStory(t *testing.T, capture string) *tunnelStory {
	t.Helper()
	return newTunnelStoryIn(t, t.TempDir(), capture, "")
}

func newTunnelStoryIn(t *testing.T, dir, capture, config string) *tunnelStory {
	t.Helper()
	lab := newLab(t)
	s := newStoryIn(t, dir, rig.Options{Lab: lab, Config: config, Targets: func(*rig.Stage) string { return lab.Target("plc", capture) }})
	return &tunnelStory{s, lab, make(chan chan error, 8)}
}

func newLab(t *testing.T) *rig.Lab {
	t.Helper()
	lab, err := rig.NewLab(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

// site makes one with a tunnel that is on, under a grant for these flows.
func (s *tunnelStory) site(who string, length time.Duration, flows ...string) (*rig.Site, rig.Tunnel) {
	s.Helper()
	site, err := s.lab.Site(who)
	s.must(err)
	t := s.turnOn(site, who, s.networkGrant(who, length, flows...))
	return site, t
}

func (s *tunnelStory) networkGrant(who string, length time.Duration, flows ...string) string {
	s.Helper()
	for i, f := range flows {
		flows[i] = "flow " + f
	}
	g, err := s.NetworkGrant(s.ctx, who, "plc", length, flows...)
	s.must(err)
	return g.ID
}

// turnOn opens a tunnel of a grant and turns it on at a site.
func (s *tunnelStory) turnOn(site *rig.Site, who, grant string) rig.Tunnel {
	s.Helper()
	private, public, err := rig.NewPeer()
	s.must(err)
	t, err := s.OpenTunnel(s.ctx, who, grant, public)
	s.must(err)
	s.must(site.Up(s.ctx, t.Conf(private)))
	return t
}

// in runs a program at a site, or in the plant.
func (s *tunnelStory) in(space *rig.Space, name string, args ...string) (int, string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	status, out, errOut := output(s.T, space.Command(ctx, name, args...))
	return status, out + errOut
}

// works fails unless the program ends well and says the words.
func (s *tunnelStory) works(site *rig.Site, words []string, name string, args ...string) string {
	s.Helper()
	status, out := s.in(site.Space, name, args...)
	if status != 0 {
		s.Errorf("%s %s: exit %d\n%s", name, strings.Join(args, " "), status, out)
	}
	says(s.T, name, out, words...)
	return out
}

// serve has the plant take connections at addr until the story ends.
func (s *tunnelStory) serve(addr string, f func(net.Conn)) {
	s.Helper()
	l, err := s.lab.Plant.Listen("tcp", addr)
	s.must(err)
	takes(s, l, f)
}

// echoes gives back what comes to the plant's port 7.
func (s *tunnelStory) echoes() {
	s.Helper()
	s.serve(net.JoinHostPort(s.lab.IP(0), "7"), func(c net.Conn) {
		over := make(chan error, 1)
		select {
		case s.echo <- over:
		default: // nobody asks
		}
		_, err := io.Copy(c, c)
		over <- err
		c.Close()
	})
}

// dial connects from a site to the plant's port 7.
func (s *tunnelStory) dial(site *rig.Site) net.Conn {
	s.Helper()
	c, err := site.Dial(s.ctx, "tcp", net.JoinHostPort(s.lab.IP(0), "7"))
	s.must(err)
	s.Cleanup(func() { c.Close() })
	s.there(c, "hello")
	return c
}

// there sends words and has them back.
func (s *tunnelStory) there(c net.Conn, words string) {
	s.Helper()
	s.must(c.SetDeadline(time.Now().Add(10 * time.Second)))
	if _, err := io.WriteString(c, words); err != nil {
		s.Fatalf("send %d bytes: %v", len(words), err)
	}
	back := make([]byte, len(words))
	if _, err := io.ReadFull(c, back); err != nil || string(back) != words {
		s.Fatalf("what went to the plant did not come back as it was: %v", err)
	}
	s.must(c.SetDeadline(time.Time{}))
}

// page is what the page of a session says to somebody.
func (s *tunnelStory) page(who, session string) string {
	s.Helper()
	var text string
	s.must(s.People[who].Get(s.ctx, "/sessions/"+session, &text))
	_, text, _ = strings.Cut(text, "<main")
	text, _, _ = strings.Cut(text, "</main>")
	return strings.Join(strings.Fields(mark.ReplaceAllString(link.ReplaceAllString(text, "$1 "), " ")), " ")
}

// link and mark are what a page is made of besides its words.
var link, mark = regexp.MustCompile(`<a [^>]*href="([^"]*)"[^>]*>`), regexp.MustCompile(`<[^>]*>`)

// modbus answers reads of holding registers with the number of each (Modbus
// Application Protocol 1.1b3, clause 6.3), and anything else with exception 1.
func modbus(c net.Conn) {
	defer c.Close()
	for {
		head := make([]byte, 8) // MBAP header and function code
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		rest := make([]byte, binary.BigEndian.Uint16(head[4:])-2)
		if _, err := io.ReadFull(c, rest); err != nil || len(rest) < 4 {
			return
		}
		answer := []byte{head[7] | 0x80, 1}
		if head[7] == 3 {
			first, count := binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
			answer = []byte{3, byte(2 * count)}
			for i := range count {
				answer = binary.BigEndian.AppendUint16(answer, 1480+first+i)
			}
		}
		binary.BigEndian.PutUint16(head[4:], uint16(len(answer)+1))
		if _, err := c.Write(append(head[:7:7], answer...)); err != nil {
			return
		}
	}
}

// TestTunnel: stock clients reach what was granted by a stock WireGuard, and
// nothing else; the flow goes on while the client moves; what was carried
// stands in the recording. P2, P7, P8.
func TestTunnel(t *testing.T) {
	t.Parallel()
	s := newTunnelStory(t, "full")
	s.echoes()
	s.serve(net.JoinHostPort(s.lab.IP(1), "502"), modbus)
	file := make([]byte, 3<<20)
	_, _ = rand.Read(file)
	from := s.files(file)
	key, known := s.sshd()
	_, err := s.lab.Serve(s.ctx, net.JoinHostPort(s.lab.IP(0), "5201"), "iperf3", "-s")
	s.must(err)

	site, err := s.lab.Site("ana")
	s.must(err)
	if c, err := site.Dial(s.ctx, "tcp", net.JoinHostPort(s.lab.IP(0), "7")); err == nil {
		c.Close()
		t.Fatal("P7: a site reaches the plant without a tunnel")
	}
	grant := s.networkGrant("ana", time.Hour, "hmi.plant:22/tcp", "hmi.plant:80/tcp", "hmi.plant:7/tcp", "hmi.plant:5201/tcp", "hmi.plant:5201/udp", "hmi.plant/icmp", "plc-7.plant:502/tcp")
	tunnel := s.turnOn(site, "ana", grant)

	t.Run("ssh", func(t *testing.T) {
		s.works(site, []string{"through-ssh"}, "ssh", "-F", "none", "-i", key, "-o", "UserKnownHostsFile="+known, "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", s.Plant.Login+"@hmi.plant", "echo through-ssh")
	})
	t.Run("curl", func(t *testing.T) {
		for _, family := range []string{"-4", "-6"} {
			got := filepath.Join(t.TempDir(), "got")
			s.works(site, nil, "curl", "-sS", family, "-o", got, "http://hmi.plant/")
			raw, err := os.ReadFile(got)
			if err != nil || !bytes.Equal(raw, file) {
				t.Errorf("curl %s got %d bytes of %d: %v", family, len(raw), len(file), err)
			}
		}
		for len(from) > 0 {
			if host, _, _ := net.SplitHostPort(<-from); host != s.lab.Gateway() && host != s.lab.Gateway6() {
				t.Errorf("P7: the plant was reached from %s, and not from the gateway", host)
			}
		}
	})
	t.Run("iperf3", func(t *testing.T) {
		for _, way := range [][]string{{"-n", "4M"}, {"-n", "4M", "-R"}, {"-n", "1M", "-P", "8"}, {"-t", "1", "-u", "-b", "20M"}} {
			out := s.works(site, nil, "iperf3", append([]string{"-c", "hmi.plant", "-J"}, way...)...)
			t.Logf("iperf3 %v: %s", way, megabits(out))
		}
	})
	t.Run("ping", func(t *testing.T) {
		if !pings(t) { // the gateway's machine lets nobody, and the page says what to do
			s.in(site.Space, "ping", "-c", "1", "-W", "1", "hmi.plant")
			says(t, "the tunnel's page", s.page("ana", tunnel.Session), "ping_group_range")
		} else {
			s.works(site, []string{" 0% packet loss"}, "ping", "-4", "-c", "3", "-i", "0.2", "-W", "2", "hmi.plant")
			s.works(site, []string{" 0% packet loss"}, "ping", "-6", "-c", "3", "-i", "0.2", "-W", "2", "hmi.plant")
		}
		if status, out := s.in(site.Space, "ping", "-c", "1", "-W", "1", "plc-7.plant"); status == 0 {
			t.Errorf("an echo that was not granted: %s", out)
		}
	})
	t.Run("dig", func(t *testing.T) {
		s.works(site, []string{s.lab.IP(0)}, "dig", "+short", "hmi.plant", "A")
		s.works(site, []string{s.lab.IP6()}, "dig", "+short", "+tcp", "hmi.plant", "AAAA")
		for _, name := range []string{"example.com", "localhost", "nosuch.plant"} {
			s.works(site, []string{"NXDOMAIN"}, "dig", name)
		}
	})
	t.Run("mbpoll", func(t *testing.T) {
		s.works(site, []string{"[1]: \t1480", "[3]: \t1482"}, "mbpoll", "-m", "tcp", "-a", "1", "-r", "1", "-c", "3", "-1", "plc-7.plant")
	})
	t.Run("P8: what was refused is shown, with what to ask for", func(t *testing.T) {
		if c, err := site.Dial(s.ctx, "tcp", net.JoinHostPort(s.lab.IP(1), "22")); err == nil {
			c.Close()
			t.Error("a flow that was not granted opened")
		}
		says(t, "the tunnel's page", s.page("ana", tunnel.Session), s.lab.IP(1)+":22", "Ask for it", "flow=flow%20plc-7.plant%3a22%2ftcp")
	})
	t.Run("roaming", func(t *testing.T) {
		c := s.dial(site)
		before := s.page("ana", tunnel.Session)
		s.must(site.Roam(s.ctx))
		s.there(c, strings.Repeat("after the move ", 20_000))
		s.must(rig.Until(s.ctx, 5*time.Second, func() error {
			if after := s.page("ana", tunnel.Session); !strings.Contains(before, site.Home()) || !strings.Contains(after, site.Away()) {
				return fmt.Errorf("the page does not tell of a move from %s to %s", site.Home(), site.Away())
			}
			return nil
		}))
		c.Close()
	})
	t.Run("P2: a key is for one tunnel, and a touch for one key", func(t *testing.T) { s.oneKey(site, grant, tunnel) })

	sent := make([]byte, 300_000)
	_, _ = rand.Read(sent)
	s.stream(site, sent)
	s.must(s.People["ben"].Post(s.ctx, "/api/v1/sessions/"+tunnel.Session+"/end", map[string]any{}, nil))
	s.ended(tunnel.Session)
	says(t, "P8: the page after the end", s.page("ana", tunnel.Session), "staff ended this session", "By ben")
	s.capture(tunnel.Session, sent)
	s.timeline(tunnel.Session)
	s.verified()
}

// pings reports whether this machine lets the gateway send echo requests
// (icmp(7): ping_group_range).
func pings(t *testing.T) bool {
	t.Helper()
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ping_group_range")
	if err != nil {
		t.Fatal(err)
	}
	var first, last int
	if _, err := fmt.Sscan(string(raw), &first, &last); err != nil {
		t.Fatal(err)
	}
	return first <= os.Getegid() && os.Getegid() <= last
}

// files serves a file at port 80 of both families, and says who came.
func (s *tunnelStory) files(file []byte) chan string {
	s.Helper()
	from := make(chan string, 64)
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from <- r.RemoteAddr
		_, _ = w.Write(file)
	})}
	for _, ip := range []string{s.lab.IP(0), s.lab.IP6()} {
		l, err := s.lab.Plant.Listen("tcp", net.JoinHostPort(ip, "80"))
		s.must(err)
		go func() { _ = srv.Serve(l) }()
	}
	s.Cleanup(func() { srv.Close() })
	return from
}

// sshd runs one at the plant's port 22, and returns a key that it takes and a
// known_hosts file.
func (s *tunnelStory) sshd() (key, known string) {
	s.Helper()
	dir := s.TempDir()
	key, known = filepath.Join(dir, "key"), filepath.Join(dir, "known")
	public, err := rig.Keygen(key)
	s.must(err)
	host, err := s.lab.SSHD(s.ctx, dir, public)
	s.must(err)
	s.must(os.WriteFile(known, []byte("hmi.plant "+host+"\n"), 0o600))
	return key, known
}

// oneKey: P2.
func (s *tunnelStory) oneKey(site *rig.Site, grant string, first rig.Tunnel) {
	s.Helper()
	private, public, err := rig.NewPeer()
	s.must(err)
	_, other, err := rig.NewPeer()
	s.must(err)
	ana := s.People["ana"]
	draft, err := ana.Draft(s.ctx, "session.open", map[string]string{"grant": grant, "peer": public})
	s.must(err)
	assertion, err := ana.Key.Get(draft.Options)
	s.must(err)
	var done struct {
		Result rig.Tunnel `json:"result"`
	}
	// The touch is for a statement that names the key: no other can be slipped in.
	otherDraft, err := ana.Draft(s.ctx, "session.open", map[string]string{"grant": grant, "peer": other})
	s.must(err)
	refused(s.T, ana.Post(s.ctx, "/api/v1/acts/"+otherDraft.ID, map[string]any{"assertion": assertion}, nil))
	s.must(ana.Post(s.ctx, "/api/v1/acts/"+draft.ID, map[string]any{"assertion": assertion}, &done))
	if done.Result.Session == first.Session || done.Result.PresharedKey == first.PresharedKey {
		s.Error("two tunnels have one session or one pre-shared key")
	}
	refused(s.T, ana.Post(s.ctx, "/api/v1/acts/"+draft.ID, map[string]any{"assertion": assertion}, nil))
	if _, err := s.OpenTunnel(s.ctx, "ana", grant, public); true {
		refused(s.T, err, "key")
	}
	s.must(s.People["ben"].Post(s.ctx, "/api/v1/sessions/"+done.Result.Session+"/end", map[string]any{}, nil))
	s.ended(done.Result.Session)
	_, err = s.OpenTunnel(s.ctx, "ana", grant, public)
	refused(s.T, err, "key")
	away, err := s.lab.Site("late")
	s.must(err)
	s.must(away.Up(s.ctx, done.Result.Conf(private)))
	s.silent(away)
	_, err = s.OpenTunnel(s.ctx, "bob", grant, other)
	refused(s.T, err)
}

// silent fails if a handshake of the site's tunnel is answered, or anything
// passes.
func (s *tunnelStory) silent(site *rig.Site) {
	s.Helper()
	if c, err := site.Dial(s.ctx, "tcp", net.JoinHostPort(s.lab.IP(0), "7")); err == nil {
		c.Close()
		s.Error("a flow opened in a tunnel that is no more")
	}
	at, err := site.Handshake(s.ctx)
	s.must(err)
	if !at.IsZero() {
		s.Errorf("a handshake was answered at %s, after the end", at)
	}
}

// stream sends bytes to port 7 and has them back, on a connection of its own.
func (s *tunnelStory) stream(site *rig.Site, sent []byte) {
	s.Helper()
	c := s.dial(site)
	s.there(c, string(sent))
	s.must(c.Close())
}

// capture has tshark read what was captured, and reassembles a stream of it.
func (s *tunnelStory) capture(session string, sent []byte) {
	s.Helper()
	file := filepath.Join(s.TempDir(), "inner.pcapng")
	r, err := s.CLI(s.ctx, "recording", "export", session, "--format", "pcapng")
	s.must(err)
	if r.Status != 0 {
		s.Fatalf("export: %d %s", r.Status, r.Err)
	}
	s.must(os.WriteFile(file, []byte(r.Out), 0o600))
	shark := func(args ...string) string {
		s.Helper()
		status, out, errOut := output(s.T, exec.CommandContext(s.ctx, "tshark", append([]string{"-n", "-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}, args...)...))
		errOut = strings.ReplaceAll(errOut, "Running as user \"root\" and group \"root\". This could be dangerous.\n", "")
		if status != 0 || errOut != "" {
			s.Errorf("tshark %v: exit %d: %s", args, status, errOut)
		}
		return out
	}
	if bad := shark("-Y", "_ws.malformed or ip.checksum.status==0 or tcp.checksum.status==0 or tcp.analysis.lost_segment"); bad != "" {
		s.Errorf("tshark complains of packets: %s", bad)
	}
	status, info, errOut := output(s.T, exec.CommandContext(s.ctx, "capinfos", "-F", "-k", file))
	if status != 0 || !strings.Contains(info, session) {
		s.Errorf("capinfos: %d %s; the session %s stands in the section: %s", status, errOut, session, info)
	}
	streams := strings.Fields(shark("-Y", "tcp.dstport==7 and tcp.flags.syn==1", "-T", "fields", "-e", "tcp.stream"))
	if len(streams) == 0 {
		s.Fatal("no stream to port 7 is in the capture")
	}
	want, found := sha256.Sum256(append([]byte("hello"), sent...)), false
	for _, n := range streams {
		up, down := followed(shark("-q", "-z", "follow,tcp,raw,"+n))
		found = found || sha256.Sum256(up) == want && sha256.Sum256(down) == want
	}
	if !found {
		s.Errorf("no stream of the capture (%v) has the bytes that were sent", streams)
	}
}

// followed reads tshark's follow,tcp,raw: hex of each piece, those of the
// answering side after a tab.
func followed(text string) (up, down []byte) {
	for line := range strings.Lines(text) {
		raw, err := hex.DecodeString(strings.TrimSpace(line))
		switch {
		case err != nil:
		case strings.HasPrefix(line, "\t"):
			down = append(down, raw...)
		default:
			up = append(up, raw...)
		}
	}
	return up, down
}

// timeline looks for the hints among the flows on file.
func (s *tunnelStory) timeline(session string) {
	s.Helper()
	r, err := s.CLI(s.ctx, "recording", "export", session, "--format", "flows")
	s.must(err)
	says(s.T, "the flows on file", r.Out+r.Err, "SSH-2.0", "GET hmi.plant", "Modbus", "DNS", `"verdict":"refused"`, s.lab.IP(1)+":22")
}

// megabits is what iperf3 -J says was carried.
func megabits(out string) string {
	var got struct {
		End struct {
			Sum struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum"`
			Recv struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.0f Mbit/s", max(got.End.Sum.BitsPerSecond, got.End.Recv.BitsPerSecond)/1e6)
}
