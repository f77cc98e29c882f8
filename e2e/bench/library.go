package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

// libraryCommand makes this program an SSH relay of the library alone: it
// decrypts, encrypts and hands on, and judges, records and counts nothing. What
// is between it and direct is the library's; what is between it and the
// gateway is ours.
const libraryCommand = "library-to"

// library is the fifth route, of the bulk figures.
const library = inner + 1

// throughLibrary adds the route over such a relay. stop ends it.
func (l *lab) throughLibrary(ctx context.Context, cipher string) (r route, stop func(), err error) {
	p, err := startPart(ctx, libraryCommand, l.Plant.Addr, l.Plant.Login, filepath.Join(l.client.Dir, "id"), cipher)
	if err != nil {
		return route{}, nil, err
	}
	known, err := os.OpenFile(filepath.Join(l.client.Dir, "known_hosts"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = known.WriteString(rig.KnownHost(p.said[0], p.key()))
		if shut := known.Close(); err == nil {
			err = shut
		}
	}
	if err != nil {
		p.stop()
		return route{}, nil, err
	}
	return route{
		name: "library", touch: func(context.Context) error { return nil }, pids: func() []int { return []int{p.cmd.Process.Pid} },
		args: func(o ...string) []string {
			return l.client.Args(l.Plant.Login, p.said[0], append([]string{"-c", cipher, "-o", "KexAlgorithms=" + keyExchange}, o...)...)
		},
	}, p.stop, nil
}

// relayLibrary serves on a free port of loopback until it is killed.
func relayLibrary(target, login, keyFile, cipher string) error {
	raw, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	key, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		return err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	algorithms := ssh.Config{Ciphers: []string{cipher}, KeyExchanges: []string{keyExchange}}
	server := &ssh.ServerConfig{Config: algorithms, PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	server.AddHostKey(host)
	client := &ssh.ClientConfig{Config: algorithms, User: login, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: dialWithin}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr(), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey()))))
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		go relayConnection(nc, server, target, client)
	}
}

func relayConnection(nc net.Conn, server *ssh.ServerConfig, target string, client *ssh.ClientConfig) {
	defer nc.Close()
	conn, chans, reqs, err := ssh.NewServerConn(nc, server)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	out, err := ssh.Dial("tcp", target, client)
	if err != nil {
		return
	}
	defer out.Close()
	for n := range chans {
		far, farReqs, err := out.OpenChannel(n.ChannelType(), n.ExtraData())
		if err != nil {
			_ = n.Reject(ssh.ConnectionFailed, "not opened")
			continue
		}
		if near, nearReqs, err := n.Accept(); err == nil {
			go relayChannel(near, far, nearReqs, farReqs)
		}
	}
}

// relayChannel closes the client's side when the target has said how its
// program ended and all that it printed has passed.
func relayChannel(near, far ssh.Channel, nearReqs, farReqs <-chan *ssh.Request) {
	go relayRequests(far, nearReqs)
	go func() {
		_, _ = io.Copy(far, near)
		_ = far.CloseWrite()
	}()
	var shown sync.WaitGroup
	shown.Go(func() { _, _ = io.Copy(near, far) })
	shown.Go(func() { _, _ = io.Copy(near.Stderr(), far.Stderr()) })
	relayRequests(near, farReqs)
	shown.Wait()
	near.Close()
	far.Close()
}

func relayRequests(to ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		ok, err := to.SendRequest(r.Type, r.WantReply, r.Payload)
		if r.WantReply {
			_ = r.Reply(ok && err == nil, nil)
		}
	}
}
