package recording

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// tunnel begins the one channel of a network session.
func tunnel(t testing.TB, r *Recorder) *Channel {
	t.Helper()
	c, err := r.Channel(0, gateway.Channel{Kind: gateway.ChannelTunnel})
	must(t, err)
	return c
}

func flowTo(n uint64, to string) gateway.NetworkFlow {
	return gateway.NetworkFlow{
		N: n, Protocol: gateway.FlowTCP, From: netip.MustParseAddrPort("100.100.0.7:40000"), To: netip.MustParseAddrPort(to),
		Verdict: gateway.FlowOpen, Started: newClock().t.Add(time.Second),
	}
}

// kept collects the packets of a recording as they stand in it.
func kept(t testing.TB, v *Vault, session string) (all []gateway.Packet) {
	t.Helper()
	dir, err := v.find(session)
	must(t, err)
	for f, err := range allFrames(dir, input) {
		must(t, err)
		if f.kind != kindPackets {
			continue
		}
		for p, err := range packetsOf(f.payload) {
			must(t, err)
			p.Data = bytes.Clone(p.Data)
			all = append(all, p)
		}
	}
	return all
}

// Packets of both directions lie with what was typed, flows with what was
// shown; neither is counted as the session's own bytes.
func TestPacketsAndFlowsAreKeptInTheirTracks(t *testing.T) {
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"))
	r := start(t, v, "ses_1")
	c := tunnel(t, r)
	must(t, c.NetworkFlow(flowTo(1, "10.0.0.5:502")))
	sent := []gateway.Packet{
		{In: true, Length: 60, Data: patternAt(0, 60)},
		{Length: 1500, Data: patternAt(60, 40)},
		{In: true, Length: 20, Data: nil},
	}
	for range packetFrame / 30_000 * 2 {
		sent = append(sent, gateway.Packet{Length: 30_000, Data: patternAt(len(sent), 30_000)})
	}
	must(t, c.Packets(sent))
	must(t, c.Packets(nil))
	sealed := sealIt(t, r)
	must(t, v.Verify("ses_1"))
	if sealed.BytesIn != 0 || sealed.BytesOut != 0 {
		t.Errorf("the seal counts %d in, %d out", sealed.BytesIn, sealed.BytesOut)
	}
	got := kept(t, v, "ses_1")
	if len(got) != len(sent) {
		t.Fatalf("%d packets are kept, %d passed", len(got), len(sent))
	}
	for i, p := range sent {
		if got[i].In != p.In || got[i].Length != p.Length || !bytes.Equal(got[i].Data, p.Data) {
			t.Errorf("packet %d is kept as %v %d %d bytes", i, got[i].In, got[i].Length, len(got[i].Data))
		}
	}
	if err := c.Packets(sent); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("after the seal: %v", err)
	}
}

// A batch costs one write and, but for a buffer that was given back to the
// collector, no memory.
func TestPacketsAllocateNothingEach(t *testing.T) {
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"))
	c := tunnel(t, start(t, v, "ses_1"))
	batch := make([]gateway.Packet, 100)
	for i := range batch {
		batch[i] = gateway.Packet{In: i%2 == 0, Length: 1400, Data: patternAt(i, 40)}
	}
	must(t, c.Packets(batch))
	if n := testing.AllocsPerRun(200, func() { must(t, c.Packets(batch)) }); n > float64(len(batch)/10) {
		t.Errorf("%v allocations for a batch of %d", n, len(batch))
	}
}

// BenchmarkPackets is the way of a batch of 128 packets of 1420 bytes, as a
// tunnel's reader hands them over.
func BenchmarkPackets(b *testing.B) {
	for name, n := range map[string]int{"headers": 52, "full": 1420} {
		b.Run(name, func(b *testing.B) {
			v := openVault(b, filepath.Join(b.TempDir(), "recordings"))
			c := tunnel(b, start(b, v, "ses_1"))
			batch := make([]gateway.Packet, 128)
			for i := range batch {
				batch[i] = gateway.Packet{In: i%2 == 0, Length: 1420, Data: patternAt(i, n)}
			}
			b.SetBytes(128 * 1420)
			b.ReportAllocs()
			for b.Loop() {
				must(b, c.Packets(batch))
			}
		})
	}
}

func FuzzPacketsOf(f *testing.F) {
	f.Add(appendPacket(nil, &gateway.Packet{In: true, Length: 9, Data: []byte("abc")}))
	f.Add([]byte{1, 0, 0, 0, 1, 0, 0, 0, 9, 'x'})
	f.Fuzz(func(t *testing.T, payload []byte) {
		var again []byte
		for p, err := range packetsOf(payload) {
			if err != nil {
				return
			}
			again = appendPacket(again, &p)
		}
		if !bytes.Equal(again, payload) {
			t.Errorf("%x was read as %x", payload, again)
		}
	})
}
