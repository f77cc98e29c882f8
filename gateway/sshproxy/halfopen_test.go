package sshproxy_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/sshproxy"
)

// Half-open TCP as it happens: packets are lost without a word between two
// machines that stand as before. Three network namespaces in a row play the
// gateway, a router that stops to route, and what is far away.

const (
	insideNet  = "PORTCULLIS_TEST_INSIDE_NET"
	nearAddr   = "10.99.1.1"
	farAddr    = "10.99.2.2"
	noticedMax = 30 * time.Second // as is promised
)

// TestHalfOpenTCP: on either leg, with the times that the gateway really has,
// the silence is noticed within 30 s, and not before SilenceMax.
func TestHalfOpenTCP(t *testing.T) {
	if os.Getenv(insideNet) == "" {
		t.Parallel()
		inside(t)
		return
	}
	n := newNetwork(t)
	client := newWorld(t)
	client.fake(signer(t), quietTarget)
	client.alsoAt(nearAddr)
	cmd := client.ssh("-tt", nearAddr)
	cmd.Args = append([]string{"nsenter", "-t", n.far, "-n"}, cmd.Args...)
	cmd.Path = find(t, "nsenter")
	stdin, err := cmd.StdinPipe() // held open: the client stays
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()

	target := newWorld(t)
	target.fakeOn(n.listenFar(), signer(t), quietTarget)
	shellOver(t, target, target.addr)

	lost, cut := client.lastLive(), target.lastLive()
	client.begun()
	target.begun()
	begun := time.Now()
	n.stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, leg := range []struct {
		name string
		done <-chan struct{}
		end  func() *gateway.Ended
		want gateway.EndReason
	}{
		{"client", lost.Done(), func() *gateway.Ended { return client.done(lost) }, gateway.EndClientLeft},
		{"target", cut.Done(), func() *gateway.Ended { return target.done(cut) }, gateway.EndTargetLeft},
	} {
		wg.Go(func() {
			late := time.NewTimer(noticedMax)
			defer late.Stop()
			select {
			case <-leg.done:
			case <-late.C:
				t.Errorf("%s: not noticed within %s", leg.name, noticedMax)
				return
			}
			took := time.Since(begun)
			if e := leg.end(); e.Reason != leg.want || !strings.Contains(e.Detail, "silent") {
				t.Errorf("%s: ended by %v", leg.name, e)
			}
			if took < sshproxy.SilenceMax-sshproxy.BeatEvery {
				t.Errorf("%s: noticed after %s already", leg.name, took)
			}
			t.Logf("%s: noticed after %s", leg.name, took.Round(time.Millisecond))
		})
	}
}

// inside runs the same test in a network namespace of its own, as its root.
func inside(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideNet+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v (it needs root, or leave to make namespaces)\n%s", err, out)
	}
}

type network struct {
	t           *testing.T
	router, far string // a process in each
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t}
	n.router, n.far = n.namespace(), n.namespace()
	n.in("", "ip", "link", "set", "lo", "up")
	n.in("", "ip", "link", "add", "near", "type", "veth", "peer", "name", "left", "netns", n.router)
	n.in("", "ip", "addr", "add", nearAddr+"/24", "dev", "near")
	n.in("", "ip", "link", "set", "near", "up")
	n.in("", "ip", "route", "add", "10.99.2.0/24", "via", "10.99.1.2", "dev", "near", "onlink")
	n.in(n.router, "ip", "link", "add", "right", "type", "veth", "peer", "name", "far", "netns", n.far)
	for dev, addr := range map[string]string{"left": "10.99.1.2/24", "right": "10.99.2.1/24"} {
		n.in(n.router, "ip", "addr", "add", addr, "dev", dev)
		n.in(n.router, "ip", "link", "set", dev, "up")
	}
	n.in(n.far, "ip", "link", "set", "lo", "up")
	n.in(n.far, "ip", "addr", "add", farAddr+"/24", "dev", "far")
	n.in(n.far, "ip", "link", "set", "far", "up")
	n.in(n.far, "ip", "route", "add", "default", "via", "10.99.2.1")
	n.in(n.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	return n
}

// namespace is a process in a network namespace of its own, which lives as
// long as the test.
func (n *network) namespace() (pid string) {
	n.t.Helper()
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		n.t.Fatalf("a network namespace: %v", err)
	}
	n.t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	return strconv.Itoa(cmd.Process.Pid)
}

// in runs a program in the namespace of a process, or in the test's own.
func (n *network) in(pid string, words ...string) {
	n.t.Helper()
	if pid != "" {
		words = append([]string{"nsenter", "-t", pid, "-n"}, words...)
	}
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%q: %v, %s", words, err, out)
	}
}

// stop has the router drop whatever comes, silently.
func (n *network) stop() { n.in(n.router, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward") }

// listenFar listens in the far namespace: a socket stays in the one that it
// was made in.
func (n *network) listenFar() net.Listener {
	n.t.Helper()
	type made struct {
		l   net.Listener
		err error
	}
	came := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		l, err := func() (net.Listener, error) {
			ns, err := os.Open("/proc/" + n.far + "/ns/net")
			if err != nil {
				return nil, err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, fmt.Errorf("setns: %w", err)
			}
			quick := net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2} // its own end is none of the test's
			return (&net.ListenConfig{KeepAliveConfig: quick}).Listen(context.Background(), "tcp", farAddr+":0")
		}()
		came <- made{l, err}
	}()
	m := <-came
	if m.err != nil {
		n.t.Fatal(m.err)
	}
	return m.l
}

// alsoAt has the proxy serve at a further address, which becomes the world's.
func (w *world) alsoAt(host string) {
	w.t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.proxy.Serve(ctx, l) })
	w.t.Cleanup(func() { cancel(); wg.Wait() })
	w.addr = l.Addr().String()
}

func find(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// begun waits until a shell has begun.
func (w *world) begun() {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !w.store.hasDetail(audit.SessionChannel, "kind", "shell"); <-tick.C {
		if time.Now().After(deadline) {
			w.t.Fatal("no shell began")
		}
	}
}
