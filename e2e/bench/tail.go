package main

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// zeroCount counts the zeroes: a terminal passes them unchanged, and what a
// gateway says beside the output has none.
type zeroCount int64

func (c *zeroCount) Write(p []byte) (int, error) {
	*c += zeroCount(bytes.Count(p, []byte{0}))
	return len(p), nil
}

// measureTail counts bytes that a command wrote just before it ended and that
// never arrived, without and with a terminal. Nothing may be lost.
func measureTail(ctx context.Context, l *lab) error {
	routes := l.routes(ssh.CipherAES128GCM)
	for _, c := range []struct {
		name, option string
		bytes        int
	}{
		{"ssh.tail.64k", "-T", 64 << 10}, {"ssh.tail.1m", "-T", 1 << 20},
		{"ssh.tail.64k.pty", "-tt", 64 << 10}, {"ssh.tail.1m.pty", "-tt", 1 << 20},
	} {
		lost := make([]float64, len(routes))
		for range l.volume.tailRounds {
			for i, r := range routes {
				var n zeroCount
				if _, err := r.touched(ctx, nil, &n, fmt.Sprintf("head -c %d /dev/zero", c.bytes), c.option); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				lost[i] += float64(c.bytes - int(n))
			}
		}
		l.figures(c.name, lost, "bytes", false)
	}
	return nil
}
