package recording

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway"
)

// cast renders a recording and holds every line to be JSON.
func cast(t *testing.T, v *Vault, session string, version int) []string {
	t.Helper()
	var b bytes.Buffer
	must(t, v.Asciicast(&b, session, version))
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %s", l)
		}
	}
	return lines
}

// told records a session that has everything an asciicast can say.
func told(t *testing.T, c *clock, v *Vault) *Recorder {
	t.Helper()
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	c.pass(time.Second)
	must(t, ch.Output(Stdout, []byte("gr\xc3")))
	c.pass(time.Millisecond)
	must(t, ch.Output(Stdout, []byte("\xbc\xc3\x9fe <&>\u2028\r\n\x1b[1m")))
	must(t, ch.Input([]byte("pä")))
	must(t, ch.Resize(4_000_000_000, 0))
	must(t, ch.Note("ends in 5 minutes"))
	must(t, ch.Output(Stderr, []byte("\xff\xfe!")))
	c.pass(1500 * time.Microsecond)
	status := uint32(3)
	must(t, ch.Exit(&status, ""))
	return r
}

func TestAsciicast(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c))
	sealIt(t, told(t, c, v))
	for version, want := range map[int][]string{
		2: {
			`{"env":{"TERM":"xterm-256color"},"height":24,"timestamp":1775715120,"title":"ses_1: ana at rtu-7 as service","version":2,"width":80}`,
			`[0.000000,"m","shell"]`,
			`[1.000000,"o","gr"]`,
			`[1.001000,"o","üße <&>\u2028\r\n\u001b[1m"]`,
			`[1.001000,"r","1000x24"]`,
			`[1.001000,"m","ends in 5 minutes"]`,
			`[1.001000,"o","�!"]`,
			`[1.002500,"m","exit 3"]`,
		},
		3: {
			`{"term":{"cols":80,"rows":24,"type":"xterm-256color"},"timestamp":1775715120,"title":"ses_1: ana at rtu-7 as service","version":3}`,
			`[0.000000,"m","shell"]`,
			`[1.000000,"o","gr"]`,
			`[0.001000,"o","üße <&>\u2028\r\n\u001b[1m"]`,
			`[0.000000,"r","1000x24"]`,
			`[0.000000,"m","ends in 5 minutes"]`,
			`[0.000000,"o","�!"]`,
			`[0.001500,"m","exit 3"]`,
			`[0.000000,"x","3"]`,
		},
	} {
		if diff := cmp.Diff(want, cast(t, v, "ses_1", version)); diff != "" {
			t.Errorf("version %d: %s", version, diff)
		}
	}
	var b bytes.Buffer
	must(t, v.Input(&b, "ses_1"))
	if !strings.HasSuffix(b.String(), "[1.001000,\"i\",\"pä\"]\n") {
		t.Errorf("input: %s", b.String())
	}
	if err := v.Asciicast(&b, "ses_1", 1); err == nil {
		t.Error("version 1 is written")
	}
}

// V-81: a command without a terminal is recorded like one with it.
//
// TestAsciicastOfPlainCommand ends lines as a terminal wants them, and keeps
// the raw stream as it was.
func TestAsciicastOfPlainCommand(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c))
	r := start(t, v, "ses_1")
	ch, err := r.Channel(1, gateway.Channel{Kind: gateway.ChannelExec, Command: "printf \xff"})
	must(t, err)
	for _, p := range []string{"a\n", "b\r", "\nc\r\n", "\xe2\x82"} {
		must(t, ch.Output(Stdout, []byte(p)))
	}
	must(t, ch.Exit(nil, "TERM"))
	sealIt(t, r)
	want := []string{
		`[0.000000,"m","exec: printf �"]`, `[0.000000,"o","a\r\n"]`, `[0.000000,"o","b\r"]`, `[0.000000,"o","\nc\r\n"]`,
		`[0.000000,"o","�"]`, `[0.000000,"m","ended by signal TERM"]`,
	}
	if diff := cmp.Diff(want, cast(t, v, "ses_1", 2)[1:]); diff != "" {
		t.Error(diff)
	}
	var b bytes.Buffer
	must(t, v.Raw(&b, "ses_1", Stdout))
	if b.String() != "a\nb\r\nc\r\n\xe2\x82" {
		t.Errorf("raw: %q", b.String())
	}
}

// V-81: a transfer is in the recording, and told as what it is.
//
// TestTransfersAreMarkers holds that neither a transfer's nor a forward's bytes
// reach a screen or what was typed, and that a path cannot write on one.
func TestTransfersAreMarkers(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c))
	sealIt(t, happened(t, c, v))
	want := []string{
		`[0.000000,"m","shell"]`,
		`[1.000000,"o","$ "]`,
		`[1.000000,"m","watched by eva"]`,
		`[1.000000,"m","sftp"]`,
		`[2.000000,"m","read /etc/hosts, 3 bytes, sha256 ba7816bf8f01…"]`,
		`[2.000000,"m","refused write \"/x\\x1b]0;y\": this grant lets no upload"]`,
		`[2.000000,"m","failed rename a to b: permission denied"]`,
		`[2.000000,"m","cut write c from byte 10, 1 byte"]`,
		`[2.000000,"m","forward to hist:5432"]`,
		`[2.000000,"m","forward to hist:5432 ended: out 3 bytes, sha256 ba7816bf8f01…, in 1 byte, sha256 594e519ae499…"]`,
		`[3.000000,"m","exit 1"]`,
		`[3.000000,"m","ended by signal HUP"]`,
	}
	if diff := cmp.Diff(want, cast(t, v, "ses_1", 2)[1:]); diff != "" {
		t.Error(diff)
	}
	var followed []string
	must(t, v.Follow(t.Context(), "ses_1", func(f Frame) error {
		if f.Code == "o" {
			followed = append(followed, f.Data)
		}
		return nil
	}))
	if diff := cmp.Diff([]string{"$ "}, followed); diff != "" {
		t.Errorf("followed: %s", diff)
	}
	var typed bytes.Buffer
	must(t, v.Input(&typed, "ses_1"))
	if lines := strings.Split(strings.TrimSpace(typed.String()), "\n"); len(lines) != 2 || lines[1] != `[1.000000,"i","hunter2\r"]` {
		t.Errorf("typed: %q", lines[1:])
	}
	for s, want := range map[Stream]string{Stdin: "\x00\x00\x00\x05\x01", Stdout: "\x00\x00\x00\x05\x02\x1b", Stderr: ""} {
		var b bytes.Buffer
		must(t, v.RawChannel(&b, "ses_1", 2, s))
		if b.String() != want {
			t.Errorf("stream %d of the transfer is %q, want %q", s, b.String(), want)
		}
	}
	if err := v.Raw(&typed, "ses_1", Stdin); !gateway.IsCode(err, gateway.CodeInvalid) {
		t.Errorf("what was typed, by the way of what was shown: %v", err)
	}
}

// TestAsciicastSaysThatItWasCutShort holds the last line of a recovered one.
func TestAsciicastSaysThatItWasCutShort(t *testing.T) {
	root, _ := halfWritten(t)
	v := openVault(t, root)
	last := func() string { l := cast(t, v, "ses_1", 3); return l[len(l)-1] }
	if s := last(); !strings.Contains(s, "has not been recovered") {
		t.Errorf("before recovery: %s", s)
	}
	_, err := v.Recover(t.Context())
	must(t, err)
	if s := last(); !strings.Contains(s, "cut short (the gateway stopped without warning)") {
		t.Errorf("after recovery: %s", s)
	}
}

// FuzzSplitText feeds text in two pieces: together they must read as the
// whole, wherever the cut falls.
func FuzzSplitText(f *testing.F) {
	f.Add([]byte("gr\xc3\xbc\xc3\x9fe"), 3)
	f.Add([]byte("\xf0\x9f\x94\x92\xff\xc3"), 2)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		if cut < 0 || cut > len(p) {
			return
		}
		ch := &castChannel{pty: true}
		got := ch.text(kindStdout, p[:cut]) + ch.text(kindStdout, p[cut:])
		if !utf8.ValidString(got) {
			t.Fatalf("%q is not UTF-8", got)
		}
		if held := len(ch.held[kindStdout]); held >= utf8.UTFMax {
			t.Fatalf("%d bytes are held back", held)
		}
		whole, _ := splitRune(p)
		if utf8.Valid(whole) && got != string(whole) {
			t.Fatalf("%q, want %q", got, whole)
		}
	})
}

// FuzzEvents gives the caster frames that are whole but hold anything.
func FuzzEvents(f *testing.F) {
	f.Add(byte(kindChannel), []byte(`{"kind":"shell","pty":{"cols":1,"rows":4294967295}}`), []byte("out\xc3"))
	f.Add(byte(kindExit), []byte(`{"status":1}`), []byte("\xa9"))
	f.Add(byte(kindResize), []byte{0, 0, 0, 80, 0, 0, 0, 24}, []byte("x"))
	f.Fuzz(func(t *testing.T, k byte, payload, after []byte) {
		c := newCaster()
		events := c.events(frame{kind: kind(k), payload: payload})
		events = append(events, c.events(frame{kind: kindStdout, payload: after})...)
		for _, e := range append(events, c.events(frame{kind: kindExit})...) {
			if line := e.Line(); !json.Valid(line) || bytes.ContainsAny(line, "\r\n") {
				t.Fatalf("%q is no line of an asciicast", line)
			}
		}
		if c.cols > maxCells || c.rows > maxCells {
			t.Fatalf("a terminal of %d by %d", c.cols, c.rows)
		}
	})
}
