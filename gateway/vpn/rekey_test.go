package vpn

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"net"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/device"
)

// bulkEcho sends without end what comes back, both ways at once.
type bulkEcho struct {
	conn      net.Conn
	enough    chan struct{}
	over      chan error // of the writer and of the reader
	sent, got hash.Hash
	out, in   int
	longest   time.Duration // without a byte
}

func (c *client) bulkEcho(to string) *bulkEcho {
	c.w.t.Helper()
	conn, err := c.dial("tcp", to)
	check(c.w.t, err)
	x := &bulkEcho{conn: conn, enough: make(chan struct{}), over: make(chan error, 2), sent: sha256.New(), got: sha256.New()}
	go func() { x.over <- x.write() }()
	go func() { x.over <- x.read() }()
	return x
}

func (x *bulkEcho) write() error {
	for b := make([]byte, 16<<10); ; x.out += len(b) {
		select {
		case <-x.enough:
			return x.conn.(interface{ CloseWrite() error }).CloseWrite()
		default:
		}
		b[x.out/len(b)%len(b)]++
		_, _ = x.sent.Write(b)
		if _, err := x.conn.Write(b); err != nil {
			return err
		}
	}
}

func (x *bulkEcho) read() error {
	for b, last := make([]byte, 64<<10), time.Now(); ; {
		n, err := x.conn.Read(b)
		x.longest, last = max(x.longest, time.Since(last)), time.Now()
		_, _ = x.got.Write(b[:n])
		x.in += n
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// N-10: in the middle of a bulk transfer both ways new keys are agreed on, by
// the client and by the gateway, while the old ones hold and after theirs are
// used up. Every byte arrives, equal, and nothing stands still for long.
func TestRekeyInBulk(t *testing.T) {
	t.Parallel()
	const still = device.RekeyTimeout + 3*time.Second // a handshake may be lost on a busy machine, and is begun again then
	w := newWorld(t)
	w.set = func(l *fakeLive) { l.abilities.Bandwidth = 4 << 20; l.ch.drop = true }
	w.put("tcp", plc4+":502", w.echoTCP())
	x := w.wire()
	c := w.open().through(x)
	bulk := c.bulkEcho(plc4 + ":502")
	pub, _ := publicOf(c.key)
	mine, theirs := c.dev.LookupPeer(device.NoisePublicKey(w.g.public)), w.g.dev.LookupPeer(device.NoisePublicKey(pub))
	for _, s := range []struct {
		name  string
		begin func()
		way   int // of the initiation
	}{
		{"the client's keys are used up", mine.ExpireCurrentKeypairs, 1},
		{"the gateway's keys are used up", theirs.ExpireCurrentKeypairs, 0},
		{"the client's time is over", nil, 1},
		{"the gateway's time is over", nil, 0},
	} {
		keys, initiations := x.agreed(), x.count(s.way, device.MessageInitiationType)
		if s.begin != nil {
			s.begin()
		}
		eventually(t, s.name, func() bool {
			if s.begin == nil && x.count(s.way, device.MessageInitiationType) == initiations { // none within 5 s of the last
				_ = []*device.Peer{theirs, mine}[s.way].SendHandshakeInitiation(false)
			}
			return x.agreed() > keys && x.count(s.way, device.MessageInitiationType) > initiations
		})
	}
	close(bulk.enough)
	for range 2 {
		check(t, <-bulk.over)
	}
	t.Logf("%d MiB each way under %d keys, never still for more than %s", bulk.in>>20, x.agreed(), bulk.longest)
	if bulk.in != bulk.out || string(bulk.sent.Sum(nil)) != string(bulk.got.Sum(nil)) {
		t.Errorf("%d bytes were sent, %d came back, or others", bulk.out, bulk.in)
	}
	if bulk.longest > still {
		t.Errorf("still for %s", bulk.longest)
	}
}
