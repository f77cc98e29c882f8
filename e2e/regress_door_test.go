package e2e

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/portcullis/portcullis/e2e/rig"
)

// door is a port that the scripts' clients come to. Each connection is led on
// by lead; cut ends those that are open, and with them what a script left.
type door struct {
	net.Listener
	port string

	lead func(near *net.TCPConn) error

	mu     sync.Mutex
	open   map[*net.TCPConn]struct{}
	failed error // the first
	work   sync.WaitGroup
}

// doorTries bounds the search for a port with free neighbours.
const doorTries = 50

// newDoor opens one at a port after which three others are free: scripts take
// them for their own use.
func newDoor(t *testing.T) *door {
	t.Helper()
	for range doorTries {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if free(port+1, port+2, port+3) {
			d := &door{Listener: l, port: strconv.Itoa(port), open: map[*net.TCPConn]struct{}{}}
			t.Cleanup(func() { l.Close(); d.cut(); d.work.Wait() })
			return d
		}
		l.Close()
	}
	t.Fatal("no port with three free neighbours")
	return nil
}

func free(ports ...int) bool {
	for _, p := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// serve leads connections on until the test is over.
func (d *door) serve(lead func(near *net.TCPConn) error) {
	d.lead = lead
	d.work.Go(func() {
		for {
			nc, err := d.Accept()
			if err != nil {
				return
			}
			d.work.Go(func() { d.carry(nc.(*net.TCPConn)) })
		}
	})
}

func (d *door) carry(near *net.TCPConn) {
	d.mu.Lock()
	d.open[near] = struct{}{}
	d.mu.Unlock()
	err := d.lead(near)
	near.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, near)
	if d.failed == nil {
		d.failed = err
	}
}

// cut ends what is open and returns what went wrong since the last time.
func (d *door) cut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for nc := range d.open {
		_ = nc.CloseRead() // shut for a sshd that holds the same socket too
		_ = nc.CloseWrite()
	}
	err := d.failed
	d.failed = nil
	return err
}

// relay leads a connection to addr. An end that is gone is no failure: a
// script may have no sshd running.
func relay(near *net.TCPConn, addr string) {
	far, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(far, near); far.Close() })
	both.Go(func() { _, _ = io.Copy(near, far); near.Close() })
	both.Wait()
}

// inetd starts a sshd for a connection, with the configuration that lies in
// dir at that moment.
func inetd(near *net.TCPConn, dir string) error {
	socket, err := near.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	cmd := exec.Command("/usr/sbin/sshd", "-i", "-f", filepath.Join(dir, "sshd_proxy"), "-E", filepath.Join(dir, "sshd.log"))
	cmd.Stdin, cmd.Stdout = socket, socket
	_ = cmd.Run() // 255 is how it ends where its client hung up
	return nil
}

// routes are the two ways to the same sshd, and where they lead to at this
// moment.
type routes struct {
	*story
	key            string // private half, for the way without the gateway
	daemon         string // host:port where start_sshd's listens
	proxyA, proxyB *door  // to a sshd for each connection: straight, through the gateway
	longA, longB   *door  // to the one of start_sshd
	grants         map[string]string

	touch sync.Mutex // held while ana touches
	mu    sync.Mutex
	obj   string
}

func newRoutes(t *testing.T) *routes {
	t.Helper()
	r := &routes{key: filepath.Join(t.TempDir(), "id"), proxyA: newDoor(t), proxyB: newDoor(t), longA: newDoor(t), longB: newDoor(t), grants: map[string]string{}}
	public, err := rig.Keygen(r.key)
	if err == nil {
		r.daemon, err = rig.FreeAddr()
	}
	if err != nil {
		t.Fatal(err)
	}
	r.story = newStory(t, rig.Options{Authorized: public + "\n", Targets: func(s *rig.Stage) string {
		return targetItem(s, "proxy", r.proxyA.Addr().String()) + targetItem(s, "daemon", r.daemon)
	}})
	return r
}

// begin opens the doors and has ana granted everything that can be.
func (r *routes) begin() {
	r.Helper()
	next := func(d *door) string { n, _ := strconv.Atoi(d.port); return strconv.Itoa(n + 1) }
	for _, target := range []string{"proxy", "daemon"} {
		r.grants[target] = r.grantedOn(target, "shell", "exec", "upload", "download",
			"forward 127.0.0.1:"+r.longB.port, "forward localhost:"+r.longB.port, "forward 127.0.0.1:"+next(r.longB))
	}
	r.proxyA.serve(func(nc *net.TCPConn) error { return inetd(nc, r.dir()) })
	r.longA.serve(func(nc *net.TCPConn) error { relay(nc, r.daemon); return nil })
	r.proxyB.serve(func(nc *net.TCPConn) error { return r.touched(nc, "proxy") })
	r.longB.serve(func(nc *net.TCPConn) error { return r.touched(nc, "daemon") })
}

// touched has ana press Open for a connection and leads it to the gateway. She
// has one key, whose signatures are counted, and touches it once at a time.
func (r *routes) touched(nc *net.TCPConn, target string) error {
	r.touch.Lock()
	err := r.Ticket(r.ctx, "ana", r.grants[target])
	r.touch.Unlock()
	if err != nil {
		return err
	}
	relay(nc, r.SSH)
	return nil
}

func (r *routes) dir() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.obj
}

// cut ends what the last script has left open.
func (r *routes) cut() {
	r.Helper()
	for _, d := range []*door{r.proxyA, r.proxyB, r.longA, r.longB} {
		if err := d.cut(); err != nil {
			r.Errorf("a door: %v", err)
		}
	}
}

func targetItem(s *rig.Stage, name, addr string) string {
	return fmt.Sprintf("  - {name: %s, title: A target, kind: ssh, address: %q, zone: pumps, impact: medium, vendors: [acme], host_keys: [%q], accounts: [{name: ops, login: %s, proof: certificate}]}\n", name, addr, s.Plant.HostKey, s.Plant.Login)
}
