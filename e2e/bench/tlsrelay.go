package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// tlsRelayCommand makes this program a bare relay that ends TLS on both sides:
// what a gateway for consoles that did nothing could hope for.
const tlsRelayCommand = "tls-relay-to"

// sockets are those of a relay, both sides.
type sockets struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func (s *sockets) add(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
}

func (s *sockets) close(c net.Conn) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	c.Close()
}

// shut closes them all beneath TLS.
func (s *sockets) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.Close()
	}
	clear(s.open)
}

// tlsRelay copies between whoever connects and target until SIGUSR1, which
// shuts everything at once.
func tlsRelay(target, certFile, keyFile string) error {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	all := &sockets{open: map[net.Conn]struct{}{}}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() { // ends with the process
		for range told {
			all.shut()
		}
	}()
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go relayTLS(c, target, cert, all)
	}
}

// relayTLS has the target speak what the client chose.
func relayTLS(c net.Conn, target string, cert tls.Certificate, all *sockets) {
	all.add(c)
	defer all.close(c)
	in := tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
	if err := in.Handshake(); err != nil {
		return
	}
	raw, err := net.DialTimeout("tcp", target, dialWithin)
	if err != nil {
		return
	}
	all.add(raw)
	defer all.close(raw)
	out := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{in.ConnectionState().NegotiatedProtocol},
		InsecureSkipVerify: true, //nolint:forbidigo // our own process on loopback
	})
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(out, in) // until either side is shut
		_ = raw.SetDeadline(time.Now())
		_ = c.SetDeadline(time.Now())
	})
	_, _ = io.Copy(in, out)
	_ = raw.SetDeadline(time.Now())
	_ = c.SetDeadline(time.Now())
	both.Wait()
}
