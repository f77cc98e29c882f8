package sshproxy_test

import (
	"bufio"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Message numbers of RFC 4250 clause 4.1.2.
const (
	msgDisconnect, msgIgnore, msgUnimplemented, msgServiceRequest, msgServiceAccept, msgExtInfo = 1, 2, 3, 5, 6, 7
	msgKexInit, msgNewKeys, msgKexECDHInit, msgKexECDHReply                                     = 20, 21, 30, 31
	msgAuthRequest, msgAuthFailure, msgAuthSuccess, msgAuthPKOK, msgAuthInfoRequest             = 50, 51, 52, 60, 60
	msgGlobalRequest, msgRequestSuccess                                                         = 80, 81
	msgChannelOpen, msgChannelConfirm, msgChannelData                                           = 90, 91, 94
	msgChannelClose, msgChannelRequest, msgChannelSuccess                                       = 97, 98, 99
)

// rawEnd is one end of an SSH connection that says what a test wants said, in
// order or out of it. It speaks curve25519-sha256 and aes128-gcm, and checks
// nothing.
type rawEnd struct {
	t       testing.TB
	nc      net.Conn
	r       *bufio.Reader
	host    ssh.Signer // of a server; nil makes it a client
	more    string     // further names in its list of key exchanges
	own     string     // version lines
	far     string
	ownInit []byte
	farInit []byte
	id      []byte // of the session
	in, out *rawKeys
}

// rawKeys is AES-GCM of one direction (RFC 5647 clause 7.1).
type rawKeys struct {
	aead cipher.AEAD
	iv   []byte
}

func (k *rawKeys) next() {
	n := binary.BigEndian.Uint64(k.iv[4:])
	binary.BigEndian.PutUint64(k.iv[4:], n+1)
}

// rawClient connects to the proxy and says its version.
func rawClient(t testing.TB, addr, more string) *rawEnd {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newRawEnd(t, nc, nil, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return e
}

// newRawEnd exchanges the version lines.
func newRawEnd(t testing.TB, nc net.Conn, host ssh.Signer, more string) (*rawEnd, error) {
	e := &rawEnd{t: t, nc: nc, r: bufio.NewReader(nc), host: host, more: more, own: "SSH-2.0-Attacker"}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(nc, e.own+"\r\n"); err != nil {
		return nil, err
	}
	line, err := e.r.ReadString('\n')
	e.far = strings.TrimRight(line, "\r\n")
	return e, err
}

// frame makes a packet of a payload.
func (e *rawEnd) frame(payload []byte) []byte {
	block, free := 8, 4 // the length counts for the padding in clear packets only
	if e.out != nil {
		block, free = 16, 0
	}
	pad := block - (free+1+len(payload))%block
	if pad < 4 {
		pad += block
	}
	plain := append([]byte{byte(pad)}, payload...)
	plain = append(plain, make([]byte, pad)...)
	head := binary.BigEndian.AppendUint32(nil, uint32(len(plain)))
	if e.out == nil {
		return append(head, plain...)
	}
	defer e.out.next()
	return e.out.aead.Seal(head, e.out.iv, plain, head)
}

func (e *rawEnd) send(payload []byte) error {
	_, err := e.nc.Write(e.frame(payload))
	return err
}

// say sends, and needs it to be taken.
func (e *rawEnd) say(number byte, body any) {
	e.t.Helper()
	if err := e.send(message(number, body)); err != nil {
		e.t.Fatalf("message %d: %v", number, err)
	}
}

func message(number byte, body any) []byte {
	switch b := body.(type) {
	case nil:
		return []byte{number}
	case []byte:
		return append([]byte{number}, b...)
	}
	return append([]byte{number}, ssh.Marshal(body)...)
}

func (e *rawEnd) recv() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(e.r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > 1<<18 {
		return nil, fmt.Errorf("a packet of %d bytes", n)
	}
	if e.in != nil {
		n += uint32(e.in.aead.Overhead())
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(e.r, body); err != nil {
		return nil, err
	}
	if e.in != nil {
		var err error
		if body, err = e.in.aead.Open(body[:0], e.in.iv, body, head[:]); err != nil {
			return nil, err
		}
		e.in.next()
	}
	if len(body) < 2 || int(body[0]) > len(body)-2 {
		return nil, errors.New("an empty packet")
	}
	return body[1 : len(body)-int(body[0])], nil
}

// until reads to the first message of that number.
func (e *rawEnd) until(number byte) ([]byte, error) {
	for {
		p, err := e.recv()
		if err != nil || p[0] == number {
			return p, err
		}
		if p[0] == msgDisconnect {
			return nil, fmt.Errorf("disconnected: %q", p)
		}
	}
}

func (e *rawEnd) must(number byte) []byte {
	e.t.Helper()
	p, err := e.until(number)
	if err != nil {
		e.t.Fatalf("waiting for message %d: %v", number, err)
	}
	return p
}

// cut fails the test unless the other side closes the connection.
func (e *rawEnd) cut(what string) {
	e.t.Helper()
	for {
		_, err := e.recv()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			e.t.Errorf("%s: the connection still stands", what)
		}
		if err != nil {
			return
		}
	}
}

type authRequest struct {
	User, Service, Method string
	Rest                  []byte `ssh:"rest"`
}

const connectionService = "ssh-connection"

// service asks for ssh-userauth.
func (e *rawEnd) service() {
	e.t.Helper()
	e.say(msgServiceRequest, struct{ S string }{"ssh-userauth"})
	e.must(msgServiceAccept)
}

// publicKey is the request that proves a key to hold (RFC 4252 clause 7).
func (e *rawEnd) publicKey(user string, key ssh.Signer, shown ssh.PublicKey) authRequest {
	e.t.Helper()
	signed := ssh.Marshal(struct {
		ID         []byte
		Number     byte
		User, S, M string
		Has        bool
		Algorithm  string
		Key        []byte
	}{e.id, msgAuthRequest, user, connectionService, "publickey", true, shown.Type(), shown.Marshal()})
	sig, err := key.Sign(rand.Reader, signed)
	if err != nil {
		e.t.Fatal(err)
	}
	return authRequest{user, connectionService, "publickey", ssh.Marshal(struct {
		Has       bool
		Algorithm string
		Key, Sig  []byte
	}{true, shown.Type(), shown.Marshal(), ssh.Marshal(sig)})}
}

// signedIn is a raw client whose session is open.
func (w *world) signedIn() *rawEnd {
	w.t.Helper()
	e := keyed(w.t, w.addr)
	e.service()
	e.say(msgAuthRequest, e.publicKey("root+pump-7", w.user, w.user.PublicKey()))
	e.must(msgAuthSuccess)
	return e
}
