package sshproxy_test

import (
	"io"
	"testing"

	"golang.org/x/crypto/ssh"
)

// BenchmarkDown carries what a target sends, through the recorder, to a
// client: bytes of the target a second.
func BenchmarkDown(b *testing.B) {
	const size = 32 << 20
	w := newWorld(b)
	w.fake(signer(b), func(_ *ssh.ServerConn, ch ssh.Channel, reqs <-chan *ssh.Request) {
		buf := make([]byte, 1<<16)
		for r := range reqs {
			_ = r.Reply(true, nil)
			if r.Type == "exec" {
				for range size / len(buf) {
					if _, err := ch.Write(buf); err != nil {
						return
					}
				}
				_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
				_ = ch.Close()
			}
		}
	})
	c := w.mustClient()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		s, err := c.NewSession()
		if err != nil {
			b.Fatal(err)
		}
		out, _ := s.StdoutPipe()
		if err := s.Start("x"); err != nil {
			b.Fatal(err)
		}
		if n, _ := io.Copy(io.Discard, out); n != size {
			b.Fatalf("%d bytes", n)
		}
		_ = s.Wait()
	}
}
