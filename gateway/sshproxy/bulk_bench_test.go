package sshproxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStock carries bytes from a real sshd to the stock client, and back.
// cpu-s/GiB is what this process alone spends: recorder, both legs, nothing of
// client and sshd.
func BenchmarkStock(b *testing.B) {
	const size = 128 << 20
	w := newWorld(b)
	w.sshd()
	zeroes := filepath.Join(w.dir, "zeroes")
	write(b, zeroes, nil)
	if err := os.Truncate(zeroes, size); err != nil {
		b.Fatal(err)
	}
	for _, c := range []string{"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"} {
		for _, way := range []struct{ name, command string }{{"down", fmt.Sprintf("head -c %d /dev/zero", size)}, {"up", "cat >/dev/null"}} {
			b.Run(way.name+"/"+c[:6], func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				began := cpu(b)
				for b.Loop() {
					cmd := w.ssh("-T", "-c", c, way.command)
					cmd.Args = insertHost(cmd.Args)
					in, err := os.Open(zeroes)
					if err != nil {
						b.Fatal(err)
					}
					cmd.Stdin = in
					if way.name == "down" {
						cmd.Stdin = nil
					}
					if err := cmd.Run(); err != nil {
						b.Fatal(err)
					}
					_ = in.Close()
					w.lastLive()
				}
				b.ReportMetric((cpu(b)-began).Seconds()/float64(b.N)/(float64(size)/(1<<30)), "cpu-s/GiB")
			})
		}
	}
}

// BenchmarkSetUp opens a session, runs a command that does nothing, and closes.
// cpu-ms is what this process spends on it: both handshakes and the recording.
func BenchmarkSetUp(b *testing.B) {
	w := newWorld(b)
	w.sshd()
	b.ReportAllocs()
	began := cpu(b)
	for b.Loop() {
		cmd := w.ssh("-T", "true")
		cmd.Args = insertHost(cmd.Args)
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		w.done(w.lastLive())
	}
	b.ReportMetric((cpu(b)-began).Seconds()*1000/float64(b.N), "cpu-ms")
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
