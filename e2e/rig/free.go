package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// poll is how often something outside this process is looked at: there is no
// channel to wait on.
const poll = 20 * time.Millisecond

// The ports that a story's gateway may have. They lie below the range out of
// which kernels give ports to outgoing connections (RFC 6335 clause 6, Linux's
// ip_local_port_range), so that a gateway that a story stops and starts again
// finds its own still free.
const (
	firstPort = 10_000
	lastPort  = 29_999
	portStep  = 397
)

// handed holds the ports given out by this process: two stories never share one.
var handed = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreeAddr returns a loopback address that nothing listens on and that no other
// caller in this process is given.
func FreeAddr() (string, error) {
	handed.Lock()
	defer handed.Unlock()
	const span = lastPort - firstPort + 1
	begin := os.Getpid() * portStep % span // two processes begin apart
	for i := range span {
		port := firstPort + (begin+i)%span
		if handed.ports[port] {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		handed.ports[port] = true
		return addr, l.Close()
	}
	return "", errors.New("no port between 10000 and 29999 is free")
}

// Until asks again and again until ok says yes, or limit has passed. The
// error is ok's last one.
func Until(ctx context.Context, limit time.Duration, ok func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", limit, err)
		case <-tick.C:
		}
	}
}

// listens reports whether something accepts at addr.
func listens(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}
