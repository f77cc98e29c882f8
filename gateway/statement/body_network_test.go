package statement

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

func network() *TargetDefine {
	return &TargetDefine{
		Name: "plant", Title: "Substation north", Kind_: gateway.KindNetwork, Zone: "control", Impact: gateway.High, Vendors: []string{"acme"}, Version: 1,
		Network: &gateway.Network{
			Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd00:20::/64")},
			Names:    []gateway.NetworkName{{Name: "plc-7.north", Addresses: []netip.Addr{netip.MustParseAddr("10.20.0.7"), netip.MustParseAddr("fd00:20::7")}}},
		},
		Accounts: []gateway.Account{{Name: "tunnel", Proof: gateway.ProofNone}},
	}
}

func TestNetworksAreDefined(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*TargetDefine)
		want   string // in the sentence
	}{
		"whole":    {func(*TargetDefine) {}, "network at 10.20.0.0/16, fd00:20::/64, zone control, impact high. Asked for by people of acme. Accounts: tunnel. Its names are plc-7.north (10.20.0.7, fd00:20::7). Of its packets the headers are kept; of each flow a record is. Version 1."},
		"no names": {func(b *TargetDefine) { b.Network.Names = nil }, "It has no names."},
		"none":     {func(b *TargetDefine) { b.Network.Capture = gateway.CaptureNone }, "Of its packets nothing is kept"},
		"full":     {func(b *TargetDefine) { b.Network.Capture = gateway.CaptureFull }, "Of its packets everything is kept"},
		"first": {func(b *TargetDefine) { b.Network.Capture, b.Network.CaptureBytes = gateway.CaptureFirst, 4096 },
			"the first 4096 bytes of each flow and direction are kept, headers after"},
		"widest":   {func(b *TargetDefine) { b.Network.Prefixes[0] = netip.MustParsePrefix("10.0.0.0/8") }, "10.0.0.0/8"},
		"one host": {func(b *TargetDefine) { b.Network.Prefixes[0] = netip.MustParsePrefix("10.20.0.7/32") }, "10.20.0.7/32"},
	} {
		b := network()
		c.change(b)
		if err := b.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if s := b.Sentence(); !strings.Contains(s, c.want) {
			t.Errorf("%s: %s\nlacks %s", name, s, c.want)
		}
	}
}

func TestNetworksAreRefused(t *testing.T) {
	prefix := func(s string) func(*TargetDefine) {
		return func(b *TargetDefine) {
			b.Network = &gateway.Network{Prefixes: []netip.Prefix{netip.MustParsePrefix(s)}}
		}
	}
	named := func(x ...gateway.NetworkName) func(*TargetDefine) {
		return func(b *TargetDefine) { b.Network.Names = x }
	}
	plc := netip.MustParseAddr("10.20.0.7")
	for name, change := range map[string]func(*TargetDefine){
		"nothing":            func(b *TargetDefine) { b.Network = nil },
		"no prefix":          func(b *TargetDefine) { b.Network.Prefixes = nil },
		"no valid prefix":    func(b *TargetDefine) { b.Network.Prefixes = []netip.Prefix{{}} },
		"too wide":           prefix("10.0.0.0/7"),
		"everything":         prefix("0.0.0.0/0"),
		"everything of 6":    prefix("::/0"),
		"too wide of 6":      prefix("fd00::/16"),
		"bits behind":        prefix("10.20.0.7/16"),
		"loopback":           prefix("127.0.0.0/8"),
		"a part of loopback": prefix("127.1.0.0/24"),
		"metadata":           prefix("169.254.169.254/32"),
		"multicast":          prefix("224.0.0.0/8"),
		"unspecified":        prefix("0.0.0.0/8"),
		"broadcast":          prefix("255.255.255.255/32"),
		"loopback of 6":      prefix("::1/128"),
		"mapped":             prefix("::ffff:10.0.0.0/104"),
		"NAT64":              prefix("64:ff9b::/96"),
		"6to4":               prefix("2002:a00::/32"),
		"link-local of 6":    prefix("fe80::/64"),
		"multicast of 6":     prefix("ff02::/32"),
		"prefix twice":       func(b *TargetDefine) { b.Network.Prefixes = append(b.Network.Prefixes, b.Network.Prefixes[0]) },
		"prefix in a prefix": func(b *TargetDefine) {
			b.Network.Prefixes = append(b.Network.Prefixes, netip.MustParsePrefix("10.20.5.0/24"))
		},
		"too many prefixes":   func(b *TargetDefine) { b.Network.Prefixes = make([]netip.Prefix, maxPrefixes+1) },
		"too many names":      func(b *TargetDefine) { b.Network.Names = make([]gateway.NetworkName, maxNames+1) },
		"name in capitals":    named(gateway.NetworkName{Name: "PLC", Addresses: []netip.Addr{plc}}),
		"name with a dot":     named(gateway.NetworkName{Name: "plc.", Addresses: []netip.Addr{plc}}),
		"name as address":     named(gateway.NetworkName{Name: "10.20.0.7", Addresses: []netip.Addr{plc}}),
		"name with a port":    named(gateway.NetworkName{Name: "plc:502", Addresses: []netip.Addr{plc}}),
		"no name":             named(gateway.NetworkName{Addresses: []netip.Addr{plc}}),
		"no address":          named(gateway.NetworkName{Name: "plc"}),
		"address outside":     named(gateway.NetworkName{Name: "plc", Addresses: []netip.Addr{netip.MustParseAddr("10.21.0.7")}}),
		"address mapped":      named(gateway.NetworkName{Name: "plc", Addresses: []netip.Addr{netip.MustParseAddr("::ffff:10.20.0.7")}}),
		"address with a zone": named(gateway.NetworkName{Name: "plc", Addresses: []netip.Addr{netip.MustParseAddr("fd00:20::7%eth0")}}),
		"address of none":     named(gateway.NetworkName{Name: "plc", Addresses: []netip.Addr{{}}}),
		"address twice":       named(gateway.NetworkName{Name: "plc", Addresses: []netip.Addr{plc, plc}}),
		"name twice":          named(gateway.NetworkName{Name: "plc", Addresses: []netip.Addr{plc}}, gateway.NetworkName{Name: "plc", Addresses: []netip.Addr{plc}}),
		"capture":             func(b *TargetDefine) { b.Network.Capture = "some" },
		"first of nothing":    func(b *TargetDefine) { b.Network.Capture = gateway.CaptureFirst },
		"first of too much": func(b *TargetDefine) {
			b.Network.Capture, b.Network.CaptureBytes = gateway.CaptureFirst, MaxCaptureBytes+1
		},
		"bytes of headers": func(b *TargetDefine) { b.Network.CaptureBytes = 5 },
		"an address":       func(b *TargetDefine) { b.Address = "10.20.0.7:22" },
		"host keys":        func(b *TargetDefine) { b.HostKeys = []string{hostKey} },
		"weak algorithms":  func(b *TargetDefine) { b.Legacy = []string{"ssh-rsa"} },
		"a certificate":    func(b *TargetDefine) { b.HTTPS = &gateway.HTTPS{Trust: gateway.TrustSystem} },
		"a password":       func(b *TargetDefine) { b.Accounts[0].Proof, b.Accounts[0].SecretFile = gateway.ProofPassword, "/s" },
		"a secret":         func(b *TargetDefine) { b.Accounts[0].SecretFile = "/s" },
		"no account":       func(b *TargetDefine) { b.Accounts = nil },
		"a user":           func(b *TargetDefine) { b.Accounts[0].Login = "svc" },
	} {
		b := network()
		change(b)
		if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v, want it refused as invalid", name, err)
		}
	}
	for name, b := range map[string]*TargetDefine{"ssh": target(), "https": console()} {
		b.Network = network().Network
		if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s with a network: %v", name, err)
		}
	}
}

func peer(t *testing.T) string {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(key.PublicKey().Bytes())
}

func TestPeerKeysHaveOneSpelling(t *testing.T) {
	key := peer(t)
	if got, err := PeerKey(key); err != nil || base64.StdEncoding.EncodeToString(got[:]) != key {
		t.Fatalf("%s is %x, %v", key, got, err)
	}
	point := func(first byte, rest byte, last byte) string {
		b := bytes.Repeat([]byte{rest}, 32)
		b[0], b[31] = first, last
		return base64.StdEncoding.EncodeToString(b)
	}
	raw, _ := base64.StdEncoding.DecodeString(key)
	raw[31] |= 0x80
	for name, s := range map[string]string{
		"empty": "", "short": key[:40], "without its end": key[:43], "with a line end": key + "\n", "two": key + key, "of the URL": strings.ReplaceAll(point(0xff, 0xff, 0x0f), "/", "_"),
		"loose bits": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", "hexadecimal": strings.Repeat("ab", 32),
		"zero": point(0, 0, 0), "one": point(1, 0, 0), "order 8": "4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=", "other of order 8": "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=",
		"prime less one": point(0xec, 0xff, 0x7f), "prime": point(0xed, 0xff, 0x7f), "prime and one": point(0xee, 0xff, 0x7f), "above": point(0xff, 0xff, 0x7f),
		"the highest bit": base64.StdEncoding.EncodeToString(raw),
	} {
		if got, err := PeerKey(s); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: taken as %x, %v", name, got, err)
		}
	}
}

func FuzzPeerKey(f *testing.F) {
	f.Add("4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=")
	f.Add("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=")
	f.Fuzz(func(t *testing.T, s string) {
		if key, err := PeerKey(s); err == nil && base64.StdEncoding.EncodeToString(key[:]) != s {
			t.Fatalf("%q is %x", s, key)
		}
	})
}

func TestTunnelsAreOpenedForTheirKey(t *testing.T) {
	now := gateway.Instant(time.Now())
	good := func() *Open {
		return &Open{
			Grant: gateway.NewID("grt", now), Request: gateway.DigestOf(nil), Person: "ana", Vendor: "acme", Target: "plant", Account: "tunnel", From: now, To: now.Add(time.Hour),
			Abilities: gateway.Abilities{Flows: []string{"plc-7:502/tcp"}}, Binding: BindPeer, Transport: peer(t), Source: "192.0.2.9",
		}
	}
	b := good()
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	if s, want := b.Sentence(), "on plant (flow plc-7:502/tcp), to end by "; !strings.Contains(s, want) || !strings.Contains(s, "for one WireGuard tunnel of the key "+b.Transport[:12]+"…, opened within 1 minute.") {
		t.Errorf("%s", s)
	}
	for name, change := range map[string]func(*Open){
		"no key":           func(b *Open) { b.Transport = "" },
		"a weak key":       func(b *Open) { b.Transport = base64.StdEncoding.EncodeToString(make([]byte, 32)) },
		"a login's ticket": func(b *Open) { b.Binding, b.Transport = BindLogin, "lgn_1" },
		"a shell":          func(b *Open) { b.Abilities = gateway.Abilities{Shell: true} },
		"another binding":  func(b *Open) { b.Binding = "mac" },
	} {
		b := good()
		change(b)
		if err := b.Check(); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v, want it refused as invalid", name, err)
		}
	}
}

// A definition as large as its bounds let it be is still one statement.
func TestLargeNetworksAreStated(t *testing.T) {
	b := network()
	b.Network.Names = nil
	for i := range maxNames {
		x := gateway.NetworkName{Name: "plc-" + strconv.Itoa(i) + ".substation-north"}
		for j := range 2 {
			x.Addresses = append(x.Addresses, netip.AddrFrom4([4]byte{10, 20, byte(i), byte(j + 1)}))
		}
		b.Network.Names = append(b.Network.Names, x)
	}
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	if raw, err := Canonical(b); err != nil || len(raw)+len(b.Sentence()) > MaxBytes {
		t.Errorf("%d bytes and a sentence of %d, %v", len(raw), len(b.Sentence()), err)
	}
}
