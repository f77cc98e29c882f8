package sshproxy_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/sshproxy"
)

// mayForward makes the grant one of these forwards and of a command.
func (w *world) mayForward(to ...string) {
	w.acc.mu.Lock()
	defer w.acc.mu.Unlock()
	w.acc.abilities = gateway.Abilities{Exec: true, Forward: to}
}

// sink answers with the digest of all that it got once its client has said
// the end: what comes back proves both directions and the half-close.
func (w *world) sink() net.Addr {
	return w.tcp(func(nc net.Conn) {
		h := sha256.New()
		n, _ := io.Copy(h, nc)
		_, _ = fmt.Fprintf(nc, "%d %x", n, h.Sum(nil))
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// The stock client's -L and -N: bytes both ways, the end of each half, and the
// recording's account of them.
func TestForwardByStockClient(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	to := w.sink().String()
	w.mayForward(to)
	port := freePort(t)
	cmd := w.ssh("-N", "-L", "127.0.0.1:"+port+":"+to)
	cmd.Args = append(cmd.Args, "127.0.0.1")
	errs := newScreen()
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	w.listening("127.0.0.1:" + port) // makes a connection of its own
	digests := map[gateway.Digest]bool{}
	for _, size := range []int{0, 1, 3 << 20} {
		sent := make([]byte, size)
		_, _ = rand.Read(sent)
		digests[gateway.DigestOf(sent)] = true
		nc, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(sent); err != nil {
			t.Fatal(err)
		}
		_ = nc.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(nc)
		if want := fmt.Sprintf("%d %x", size, sha256.Sum256(sent)); err != nil || string(got) != want {
			t.Errorf("%d bytes: got %q, %v", size, got, err)
		}
		_ = nc.Close()
	}
	if !w.store.hasDetail(audit.SessionChannel, "to", to) {
		t.Error("no event names where the forward leads")
	}
	l := w.lastLive()
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	w.done(l)
	if row := w.store.rows[l.ID()]; row.BytesIn != 3<<20+1 {
		t.Errorf("the row counts %d bytes in", row.BytesIn)
	}
	for _, f := range w.flows(l) {
		if f.To != to || !f.Ended || !strings.HasPrefix(f.From, "127.0.0.1:") {
			t.Errorf("flow %+v", f)
		}
		delete(digests, f.SHA256In)
	}
	if len(digests) != 0 {
		t.Errorf("%d flows are not told of with the digest of their bytes", len(digests))
	}
}

// flows are the forwards that the recording of an ended session tells of.
func (w *world) flows(l *session.Live) []recording.IndexFlow {
	w.t.Helper()
	w.done(l)
	ix, err := w.vault.Index(w.t.Context(), l.ID())
	if err != nil {
		w.t.Fatal(err)
	}
	return ix.Flows
}

// V-15, S-29: a forward is judged like a shell, by what exactly is listed.
//
// What is not listed word for word is refused before anything is dialled; so
// is what only leads to the same place.
func TestForwardOnlyToWhatIsListed(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	dialled := make(chan struct{}, 64)
	other := w.tcp(func(net.Conn) { dialled <- struct{}{} })
	_, port, _ := net.SplitHostPort(other.String())
	w.mayForward("127.0.0.2:"+port, "db.example:5432")
	c := w.mustClient()
	for _, to := range []string{
		other.String(), "localhost:" + port, "[::1]:" + port, "[::ffff:127.0.0.1]:" + port, "127.1:" + port, "0x7f000001:" + port, "2130706433:" + port,
		"127.0.0.2:1", "db.example:5433", "db.example.evil:5432", "0.0.0.0:" + port, "*:" + port, "db.example:0",
	} {
		host, p, _ := net.SplitHostPort(to)
		n, _ := strconv.ParseUint(p, 10, 32)
		_, _, err := c.OpenChannel("direct-tcpip", forwardTo(host, uint32(n)))
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || refused.Reason != ssh.Prohibited {
			t.Errorf("%s: %v", to, err)
		}
	}
	for _, host := range []string{"", "db.example\x00", "db.example:5432#", strings.Repeat("a", 100_000), "db.example\n", " db.example", "fe80::1%eth0"} {
		if _, _, err := c.OpenChannel("direct-tcpip", forwardTo(host, 5432)); err == nil {
			t.Errorf("%.20q: opened", host)
		}
	}
	if _, _, err := c.OpenChannel("direct-tcpip", forwardTo("db.example", 5432+65536)); err == nil {
		t.Error("a port beyond 65535 was opened")
	}
	if len(dialled) != 0 {
		t.Error("something was dialled")
	}
	if !w.store.has(audit.SessionChannel, audit.Refused, "no forward to "+other.String()) {
		t.Error("no event")
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Output("echo alive"); err != nil || string(out) != "alive\n" {
		t.Errorf("a command after them: %q, %v", out, err)
	}
}

func forwardTo(host string, port uint32) []byte {
	return ssh.Marshal(struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{host, port, "127.0.0.1", 40000})
}

// The target's own refusal comes through with its reason (S-29).
func TestForwardThatTheTargetRefuses(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	to := "127.0.0.1:" + freePort(t)
	w.mayForward(to)
	_, err := w.mustClient().Dial("tcp", to)
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != ssh.ConnectionFailed || !strings.Contains(refused.Message, "the target refused it") {
		t.Errorf("%v", err)
	}
}

// Many short connections, one after the other and at once (S-29), and no more
// at once than the bound.
func TestForwardsManyAndBounded(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	to := w.tcp(func(nc net.Conn) { _, _ = io.Copy(nc, nc) }).String()
	w.mayForward(to)
	c := w.mustClient()
	var open []net.Conn
	for i := range sshproxy.MaxFlows {
		nc, err := c.Dial("tcp", to)
		if err != nil {
			t.Fatalf("flow %d: %v", i, err)
		}
		open = append(open, nc)
	}
	if _, err := c.Dial("tcp", to); err == nil || !strings.Contains(err.Error(), "no more forwarded connections") {
		t.Errorf("one too many: %v", err)
	}
	for i, nc := range open {
		echo(t, nc, fmt.Sprintf("flow %d", i))
		_ = nc.Close()
	}
	for i := range 100 {
		nc := dialSoon(t, c, to)
		echo(t, nc, fmt.Sprintf("short %d", i))
		_ = nc.Close()
	}
}

// dialSoon dials again while what was closed is still being taken down.
func dialSoon(t *testing.T, c *ssh.Client, to string) net.Conn {
	t.Helper()
	limit, tick := time.After(patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		nc, err := c.Dial("tcp", to)
		if err == nil {
			return nc
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("dial: %v", err)
		}
	}
}

func echo(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v", got, err)
	}
}

// S-31: each name that a SOCKS client asks for is judged on its own.
func TestForwardBySocks(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	page := func(text string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, text) }))
		t.Cleanup(s.Close)
		return s
	}
	listed, other := page("listed page"), page("other page")
	w.mayForward(strings.TrimPrefix(listed.URL, "http://"))
	port := freePort(t)
	cmd := w.ssh("-N", "-D", "127.0.0.1:"+port)
	cmd.Args = append(cmd.Args, "127.0.0.1")
	errs := newScreen()
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	w.listening("127.0.0.1:" + port)
	get := func(url string) (string, error) {
		out, err := exec.Command("curl", "-s", "--max-time", "10", "--socks5-hostname", "127.0.0.1:"+port, url).Output()
		return string(out), err
	}
	if out, err := get(listed.URL); err != nil || out != "listed page" {
		t.Errorf("listed: %q, %v", out, err)
	}
	if out, err := get(other.URL); err == nil || out != "" {
		t.Errorf("not listed: %q, %v", out, err)
	}
	errs.wait(t, "no forward to "+strings.TrimPrefix(other.URL, "http://"))
}

// A side that closes whole ends the other side of its flow, and no other flow.
func TestForwardEndsWithEitherSide(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	left := make(chan struct{}, 1)
	server := w.tcp(func(nc net.Conn) {
		line := make([]byte, 4)
		_, _ = io.ReadFull(nc, line)
		if string(line) == "bye\n" {
			return
		}
		_, _ = nc.Write(line)
		_, _ = io.Copy(io.Discard, nc)
		left <- struct{}{}
	}).String()
	w.mayForward(server)
	c := w.mustClient()
	steady := dialSoon(t, c, server)
	echo(t, steady, "abc\n")

	nc := dialSoon(t, c, server)
	_, _ = io.WriteString(nc, "bye\n")
	if b, err := io.ReadAll(nc); err != nil || len(b) != 0 {
		t.Errorf("the server's end: %q, %v", b, err)
	}
	_ = nc.Close()
	_ = steady.Close()
	select {
	case <-left:
	case <-time.After(patience):
		t.Error("the server still waits for a client that has closed")
	}
}

// Freeze holds what a flow sends and lets none begin; suspension ends both.
func TestForwardFrozenAndSuspended(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	got := make(chan string, 8)
	to := w.tcp(func(nc net.Conn) {
		buf := make([]byte, 64)
		for {
			n, err := nc.Read(buf)
			if err != nil {
				got <- "end"
				return
			}
			got <- string(buf[:n])
		}
	}).String()
	w.mayForward(to)
	c := w.mustClient()
	nc := dialSoon(t, c, to)
	_, _ = io.WriteString(nc, "before")
	expect(t, got, "before")
	l := w.lastLive()
	if err := w.m.Freeze(t.Context(), l.ID(), "olga", ""); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(nc, "held")
	if _, err := c.Dial("tcp", to); err == nil || !strings.Contains(err.Error(), "frozen") {
		t.Errorf("a forward in a frozen session: %v", err)
	}
	select {
	case s := <-got:
		t.Errorf("%q passed while frozen", s)
	default:
	}
	if err := w.m.Thaw(t.Context(), l.ID(), "olga"); err != nil {
		t.Fatal(err)
	}
	expect(t, got, "held")
	w.m.EndAll(func(gateway.Session) bool { return true }, &gateway.Ended{Reason: gateway.EndSuspended})
	expect(t, got, "end")
	if _, err := c.Dial("tcp", to); err == nil {
		t.Error("a forward after the suspension")
	}
	if flows := w.flows(l); len(flows) != 1 || !flows[0].Ended || flows[0].SHA256In != gateway.DigestOf([]byte("beforeheld")) {
		t.Errorf("flows %+v", flows)
	}
}

func expect(t *testing.T, from <-chan string, want string) {
	t.Helper()
	select {
	case s := <-from:
		if s != want {
			t.Fatalf("got %q, not %q", s, want)
		}
	case <-time.After(patience):
		t.Fatalf("waited for %q", want)
	}
}

// A held connection's forward waits for the touch, also after the client has
// said that it opens no more sessions.
func TestHeldForwardListed(t *testing.T) {
	w := newWorld(t)
	w.acc.noTicket = true
	w.sshd()
	to := w.tcp(func(nc net.Conn) { _, _ = io.Copy(nc, nc) }).String()
	w.mayForward(to)
	c := w.mustClient()
	wt := w.waits()
	if _, _, err := c.SendRequest("no-more-sessions@openssh.com", false, nil); err != nil {
		t.Fatal(err)
	}
	if ok, _, err := c.SendRequest("tcpip-forward", true, nil); ok || err != nil {
		t.Errorf("a reverse forward while held: %t, %v", ok, err)
	}
	dialled := make(chan net.Conn, 1)
	go func() {
		nc, err := c.Dial("tcp", to)
		if err != nil {
			t.Errorf("forward: %v", err)
		}
		dialled <- nc
	}()
	w.untouched()
	w.touches(wt)
	if nc := <-dialled; nc != nil {
		echo(t, nc, "after the touch")
	}
	if !w.store.has(audit.SessionChannel, audit.Refused, "forwarding from the target") {
		t.Error("no event of what was refused while held")
	}
}

// -W is how another client's ProxyCommand goes through: one flow on stdin and
// stdout.
func TestForwardOnStdio(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	to := w.sink().String()
	w.mayForward(to)
	in := make([]byte, 1<<20)
	_, _ = rand.Read(in)
	cmd := w.ssh("-W", to)
	cmd.Args = append(cmd.Args, "127.0.0.1")
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &errs
	out, err := cmd.Output()
	if want := fmt.Sprintf("%d %x", len(in), sha256.Sum256(in)); err != nil || string(out) != want {
		t.Errorf("got %q, %v, %s", out, err, errs.String())
	}
}
