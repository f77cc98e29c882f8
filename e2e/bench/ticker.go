package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// tickerCommand makes this program a target that runs nothing: each of its
// sessions prints the time again and again, or returns what is typed where the
// command is echoCommand. The end of hundreds of them costs next to nothing, so
// that what is measured before it is the gateway.
const tickerCommand = "ticker"

// tickEvery is the time between two lines of one session, and slowTick that
// where slowCommand asks for it: a thousand sessions make enough lines.
const (
	tickEvery   = 200 * time.Millisecond
	slowTick    = 500 * time.Millisecond
	slowCommand = "tick slowly"
	echoCommand = "echo"
)

// tickerTarget is the target in the plant file.
const tickerTarget = `  - name: ticker
    title: Clock tower
    kind: ssh
    address: %s
    zone: pumps
    impact: medium
    vendors: [acme, bolt]
    host_keys: [%q]
    accounts: [{name: ops, login: %s, proof: certificate}]
`

// ticker serves on a free port of loopback until it is killed. It lets in
// whoever has a key: it has nothing to protect, and asks for one because
// clients are slower for it.
func ticker() error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(key)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr(), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey()))))
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		go serveTicks(nc, config)
	}
}

func serveTicks(nc net.Conn, config *ssh.ServerConfig) {
	defer nc.Close()
	conn, chans, reqs, err := ssh.NewServerConn(nc, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	for n := range chans {
		if n.ChannelType() != "session" {
			_ = n.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		if ch, reqs, err := n.Accept(); err == nil {
			go serveChannel(ch, reqs)
		}
	}
}

func serveChannel(ch ssh.Channel, reqs <-chan *ssh.Request) {
	var once sync.Once
	gone := make(chan struct{})
	defer close(gone)
	for r := range reqs {
		if r.Type == "shell" || r.Type == "exec" {
			var run struct{ Command string }
			_ = ssh.Unmarshal(r.Payload, &run) // of a shell there is none
			once.Do(func() { go serveCommand(ch, run.Command, gone) })
		}
		_ = r.Reply(true, nil)
	}
}

func serveCommand(ch ssh.Channel, command string, gone <-chan struct{}) {
	switch command {
	case echoCommand:
		if _, err := io.WriteString(ch, upMark); err == nil {
			_, _ = io.Copy(ch, ch) // until the channel is closed
		}
	case slowCommand:
		tick(ch, slowTick, gone)
	default:
		tick(ch, tickEvery, gone)
	}
}

// tick begins at a moment of the session's own, so that sessions which were
// opened together do not print together.
func tick(ch ssh.Channel, every time.Duration, gone <-chan struct{}) {
	phase := time.Duration(time.Now().UnixNano()) % every
	for wait := time.Duration(0); ; wait = every {
		if _, err := fmt.Fprintf(ch, "%s%d\r\n", tickMark, time.Now().UnixMicro()); err != nil {
			return
		}
		if phase > 0 {
			wait, phase = wait+phase, 0
		}
		select {
		case <-gone:
			return
		case <-time.After(wait):
		}
	}
}

// tickMark begins a line; the time in Unix microseconds follows.
const tickMark = "tick "
