package sshproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const otherCiphers = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr"

// firstPacket is a KEXINIT as a client sends it.
func firstPacket(toServer, toClient string) []byte {
	p := append([]byte{msgKexInit}, make([]byte, cookieBytes)...)
	for _, l := range []string{"curve25519-sha256,kex-strict-c-v00@openssh.com", "ssh-ed25519", toServer, toClient, "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""} {
		p = binary.BigEndian.AppendUint32(p, uint32(len(l)))
		p = append(p, l...)
	}
	return packed(append(p, make([]byte, 5)...))
}

func packed(payload []byte) []byte {
	padding := 8 - (5+len(payload))%8 + 8
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	b = append(append(b, byte(padding)), payload...)
	return append(b, make([]byte, padding)...)
}

func TestWhichCiphersAreOffered(t *testing.T) {
	all := algorithms().Ciphers
	stock := otherCiphers + ",aes128-gcm@openssh.com,aes256-gcm@openssh.com"
	const line = "SSH-2.0-OpenSSH_9.2p1\r\n"
	good := line + string(firstPacket(stock, stock))
	for _, tc := range []struct {
		name, head string
		want       []string
	}{
		{"stock client", good, gcmCiphers},
		{"with a guess behind", good + "\x00\x00\x00\x0c\x0a\x1e", gcmCiphers},
		{"only line feed", "SSH-2.0-x\n" + string(firstPacket(stock, stock)), gcmCiphers},
		{"one of the two", line + string(firstPacket("aes256-gcm@openssh.com,"+otherCiphers, stock)), gcmCiphers[1:]},
		{"one way only", line + string(firstPacket(stock, otherCiphers)), all},
		{"none", line + string(firstPacket(otherCiphers, otherCiphers)), all},
		{"not in full", good[:len(good)-1], all},
		{"no version", string(firstPacket(stock, stock)), all},
		{"other packet", line + string(packed([]byte("\x15"))), all},
		{"empty name", line + string(firstPacket(stock+",", stock)), all},
		{"name with a space", line + string(firstPacket(stock+", x", stock)), all},
		{"nothing", "", all},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := ciphersFor([]byte(tc.head), all); !slices.Equal(got, tc.want) {
				t.Errorf("offered %v", got)
			}
		})
	}
}

func TestKexInitIsReadStrictly(t *testing.T) {
	good := firstPacket("a", "b")
	if k, ok := parseKexInit(good); !ok || !slices.Equal(k.toServer, []string{"a"}) || !slices.Equal(k.toClient, []string{"b"}) {
		t.Fatalf("read as %v, %v", k, ok)
	}
	for i := range good {
		if _, ok := parseKexInit(good[:i]); ok {
			t.Errorf("the first %d of %d bytes were taken", i, len(good))
		}
	}
	longer := slices.Clone(good)
	longer[4] -= 4 // what was padding belongs to the payload
	if _, ok := parseKexInit(longer); ok {
		t.Error("bytes behind the last field were taken")
	}
	lists := slices.Clone(good)
	binary.BigEndian.PutUint32(lists[5+1+cookieBytes:], 1<<31)
	if _, ok := parseKexInit(lists); ok {
		t.Error("a list longer than its packet was taken")
	}
}

// What a client sends before it is judged is bounded, whatever it is.
func TestFirstBytesAreBounded(t *testing.T) {
	for _, head := range []string{
		strings.Repeat("x", 1<<16), "SSH-" + strings.Repeat("x", 1<<16) + "\n", "SSH-2.0-x\n\xff\xff\xff\xff", "SSH-2.0-x\n\x00\x00\x88\xb5", "GET / HTTP/1.1\r\n",
	} {
		if n := firstBytes([]byte(head)); n > len(head) {
			t.Errorf("%.20q: %d bytes are waited for", head, n)
		}
	}
}

// V-71, V-74: no first bytes of a client break the look at them.
func FuzzFirstBytes(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n"))
	f.Add(append([]byte("SSH-2.0-x\r\n"), firstPacket("aes128-gcm@openssh.com", "aes128-gcm@openssh.com")...))
	all := algorithms().Ciphers
	f.Fuzz(func(t *testing.T, head []byte) {
		if n := firstBytes(head); n > maxVersion+maxFirstKex {
			t.Errorf("%d bytes are waited for", n)
		}
		got := ciphersFor(head, all)
		if len(got) == 0 || !slices.Equal(got, all) && slices.ContainsFunc(got, func(c string) bool { return !slices.Contains(gcmCiphers, c) }) {
			t.Errorf("offered %v", got)
		}
		if _, ok := parseKexInit(head); ok { // the library must take what we took
			var m struct {
				Cookie                                                 [16]byte `sshtype:"20"`
				Kex, Host, ToServer, ToClient, Mac, Mac2, Zip, Zip2, L []string
				L2                                                     []string
				Follows                                                bool
				Reserved                                               uint32
			}
			n := binary.BigEndian.Uint32(head)
			if err := ssh.Unmarshal(head[5:4+n-uint32(head[4])], &m); err != nil {
				t.Errorf("the library reads it not: %v", err)
			}
		}
	})
}

// pair is two ends of a TCP connection.
func pair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	return ours, theirs
}

// A client that waits for our KEXINIT (libssh before 0.10) is not waited for
// in turn, and one that sends it in pieces is.
func TestFirstBytesOfSlowClients(t *testing.T) {
	stock := firstPacket("aes128-gcm@openssh.com", "aes128-gcm@openssh.com")
	line := []byte("SSH-2.0-slow\r\n")
	t.Run("waits for ours", func(t *testing.T) {
		ours, theirs := pair(t)
		if _, err := theirs.Write(line); err != nil {
			t.Fatal(err)
		}
		head, err := readFirst(ours, time.Now().Add(time.Minute))
		if err != nil || !bytes.Equal(head, line) {
			t.Fatalf("got %q, %v", head, err)
		}
		if _, err := theirs.Write([]byte("x")); err != nil { // the deadline is the caller's again
			t.Fatal(err)
		}
		if _, err := io.ReadFull(ours, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
	t.Run("in pieces", func(t *testing.T) {
		ours, theirs := net.Pipe() // each write is taken before the next
		defer ours.Close()
		sent := make(chan error, 1)
		go func() {
			for _, b := range slices.Concat(line, stock) {
				if _, err := theirs.Write([]byte{b}); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		head, err := readFirst(ours, time.Time{})
		if err != nil || !bytes.Equal(head, slices.Concat(line, stock)) {
			t.Errorf("got %q, %v", head, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
	t.Run("leaves", func(t *testing.T) {
		ours, theirs := pair(t)
		_ = theirs.Close()
		if _, err := readFirst(ours, time.Time{}); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
	})
}

// What is written as one packet arrives as it was, in one piece or two.
func TestWireWritesInOrder(t *testing.T) {
	ours, theirs := pair(t)
	w := newWire(ours, []byte("head"), "version\r\n")
	w.join.Store(true)
	if _, err := w.Write([]byte("other\r\n")); err == nil {
		t.Error("another version line passed")
	}
	var want []byte
	for _, n := range []int{9, 20, libraryBuffer, 70000, libraryBuffer, 1, 16, libraryBuffer - 1, libraryBuffer, libraryBuffer} {
		p := bytes.Repeat([]byte{byte(n)}, n)
		if len(want) == 0 && n == 9 {
			p = []byte("version\r\n")
		} else {
			want = append(want, p...)
		}
		if got, err := w.Write(p); got != n || err != nil {
			t.Fatalf("%d of %d bytes, %v", got, n, err)
		}
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(theirs, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes arrived, %v", err)
	}
	sent := make(chan error, 1)
	go func() { // more than a socket holds may be on its way
		_, err := theirs.Write(bytes.Repeat([]byte("y"), 3*wireRead))
		sent <- errors.Join(err, theirs.Close())
	}()
	all, err := io.ReadAll(w)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err != nil || string(all[:4]) != "head" || len(all) != 4+3*wireRead {
		t.Errorf("%d bytes read, %v", len(all), err)
	}
	if w.chunk != nil {
		t.Error("a buffer is kept though nothing is left")
	}
}
