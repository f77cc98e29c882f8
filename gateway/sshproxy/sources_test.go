package sshproxy

import (
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
)

// V-90, V-30: an IPv4 address in the clothes of an IPv6 one is the IPv4
// address, for the networks of a certificate and for the bounds of a source,
// and whoever has a /64 counts once.
func TestSourcesHaveOneSpelling(t *testing.T) {
	for _, tc := range []struct {
		networks, from string
		ok             bool
	}{
		{"192.0.2.0/24", "192.0.2.7:1", true},
		{"192.0.2.0/24", "[::ffff:192.0.2.7]:1", true},
		{"192.0.2.0/24", "[::ffff:c000:207]:1", true},
		{"192.0.2.0/24", "192.0.3.7:1", false},
		{"192.0.2.0/24", "[::ffff:192.0.3.7]:1", false},
		{"192.0.2.0/24", "[::192.0.2.7]:1", false}, // compatible, not mapped: another address
		{"192.0.2.0/24", "[64:ff9b::192.0.2.7]:1", false},
		{"192.0.2.0/24", "[2001:db8::1]:1", false},
		{"192.0.2.0/24,2001:db8::/32", "[2001:db8::1]:1", true},
		{"2001:db8::/32", "[2001:db8::1%eth0]:1", true},
		{"2001:db8::/32", "[2001:db9::1]:1", false},
		{"::/0", "192.0.2.7:1", false},
		{"0.0.0.0/0", "[2001:db8::1]:1", false},
		{"127.0.0.0/8", "[::1]:1", false},
		{"192.0.2.7", "192.0.2.7:1", false}, // not a network: it lets nobody in
		{"192.0.2.0/24 ", "192.0.2.7:1", false},
		{"0300.0.2.0/24", "192.0.2.7:1", false},
		{"", "192.0.2.7:1", false},
		{"192.0.2.0/24", "192.0.2.7", false}, // of no TCP connection
		{"192.0.2.0/24", "pipe", false},
	} {
		cert := &ssh.Certificate{Permissions: ssh.Permissions{CriticalOptions: map[string]string{sourceAddress: tc.networks}}}
		if err := allowed(cert, tc.from); (err == nil) != tc.ok {
			t.Errorf("%q from %q: %v", tc.networks, tc.from, err)
		}
	}
	for _, same := range [][]string{
		{"192.0.2.7:1", "192.0.2.7:2", "[::ffff:192.0.2.7]:1", "[::ffff:c000:207]:3"},
		{"[2001:db8::1]:1", "[2001:db8::ffff:0:1]:2", "[2001:db8::2%eth0]:3"},
	} {
		for _, s := range same {
			a, err := net.ResolveTCPAddr("tcp", s)
			if err != nil {
				t.Fatal(err)
			}
			b, err := net.ResolveTCPAddr("tcp", same[0])
			if err != nil {
				t.Fatal(err)
			}
			if sourceOf(a) != sourceOf(b) {
				t.Errorf("%s counts as %s, %s as %s", s, sourceOf(a), same[0], sourceOf(b))
			}
		}
	}
}
