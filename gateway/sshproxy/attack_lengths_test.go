package sshproxy_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"testing"
)

// heldMemory is how much memory this process uses, garbage gone.
func heldMemory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// V-74: a length that a peer only claims is neither believed nor allocated,
// before the authentication and after it, of a packet and of what is in one.
func TestLengthsAreNotBelieved(t *testing.T) {
	const most = 1 << 20 // bytes allocated for one of them, with all of the rest that goes on
	w := newWorld(t)
	w.fake(signer(t), quietTarget)
	lengths := []uint32{0, 1, 256<<10 + 1, 1 << 31, 0xFFFFFFFF}
	plain := func(t *testing.T) *rawEnd { return rawClient(t, w.addr, "") }
	coded := func(t *testing.T) *rawEnd { return keyed(t, w.addr) }
	signed := func(*testing.T) *rawEnd { e := w.signedIn(); w.lastLive(); return e }
	head := func(n uint32) []byte { return append(binary.BigEndian.AppendUint32(nil, n), make([]byte, 60)...) }
	for _, tc := range []struct {
		name  string
		begin func(t *testing.T) *rawEnd
	}{{"before the keys", plain}, {"before the authentication", coded}, {"in a session", signed}} {
		for _, n := range lengths {
			t.Run(fmt.Sprintf("packet of %d %s", n, tc.name), func(t *testing.T) {
				e := tc.begin(t)
				before := allocated()
				_, _ = e.nc.Write(head(n))
				if half, ok := e.nc.(*net.TCPConn); ok && n == 256<<10+1 { // a length that may be: what it promises does not come
					_ = half.CloseWrite()
				}
				e.cut(tc.name)
				if got := allocated() - before; got > most {
					t.Errorf("%d bytes were allocated", got)
				}
			})
		}
	}
	for _, n := range lengths[2:] {
		for name, p := range map[string][]byte{
			"user name":       message(msgAuthRequest, append(binary.BigEndian.AppendUint32(nil, n), "ana"...)),
			"service":         message(msgServiceRequest, append(binary.BigEndian.AppendUint32(nil, n), "ssh-userauth"...)),
			"kind of channel": message(msgChannelOpen, append(binary.BigEndian.AppendUint32(nil, n), "session"...)),
			"global request":  message(msgGlobalRequest, append(binary.BigEndian.AppendUint32(nil, n), "x"...)),
			"data":            message(msgChannelData, append(binary.BigEndian.AppendUint32(make([]byte, 4), n), "x"...)),
		} {
			t.Run(fmt.Sprintf("%s of %d", name, n), func(t *testing.T) {
				e := coded
				if p[0] >= msgGlobalRequest {
					e = signed
				}
				end := e(t)
				before := allocated()
				_ = end.send(p)
				end.cut(name)
				if got := allocated() - before; got > most {
					t.Errorf("%d bytes were allocated", got)
				}
			})
		}
	}
}
