package sshproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway/socket"
)

// The client's list decides which cipher is used (RFC 4253 clause 7.1), and
// stock OpenSSH lists chacha20-poly1305 and aes-ctr before aes-gcm, which this
// processor is several times faster at. So the client's first KEXINIT is read
// before the library has sent ours: who can speak AES-GCM is offered that
// alone, who cannot is offered everything safe.

const (
	ownVersion = "SSH-2.0-Portcullis"

	// firstKexTime is how long a client that has said its version may take to
	// send its KEXINIT. Most send it at once; libssh before 0.10 waits for ours,
	// so it is not refused then, but offered everything.
	firstKexTime = 500 * time.Millisecond

	maxVersion  = 255   // bytes of the version line with its end (RFC 4253 clause 4.2)
	maxFirstKex = 35000 // bytes of a packet that everybody must take (clause 6.1)
	firstRead   = 4 << 10
)

var gcmCiphers = []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM}

// serverConn is ssh.NewServerConn with the cipher chosen for the client. The
// deadline that nc has is until, or none if that is zero. The wire below it is put
// into made.
func serverConn(nc net.Conn, cfg *ssh.ServerConfig, until time.Time, made **wire) (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	version := cfg.ServerVersion + "\r\n"
	if _, err := nc.Write([]byte(version)); err != nil {
		return nil, nil, nil, err
	}
	head, err := readFirst(nc, until)
	if err != nil {
		return nil, nil, nil, err
	}
	cfg.MACs = macsFor(head, cfg.MACs)
	cfg.Ciphers = ciphersFor(head, cfg.Ciphers)
	w := newWire(nc, head, version)
	*made = w
	sc, chans, reqs, err := ssh.NewServerConn(w, cfg)
	if err == nil {
		w.joinWrites(sc.Conn)
	}
	return sc, chans, reqs, err
}

// clientConn is ssh.NewClientConn over the same wire.
func clientConn(nc net.Conn, address string, cfg *ssh.ClientConfig, r *socket.Rest) (*leg, error) {
	w := newWire(nc, nil, "")
	w.rest = r
	conn, chans, reqs, err := ssh.NewClientConn(w, address, cfg)
	if err != nil {
		return nil, err
	}
	w.joinWrites(conn)
	return &leg{Conn: conn, chans: chans, reqs: reqs, pulse: &pulse{conn: conn, wire: w}}, nil
}

// readFirst reads the client's version line and its first packet, and perhaps
// more. What it cannot make sense of it returns as it is: the library, to which
// all of it is played again, is the one that refuses.
func readFirst(nc net.Conn, until time.Time) ([]byte, error) {
	head := make([]byte, 0, firstRead)
	waiting := false
	for {
		want := firstBytes(head)
		if want <= len(head) {
			break
		}
		if !waiting && bytes.IndexByte(head, '\n') >= 0 {
			soon := time.Now().Add(firstKexTime)
			if !until.IsZero() && until.Before(soon) {
				soon = until
			}
			if nc.SetReadDeadline(soon) != nil {
				break
			}
			waiting = true
		}
		head = slices.Grow(head, max(want-len(head), 1))
		n, err := nc.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if waiting && errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil && n == 0 {
			return nil, err
		}
	}
	if waiting {
		return head, nc.SetReadDeadline(until)
	}
	return head, nil
}

// firstBytes is how many bytes must be there before there is nothing more to
// wait for. It is never more than maxVersion + maxFirstKex.
func firstBytes(head []byte) int {
	line := bytes.IndexByte(head, '\n')
	switch {
	case line < 0 && len(head) < maxVersion:
		return len(head) + 1
	case line < 0 || line >= maxVersion || !bytes.HasPrefix(head, []byte("SSH-")):
		return 0
	}
	packet := head[line+1:]
	if len(packet) < 4 {
		return line + 1 + 4
	}
	n := binary.BigEndian.Uint32(packet)
	if n > maxFirstKex-4 {
		return 0
	}
	return line + 1 + 4 + int(n)
}

// ciphersFor is what to offer to a client that began with head.
func ciphersFor(head []byte, all []string) []string {
	line := bytes.IndexByte(head, '\n')
	if line < 0 || firstBytes(head) > len(head) {
		return all
	}
	k, ok := parseKexInit(head[line+1:])
	if !ok {
		return all
	}
	both := slices.DeleteFunc(slices.Clone(gcmCiphers), func(c string) bool {
		return !slices.Contains(k.toServer, c) || !slices.Contains(k.toClient, c) || !slices.Contains(all, c)
	})
	if len(both) == 0 {
		return all
	}
	return both
}

// kexInit is what we look at of an SSH_MSG_KEXINIT (RFC 4253 clause 7.1).
type kexInit struct {
	toServer, toClient       []string // ciphers
	macToServer, macToClient []string
}

const (
	msgKexInit   = 20
	cookieBytes  = 16
	minPadding   = 4
	kexLists     = 10
	listToServer = 2
	listToClient = 3
	macToServer  = 4
	macToClient  = 5
)

// parseKexInit reads the first packet of b, which is not encrypted yet. It is
// strict: anything but one well-formed KEXINIT is none.
func parseKexInit(b []byte) (k kexInit, ok bool) {
	if len(b) < 5 {
		return k, false
	}
	n, padding := binary.BigEndian.Uint32(b), int(b[4])
	if n > maxFirstKex-4 || int(n) > len(b)-4 || padding < minPadding || int(n) < 1+padding+1+cookieBytes {
		return k, false
	}
	p := b[5 : 4+int(n)-padding]
	if p[0] != msgKexInit {
		return k, false
	}
	p = p[1+cookieBytes:]
	for i := range kexLists {
		var names []string
		if names, p, ok = nameList(p); !ok {
			return kexInit{}, false
		}
		switch i {
		case listToServer:
			k.toServer = names
		case listToClient:
			k.toClient = names
		case macToServer:
			k.macToServer = names
		case macToClient:
			k.macToClient = names
		}
	}
	if len(p) != 5 { // first_kex_packet_follows, and four bytes that are reserved
		return kexInit{}, false
	}
	return k, true
}

// nameList reads one name-list (RFC 4251 clause 5) and returns what follows it.
func nameList(p []byte) (names []string, rest []byte, ok bool) {
	if len(p) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(p)
	p = p[4:]
	if uint64(n) > uint64(len(p)) {
		return nil, nil, false
	}
	if n == 0 {
		return nil, p, true
	}
	for _, c := range p[:n] {
		if c <= ' ' || c > '~' {
			return nil, nil, false
		}
	}
	names = strings.Split(string(p[:n]), ",")
	return names, p[n:], !slices.Contains(names, "")
}
