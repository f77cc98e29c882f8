package sshproxy

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/portcullis/portcullis/gateway"
)

// contained is f, with a panic of it kept to this connection: whatever came in
// over it found a fault of ours, and must not take the sessions of others along.
// The session ends as by a fault of the gateway. What panics in the SSH library's
// own goroutines still ends the process, as it must.
func (c *conn) contained(f func()) func() {
	return func() {
		defer c.p.contain(c.nc, func() {
			if c.live != nil {
				c.live.End(gateway.EndFault, "", "")
			}
		})
		f()
	}
}

// contain is deferred. It logs the panic, has the session ended and closes the
// connection.
func (p *Proxy) contain(nc io.Closer, end func()) {
	v := recover()
	if v == nil {
		return
	}
	p.log.Error("a fault of the gateway ends one connection", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	end()
	_ = nc.Close()
}

// onOwnStack runs f in a goroutine that ends with it. A stack that grew in a key
// exchange or in the store never shrinks to what waiting takes, and who calls
// waits for hours. A panic of f goes on in the caller.
func onOwnStack(f func()) {
	var thrown any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if thrown = recover(); thrown != nil {
				thrown = fmt.Sprintf("%v\n%s", thrown, debug.Stack())
			}
		}()
		f()
	}()
	<-done
	if thrown != nil {
		panic(thrown)
	}
}
