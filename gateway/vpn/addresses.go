package vpn

import (
	"crypto/ecdh"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"
)

// addresses gives out inner addresses, a pair to each tunnel. One that was
// given back is the last to be given again.
type addresses struct {
	four, six netip.Prefix
	size      uint32 // pairs
	next      uint32
	used      map[uint32]bool
}

const firstPair = 2 // 0 is the network, 1 the gateway

func newAddresses(four, six netip.Prefix) addresses {
	hosts := uint64(1)<<min(32-four.Bits(), 24) - 1 // without the broadcast address
	if bits := 128 - six.Bits(); bits < 24 {
		hosts = min(hosts, uint64(1)<<bits)
	}
	return addresses{four: four.Masked(), six: six.Masked(), size: uint32(hosts), next: firstPair, used: map[uint32]bool{}}
}

func (a *addresses) take() (n uint32, four, six netip.Addr, ok bool) {
	for range a.size {
		n = a.next
		if a.next++; a.next >= a.size {
			a.next = firstPair
		}
		if n >= firstPair && n < a.size && !a.used[n] {
			a.used[n] = true
			return n, plus4(a.four.Addr(), n), plus6(a.six.Addr(), n), true
		}
	}
	return 0, netip.Addr{}, netip.Addr{}, false
}

func plus4(a netip.Addr, n uint32) netip.Addr {
	b := a.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+n)
	return netip.AddrFrom4(b)
}

func plus6(a netip.Addr, n uint32) netip.Addr {
	b := a.As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+uint64(n))
	return netip.AddrFrom16(b)
}

// ownAddresses are this machine's: a grant that holds one of them reaches no
// listener of the gateway by it.
type ownAddresses struct {
	mu   sync.Mutex
	at   time.Time
	list map[netip.Addr]bool
}

// has fails closed: where the machine does not tell its addresses, nothing is
// reached.
func (o *ownAddresses) has(a netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.list == nil || time.Since(o.at) > ownEvery {
		o.read()
	}
	return o.list == nil || o.list[a]
}

func (o *ownAddresses) read() {
	list, err := net.InterfaceAddrs()
	if err != nil {
		o.list = nil
		return
	}
	o.list, o.at = map[netip.Addr]bool{}, time.Now()
	for _, x := range list {
		if p, err := netip.ParsePrefix(x.String()); err == nil {
			o.list[p.Addr().Unmap()] = true
		}
	}
}

func publicOf(private Key) (Key, error) {
	k, err := ecdh.X25519().NewPrivateKey(private[:])
	if err != nil {
		return Key{}, err
	}
	return Key(k.PublicKey().Bytes()), nil
}

// usable reports whether a public key agrees on anything: points of low order
// do not.
func usable(private, public Key) bool {
	k, err := ecdh.X25519().NewPrivateKey(private[:])
	if err != nil {
		return false
	}
	p, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return false
	}
	_, err = k.ECDH(p)
	return err == nil
}
