package sshproxy_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// A client that has MACs over the plain text alone gets one; a client that has
// anything better is not offered them.
func TestPlainMACsForWhoHasNoBetter(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	for _, tc := range []struct {
		ciphers, macs, want string // want is of what is agreed on; empty: nothing is
	}{
		{"aes256-ctr", "hmac-sha2-256", "hmac-sha2-256"},
		{"aes128-ctr", "hmac-sha2-512,hmac-sha1", "hmac-sha2-512"},
		{"aes256-ctr", "hmac-sha2-256,hmac-sha2-512-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"},
		{"aes256-ctr,chacha20-poly1305@openssh.com", "hmac-sha2-256", "hmac-sha2-256"},
		{"aes256-ctr", "hmac-sha1", ""},
		{"aes128-cbc", "hmac-sha2-256", ""},
	} {
		t.Run(tc.ciphers+" "+tc.macs, func(t *testing.T) {
			_, said, code := w.run(nil, "-v", "-T", "-c", tc.ciphers, "-m", tc.macs, "true")
			if agreed := strings.Contains(said, "MAC: "+tc.want+" "); (code == 0) != (tc.want != "") || tc.want != "" && !agreed {
				t.Errorf("exit %d, %s", code, said)
			}
			if code == 0 {
				w.done(w.lastLive())
			}
		})
	}
}

// curl has libssh2, which before 1.11 has AES-CTR and plain MACs.
func TestCurl(t *testing.T) {
	w := newWorld(t)
	w.may(gateway.Abilities{Upload: true, Download: true})
	w.sshd()
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	file := filepath.Join(w.dir, "up")
	write(t, file, want)
	_, port, _ := net.SplitHostPort(w.addr)
	for _, args := range [][]string{
		{"-T", file, "sftp://127.0.0.1:" + port + w.dir + "/there"},
		{"-o", filepath.Join(w.dir, "back"), "sftp://127.0.0.1:" + port + w.dir + "/there"},
	} {
		cmd := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "-v", "-k", "-u", "root+pump-7:", "--key", w.keyFile}, args...)...)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s; install the package curl", err, said)
		}
		w.done(w.lastLive())
	}
	if got, err := os.ReadFile(filepath.Join(w.dir, "back")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(want), err)
	}
}
