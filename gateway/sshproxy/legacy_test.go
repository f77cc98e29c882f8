package sshproxy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// oldDevice starts a real server that has nothing but weak algorithms.
func (w *world) oldDevice(kex, cipher, mac string) {
	w.t.Helper()
	key := filepath.Join(w.dir, "rsa")
	if said, err := exec.CommandContext(w.t.Context(), "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", key).CombinedOutput(); err != nil {
		w.t.Fatalf("ssh-keygen: %v: %s", err, said)
	}
	w.sshd("HostKey "+key, "HostKeyAlgorithms ssh-rsa", "KexAlgorithms "+kex, "Ciphers "+cipher, "MACs "+mac)
	pub, err := os.ReadFile(key + ".pub")
	if err != nil {
		w.t.Fatal(err)
	}
	w.target.HostKeys = []string{strings.TrimSpace(string(pub))}
}

// S-45: a device that is too old for anything strong is reached only with the
// algorithms that its definition names, each of them needed, and the log says
// which were used.
func TestLegacyTargets(t *testing.T) {
	for _, dev := range [][]string{ // key exchange, cipher, MAC
		{"diffie-hellman-group14-sha1", "aes128-cbc", "hmac-sha1"},
		{"diffie-hellman-group1-sha1", "3des-cbc", "hmac-sha1-96"},
		{"diffie-hellman-group-exchange-sha1", "aes128-cbc", "hmac-sha1"},
	} {
		t.Run(dev[1], func(t *testing.T) {
			w := newWorld(t)
			w.oldDevice(dev[0], dev[1], dev[2])
			all := []string{dev[0], "ssh-rsa", dev[1], dev[2]}
			for left := range all { // out
				w.target.Legacy = append(append([]string(nil), all[:left]...), all[left+1:]...)
				_, said, code := w.run(nil, "-T", "true")
				if code == 0 || !strings.Contains(said, "too weak") {
					t.Errorf("without %s: exit %d, %s", all[left], code, said)
				}
				w.done(w.lastLive())
			}
			w.target.Legacy = gateway.LegacyAlgorithms()
			out, said, code := w.run(bytes.NewReader([]byte("through")), "-v", "-T", "cat; exit 4")
			if code != 4 || out != "through" {
				t.Fatalf("exit %d, %q, %s", code, out, said)
			}
			w.done(w.lastLive())
			for _, option := range []string{"KexAlgorithms=" + dev[0], "Ciphers=" + dev[1], "MACs=" + dev[2]} {
				args := []string{"-o", option, "-T", "true"}
				if option == "MACs="+dev[2] {
					args = append([]string{"-c", "aes128-ctr"}, args...)
				}
				if _, said, code := w.run(nil, args...); code != 255 || !strings.Contains(said, "no matching") {
					t.Errorf("a client came in by what is for the target alone, %s: exit %d, %s", option, code, said)
				}
			}
			if want := strings.Join(all, ", "); !w.store.hasDetail(audit.SessionLive, "weak_algorithms", want) {
				t.Errorf("no event tells of %s", want)
			}
		})
	}
}

// What a definition allows is used only where there is nothing better.
func TestLegacyIsTheLastResort(t *testing.T) {
	w := newWorld(t)
	w.sshd("KexAlgorithms +diffie-hellman-group14-sha1", "Ciphers +aes128-cbc", "HostKeyAlgorithms +ssh-rsa")
	w.target.Legacy = gateway.LegacyAlgorithms()
	if _, said, code := w.run(nil, "-T", "true"); code != 0 {
		t.Fatalf("exit %d, %s", code, said)
	}
	w.done(w.lastLive())
	for _, e := range w.store.events {
		if e.Name == audit.SessionLive && len(e.Detail) > 0 {
			t.Errorf("agreed on %v", e.Detail)
		}
	}
}
