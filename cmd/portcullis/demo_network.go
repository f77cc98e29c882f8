package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// demoNetwork is the network target of the sample plant.
const demoNetwork = "substation-net"

// Where the parts of the substation are, as its definition has it. Nothing of
// this machine has these addresses: a tunnel reaches no loopback, and the
// demo's own dialer alone knows where the parts listen.
const (
	demoPrefix = "10.77.0.0/24"
	demoRTU    = "10.77.0.11"
	demoHist   = "10.77.0.20"
)

// demoRegisters are the holding registers of rtu-1: what a meter of a feeder
// shows.
var demoRegisters = []uint16{4998, 2304, 117, 26512} // frequency/100 Hz, voltage/10 V, current/10 A, energy/kWh

// sampleNetwork is a substation with an RTU that speaks Modbus/TCP and a
// historian with a web page.
type sampleNetwork struct {
	at map[string]string // address in the plant -> on loopback

	rtu     net.Listener
	hist    *http.Server
	running sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // to the RTU
}

func startNetwork(ctx context.Context) (*sampleNetwork, error) {
	rtu, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	hist, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, rtu.Close())
	}
	n := &sampleNetwork{rtu: rtu, conns: map[net.Conn]struct{}{}, at: map[string]string{
		net.JoinHostPort(demoRTU, "502"): rtu.Addr().String(), net.JoinHostPort(demoHist, "80"): hist.Addr().String(),
	}}
	n.hist = &http.Server{ReadHeaderTimeout: socketHeaderTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Substation 4\nfrequency %.2f Hz\n", float64(demoRegisters[0])/100)
	})}
	n.running.Go(func() { _ = n.hist.Serve(hist) }) // ended by stop
	n.running.Go(n.accept)
	return n, nil
}

// dial is where a tunnel's flows go: to the parts that there are, and else
// nowhere.
func (n *sampleNetwork) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	to, ok := n.at[addr]
	if !ok || network != "tcp" && network != "tcp4" {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", to)
}

func (n *sampleNetwork) stop() {
	_ = n.rtu.Close() // it listens, and nothing waits in it
	_ = n.hist.Close()
	n.mu.Lock()
	for c := range n.conns {
		_ = c.Close()
	}
	n.mu.Unlock()
	n.running.Wait()
}

func (n *sampleNetwork) accept() {
	for {
		c, err := n.rtu.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		n.conns[c] = struct{}{}
		n.mu.Unlock()
		n.running.Go(func() {
			_ = modbus(c) // the client has left, or said what is no Modbus
			_ = c.Close()
			n.mu.Lock()
			delete(n.conns, c)
			n.mu.Unlock()
		})
	}
}

// entry is the network in the inventory.
func (n *sampleNetwork) entry() map[string]any {
	type m = map[string]any
	return m{
		"name": demoNetwork, "title": "Substation 4, control network", "kind": "network", "zone": "sample-plant", "impact": "low", "vendors": []string{demoVendor},
		"network": m{"prefixes": []string{demoPrefix}, "capture": "full", "names": []m{
			{"name": "rtu-1", "addresses": []string{demoRTU}}, {"name": "hist", "addresses": []string{demoHist}},
		}},
		"accounts": []m{{"name": "tunnel", "proof": "none"}},
	}
}

// Of the Modbus application protocol, V1.1b3.
const (
	readHolding     = 3
	illegalFunction = 1
	illegalAddress  = 2
	mbapHeader      = 7
	maxModbus       = 254 // unit and PDU
	isException     = 0x80
)

// modbus answers as an RTU that lets its holding registers be read, until the
// client leaves or breaks the protocol.
func modbus(c io.ReadWriter) error {
	var buf [mbapHeader + maxModbus]byte
	for {
		if _, err := io.ReadFull(c, buf[:mbapHeader]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint16(buf[4:])) - 1 // without the unit
		if n < 1 || n >= maxModbus || binary.BigEndian.Uint16(buf[2:]) != 0 {
			return errors.New("no Modbus")
		}
		if _, err := io.ReadFull(c, buf[mbapHeader:mbapHeader+n]); err != nil {
			return err
		}
		pdu := answerModbus(buf[mbapHeader : mbapHeader+n])
		head := buf[:mbapHeader]
		binary.BigEndian.PutUint16(head[4:], uint16(len(pdu)+1))
		if _, err := c.Write(append(append([]byte{}, head...), pdu...)); err != nil {
			return err
		}
	}
}

func answerModbus(pdu []byte) []byte {
	if pdu[0] != readHolding || len(pdu) != 5 {
		return []byte{pdu[0] | isException, illegalFunction}
	}
	from, n := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	if n < 1 || from+n > len(demoRegisters) {
		return []byte{pdu[0] | isException, illegalAddress}
	}
	out := []byte{readHolding, byte(2 * n)}
	for _, r := range demoRegisters[from : from+n] {
		out = binary.BigEndian.AppendUint16(out, r)
	}
	return out
}
