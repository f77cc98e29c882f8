package redis

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"
)

func TestGuard(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		good bool
	}{
		"status":              {"+OK\r\n", true},
		"number":              {":-1\r\n", true},
		"string":              {"$5\r\nhello\r\n", true},
		"string of framing":   {"$14\r\n*99999999999\r\n\r\n+OK\r\n", true},
		"no string":           {"$-1\r\n+OK\r\n", true},
		"message":             {"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n{}\r\n", true},
		"empty arrays":        {strings.Repeat("*0\r\n", 1000), true},
		"many replies":        {strings.Repeat("*2\r\n*1\r\n:1\r\n$0\r\n\r\n", 1000), true},
		"huge string":         {"$536870912\r\n", false},
		"length that wraps":   {"$18446744073709551617\r\n", false},
		"huge array":          {"*2147483647\r\n", false},
		"huge map":            {"%40000\r\n", false},
		"deep":                {strings.Repeat("*1\r\n", maxDepth+1), false},
		"line without end":    {"+" + strings.Repeat("x", maxLine+1), false},
		"length with letters": {"$5x\r\n", false},
		"many large strings":  {"*3\r\n" + strings.Repeat("$8000000\r\n"+strings.Repeat("x", 8000000)+"\r\n", 3), false},
	} {
		t.Run(name, func(t *testing.T) {
			steps := []int{1, 7, len(c.says)}
			if len(c.says) > 1<<20 {
				steps = []int{4096} // as they come, and once is enough
			}
			for _, step := range steps {
				var s scanner
				ok := true
				for p := []byte(c.says); ok && len(p) > 0; p = p[min(step, len(p)):] {
					ok = s.accept(p[:min(step, len(p))])
				}
				if ok != c.good {
					t.Errorf("in steps of %d: accepted = %v", step, ok)
				}
			}
		})
	}
}

// The announcement itself is never handed on, so that nobody makes room for
// what it announces.
func TestGuardedConnEndsBeforeTheLine(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	c := &guardedConn{Conn: here}
	go func() { _, _ = there.Write([]byte("$536870912\r\n")) }() // ends with the pipe
	if n, err := c.Read(make([]byte, 64)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n{}\r\n"), 3)
	f.Add([]byte("%1\r\n+a\r\n*-1\r\n"), 1)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		var whole, parts scanner
		want := whole.accept(p)
		at := 0
		if len(p) > 0 {
			at = int(uint(cut) % uint(len(p)))
		}
		if got := parts.accept(p[:at]) && parts.accept(p[at:]); got != want {
			t.Errorf("in two parts %v, whole %v", got, want)
		}
	})
}

type anybody struct{}

func (anybody) Sign([]byte) []byte         { return nil }
func (anybody) Verify([]byte, []byte) bool { return true }

func FuzzOpen(f *testing.F) {
	b := &Bus{prefix: "portcullis", verifier: anybody{}, now: testNow}
	for _, v := range []any{orderBody{Cluster: "portcullis"}, answerBody{Cluster: "portcullis"}, beatBody{Cluster: "portcullis"}} {
		raw, err := seal(anybody{}, "x", v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if o, err := b.openOrder(string(p)); err == nil && (!isNonce(o.Reply) || bytes.ContainsAny([]byte(o.From), "\r\n:")) {
			t.Errorf("took %+v", o)
		}
		if a, err := b.openAnswer(string(p)); err == nil && a.Node == "" {
			t.Errorf("took %+v", a)
		}
		if h, err := b.openBeat("node-1", string(p)); err == nil && (h.Node != "node-1" || h.Lease <= 0) {
			t.Errorf("took %+v", h)
		}
	})
}

func testNow() time.Time { return time.Unix(1_800_000_000, 0) }
