package sshproxy_test

import (
	"bytes"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Every client gets a cipher that it has, and AES-GCM when it has that,
// wherever in its list; what it sends and gets is the same bytes.
func TestCiphersOfStockClients(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	in := bytes.Repeat([]byte("0123456789abcdef\n"), 1<<16)
	for _, tc := range []struct{ list, want string }{
		{"", ssh.CipherAES128GCM},
		{"aes128-gcm@openssh.com", ssh.CipherAES128GCM},
		{"aes256-gcm@openssh.com", ssh.CipherAES256GCM},
		{"chacha20-poly1305@openssh.com", ssh.CipherChaCha20Poly1305},
		{"aes128-ctr", ssh.CipherAES128CTR},
		{"aes256-ctr,aes256-gcm@openssh.com", ssh.CipherAES256GCM},
	} {
		t.Run(tc.list, func(t *testing.T) {
			args := []string{"-v", "-T"}
			if tc.list != "" {
				args = append(args, "-c", tc.list)
			}
			out, said, code := w.run(bytes.NewReader(in), append(args, "cat; exit 3")...)
			if code != 3 || out != string(in) {
				t.Fatalf("exit %d, %d of %d bytes, %s", code, len(out), len(in), said)
			}
			for _, way := range []string{"server->client", "client->server"} {
				if !strings.Contains(said, "kex: "+way+" cipher: "+tc.want+" ") {
					t.Errorf("%s is not %s:\n%s", way, tc.want, said)
				}
			}
			l := w.lastLive()
			w.done(l)
			if got := w.recorded(l); got != string(in) {
				t.Errorf("%d of %d bytes recorded", len(got), len(in))
			}
		})
	}
}

// Keys are changed many times while bytes pass both ways.
func TestRekeyUnderLoad(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	in := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	out, said, code := w.run(bytes.NewReader(in), "-T", "-v", "-o", "RekeyLimit=128K", "cat")
	if code != 0 || out != string(in) {
		t.Fatalf("exit %d, %d of %d bytes, %s", code, len(out), len(in), said)
	}
	if n := strings.Count(said, "cipher: "+ssh.CipherAES128GCM+" "); n < 8 {
		t.Errorf("keys were agreed on for %d directions only", n)
	}
	w.done(w.lastLive())
}

// Dropbear has no AES-GCM; PuTTY is asked for each that it has.
func TestOtherClients(t *testing.T) {
	w := newWorld(t)
	w.sshd()
	host, port, _ := net.SplitHostPort(w.addr)
	bear, putty := filepath.Join(w.dir, "bear"), filepath.Join(w.dir, "putty.ppk")
	for _, convert := range []*exec.Cmd{
		exec.CommandContext(t.Context(), "dropbearconvert", "openssh", "dropbear", w.keyFile, bear),
		exec.CommandContext(t.Context(), "puttygen", w.keyFile, "-O", "private", "-o", putty),
	} {
		if said, err := convert.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s; install the packages dropbear-bin and putty-tools", err, said)
		}
	}
	in := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"dropbear", []string{"dbclient", "-p", port, "-i", bear, "-y", "-y", "-T", "-l", "root+pump-7", host, "cat"}},
		{"putty", []string{"plink", "-batch", "-ssh", "-P", port, "-i", putty, "-hostkey", ssh.FingerprintSHA256(w.host), "-T", "-l", "root+pump-7", host, "cat"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), tc.args[0], tc.args[1:]...)
			cmd.Env = append(cmd.Environ(), "HOME="+w.dir, "SSH_AUTH_SOCK=")
			var out, said bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = io.MultiReader(bytes.NewReader(in)), &out, &said
			if err := cmd.Run(); err != nil || !bytes.Equal(out.Bytes(), in) {
				t.Fatalf("%v, %d of %d bytes, %s", err, out.Len(), len(in), said.String())
			}
			w.done(w.lastLive())
		})
	}
}
