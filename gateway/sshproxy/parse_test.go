package sshproxy

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// S-26, V-30, V-41: a user name has one grammar and one spelling; what could be
// read in two ways, or as an option, is not read.
func TestParseUser(t *testing.T) {
	for _, tc := range []struct{ in, account, target string }{
		{"pump-7", "", "pump-7"}, {"root+pump-7", "root", "pump-7"}, {"a+b", "a", "b"}, {"x.y_z+0.1-2_3", "x.y_z", "0.1-2_3"},
	} {
		a, n, err := ParseUser(tc.in)
		if err != nil || a != tc.account || n != tc.target {
			t.Errorf("%q: got %q, %q, %v", tc.in, a, n, err)
		}
	}
	for _, in := range []string{
		"", "+", "+pump-7", "root+", "root+pump+7", "a++b", "Root+pump-7", "root+PUMP", "root%pump-7", "root:pump-7", "root@pump-7", "root+pump-7:22",
		"root+[::1]", "-oProxyCommand=x+pump-7", "root+-pump", "root+../etc", "root+a..b", "root+a.", "root pump", "root+pump-7\n", "root+pump\x00", "root+pümp",
		"root+\u202epump", "$(id)+pump-7", "`id`+pump-7", "root+{{7*7}}", strings.Repeat("a", 64), strings.Repeat("a", 10<<10) + "+b", "%h+pump", "a|b+c", "root+pump-7'",
	} {
		if a, n, err := ParseUser(in); err == nil {
			t.Errorf("%q was read as %q, %q", in, a, n)
		} else if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x00\x1b") {
			t.Errorf("%q: the refusal repeats it unmade: %q", in, err)
		}
	}
}

// V-71, V-41: no user name breaks the parser or passes with anything in it.
func FuzzParseUser(f *testing.F) {
	for _, s := range []string{"root+pump-7", "a+b+c", "\x00", "+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, n, err := ParseUser(s)
		if err != nil {
			return
		}
		again := n
		if a != "" {
			again = a + "+" + n
		}
		if again != s {
			t.Errorf("%q was read as %q, %q", s, a, n)
		}
	})
}

// V-71: no payload of a channel's request breaks its parser.
func FuzzPayloads(f *testing.F) {
	f.Add(ssh.Marshal(ptyMsg{Term: "xterm", Cols: 80, Rows: 24, Modes: "\x00"}))
	f.Add(ssh.Marshal(struct{ Name, Value string }{"LANG", "C"}))
	f.Add(ssh.Marshal(struct{ C, R, W, H uint32 }{80, 24, 0, 0}))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parsePty(b); ok && printable(p.Term, 64) != p.Term {
			t.Errorf("terminal %q", p.Term)
		}
		if name, ok := parseEnv(b); ok && envAllowed(name) && printable(name, 4096) != name {
			t.Errorf("variable %q", name)
		}
		parseResize(b)
		if s := printable(string(b), 80); len(s) > 80 || strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("printable gave %q", s)
		}
	})
}

// S-43, V-62: nothing weak is spoken on either leg.
//
// What goes over either leg leaves out everything with SHA-1, CBC and DSA.
func TestWeakAlgorithmsAreOff(t *testing.T) {
	c := algorithms()
	all := strings.Join(append(append(append([]string{}, c.KeyExchanges...), c.Ciphers...), c.MACs...), " ")
	for _, weak := range []string{"sha1", "cbc", "arcfour", "group1-", "-96"} {
		if strings.Contains(all, weak) {
			t.Errorf("%s is offered: %s", weak, all)
		}
	}
	for _, a := range append(append([]string{}, userKeys...), (pins{}).algorithms()...) {
		if a == ssh.KeyAlgoRSA || a == "ssh-dss" {
			t.Errorf("%s is taken", a)
		}
	}
}

func TestOuterName(t *testing.T) {
	for name, ok := range map[string]bool{
		"ana": true, "Ana.Lopez": true, `ACME\ana`: true, "ana@acme.example": true, "jump": true,
		"": false, "root+pump-7": false, "root%pump-7": false, "a b": false, "ana\n": false, strings.Repeat("a", 200): false, "$(id)": false,
	} {
		if outerName(name) != ok {
			t.Errorf("%q: %t", name, !ok)
		}
	}
}

// V-71: no payload of a forward breaks its parser.
func FuzzJump(f *testing.F) {
	f.Add(jumpPayload("pump-7", 22))
	f.Add(jumpPayload("127.0.0.1", 22))
	f.Add(jumpPayload("::1", 22))
	f.Add(jumpPayload("pump-7", 23))
	f.Add([]byte("payload"))
	f.Fuzz(func(t *testing.T, b []byte) {
		target, err := parseJump(b)
		if err == nil && (!bytes.HasPrefix(b, jumpPayload(target, 22)[:4+len(target)+4]) || gateway.CheckName("target", target) != nil) {
			t.Errorf("%q was read as %q", b, target)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x00\x1b") {
			t.Errorf("the refusal repeats it unmade: %q", err)
		}
	})
}

func jumpPayload(host string, port uint32) []byte {
	return ssh.Marshal(struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{host, port, "", 0})
}
