package socket

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Shut ends both directions (shutdown(2)); what was sent still arrives.
func Shut(c net.Conn) {
	control(c, func(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) })
}

// Abort resets the connection and throws away what the kernel still held of
// it, as Close does after SetLinger(0): connect(2) to no address dissolves the
// association (RFC 9293 clause 3.10.5, ABORT).
func Abort(c net.Conn) {
	control(c, func(fd int) {
		none := syscall.RawSockaddr{Family: syscall.AF_UNSPEC}
		_, _, _ = syscall.Syscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none))
	})
}

// Takes reports whether the socket takes a short write at once.
func Takes(c net.Conn) (yes bool) {
	control(c, func(fd int) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(p, 0)
		yes = err == nil && n == 1 && p[0].Revents == unix.POLLOUT
	})
	return yes
}

// Quiet reports whether a read would wait: nothing has come, and no end.
func Quiet(c net.Conn) (yes bool) {
	control(c, func(fd int) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		yes = err == nil && n == 0
	})
	return yes
}

func control(c net.Conn, f func(fd int)) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := s.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}

// restTime is the longest that a reader rests.
const restTime = time.Second

// Rest keeps a connection's reader still. What is done about the end of a
// socket takes time from the sockets that are still to be shut, from those who
// hear of theirs, and from the answer to whoever gave the order.
type Rest struct {
	until atomic.Pointer[<-chan struct{}]
}

// Set has Wait wait from now on until over is closed, a second at most.
func (r *Rest) Set(over <-chan struct{}) { r.until.Store(&over) }

// Wait returns at once where Set was not called.
func (r *Rest) Wait() {
	over := r.until.Load()
	if over == nil {
		return
	}
	late := time.NewTimer(restTime)
	defer late.Stop()
	select {
	case <-*over:
	case <-late.C:
	}
}
