package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketHeaderTimeout bounds how long a caller of the local socket may take
// to say what it wants.
const socketHeaderTimeout = 5 * time.Second

// listenSocket listens on the local socket: mode 0600, and every caller's
// user is asked of the kernel besides. A socket that a dead gateway left
// behind is replaced; one that answers is not.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	if answers(ctx, path) {
		return nil, hinted(fmt.Errorf("another gateway already runs with %s", path), "stop it first, or give this one another data folder")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	old := syscall.Umask(0o177)
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &peerListener{l}, nil
}

// answers reports whether somebody listens on a unix socket.
func answers(ctx context.Context, path string) bool {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// peerListener lets in root and the gateway's own user only.
type peerListener struct{ net.Listener }

// Accept returns the next connection whose peer may command this gateway.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUser(c); err == nil && (uid == 0 || int(uid) == os.Geteuid()) {
			return c, nil
		}
		c.Close()
	}
}

// peerUser asks the kernel who is at the other end (unix(7), SO_PEERCRED).
func peerUser(c net.Conn) (uint32, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return cred.Uid, nil
}

// bounded is a server for whoever comes over the network: who is slow to ask,
// or asks nothing more, is not waited for. Answers have no bound in time:
// recordings and live updates are streams.
func bounded(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: webHeaderTimeout, ReadTimeout: webReadTimeout, IdleTimeout: webIdleTimeout, MaxHeaderBytes: webMaxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serveHTTP serves until ctx is done, then lets what is under way finish for
// at most last.
func serveHTTP(ctx context.Context, srv *http.Server, serve func() error, last time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- serve() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		_ = srv.Close() // streams do not end by themselves
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
