package recording

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/portcullis/portcullis/gateway"
)

// V-56: what is played back draws and does nothing else: no title, clipboard,
// question or answer of the far side's reaches the terminal of who looks.
//
// TestScreenDrawsOnly lets through what draws and nothing that makes the
// reviewer's terminal do, answer or remember anything.
func TestScreenDrawsOnly(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"text":                  {"häl\tlo\r\n", "häl\tlo\r\n"},
		"colours":               {"\x1b[1;38;5;196mx\x1b[38:2::1:2:3m\x1b[m", "\x1b[1;38;5;196mx\x1b[38:2::1:2:3m\x1b[m"},
		"cursor":                {"\x1b[2J\x1b[10;5H\x1b[K\x1b7\x1b8", "\x1b[2J\x1b[10;5H\x1b[K\x1b7\x1b8"},
		"other screen":          {"\x1b[?1049h\x1b[?25l", "\x1b[?1049h\x1b[?25l"},
		"line drawing":          {"\x1b(0qqq\x1b(B", "\x1b(0qqq\x1b(B"},
		"title":                 {"a\x1b]0;owned\x07b\x1b]2;owned\x1b\\c", "abc"},
		"clipboard":             {"a\x1b]52;c;cm0gLXJmIC8=\x07b", "ab"},
		"link":                  {"\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", "click"},
		"device control":        {"a\x1bP$q\"p\x1b\\b\x1b_G payload\x1b\\c\x1b^x\x1b\\d\x1bXx\x1b\\e", "abcde"},
		"questions":             {"a\x1b[c\x1b[>c\x1b[6n\x1b[?6n\x1b[21t\x1b[>q\x05\x1bZb", "ab"},
		"window":                {"a\x1b[8;1;1t\x1b[3;0;0tb", "ab"},
		"mouse, paste, focus":   {"a\x1b[?1000h\x1b[?2004h\x1b[?1004h\x1b[?1;25h\x1b[1;2;3;4;5Tb", "a\x1b[?25hb"},
		"reset":                 {"a\x1bc\x1b[!p\x1b=b", "ab"},
		"keyboard":              {"a\x1b[>4;2m\x1b[>1u\x1b[2hb", "ab"},
		"repetition":            {"a\x1b[999999999bb", "ab"},
		"bell and C1":           {"a\x07\u009b6n\u0090x\u009cb\x7f", "a6nxb"},
		"split string":          {"a\x1b]0;x\x1b", "a"},
		"string cut off":        {"a\x1b]0;x\x18b", "ab"},
		"string then sequence":  {"a\x1b]0;x\x1b[1mb", "a\x1b[1mb"},
		"endless parameters":    {"a\x1b[" + strings.Repeat("1;", 100) + "mb", "ab"},
		"control in a sequence": {"a\x1b[1\r\nmb", "a\r\n\x1b[1mb"},
		"direction marks":       {"a\u202eb", "a\ufffdb"},
	} {
		var b bytes.Buffer
		s := newScreen(&b)
		must(t, s.show(tc.in))
		if b.String() != tc.want {
			t.Errorf("%s: %q, want %q", name, b.String(), tc.want)
		}
	}
}

// drawn is what may stand on a terminal: written apart from the code that
// lets it through.
var drawn = regexp.MustCompile(`^(?:[^\x00-\x1f\x7f-\x{9f}]|[\x08\t\n\r\x0e\x0f]|\x1b[78DEM]|\x1b[()][B0]|\x1b\[\?(?:7|25|47|1047|1048|1049)[hl]|\x1b\[[0-9;:]*[A-MPSTXZ@` + "`" + `adefmrsu])*$`)

// FuzzScreen throws anything at the screen.
func FuzzScreen(f *testing.F) {
	f.Add("a\x1b]0;x\x07\x1b[1mb")
	f.Add("\x1b[?25;1000h\x1bP\x1b\\\x9b")
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		must(t, newScreen(&b).show(s))
		if !drawn.MatchString(b.String()) || strings.ContainsFunc(b.String(), func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }) {
			t.Fatalf("%q lets %q through", s, b.String())
		}
	})
}

// TestPlayKeepsTime plays the same recording in both versions, faster, and with
// its waits cut.
func TestPlayKeepsTime(t *testing.T) {
	v2 := "{\"version\":2,\"width\":80,\"height\":24}\n[1.0,\"o\",\"a\"]\n[1.5,\"m\",\"x\"]\n[61.5,\"o\",\"b\"]\n"
	v3 := "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}\n# comment\n[1.0,\"o\",\"a\"]\n[0.5,\"m\",\"x\"]\n\n[60.0,\"o\",\"b\"]\n[0.0,\"x\",\"0\"]\n"
	for name, tc := range map[string]struct {
		cast  string
		speed float64
		idle  time.Duration
		takes time.Duration
	}{
		"v2":       {v2, 1, 0, 61500 * time.Millisecond},
		"v3":       {v3, 1, 0, 61500 * time.Millisecond},
		"twice":    {v3, 2, 0, 30750 * time.Millisecond},
		"idle cut": {v2, 1, 2 * time.Second, 3500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b bytes.Buffer
				begun := time.Now()
				must(t, Play(t.Context(), &b, strings.NewReader(tc.cast), tc.speed, tc.idle))
				if took := time.Since(begun); took != tc.takes {
					t.Errorf("took %s, want %s", took, tc.takes)
				}
				if b.String() != "ab"+restore {
					t.Errorf("shown %q", b.String())
				}
			})
		})
	}
}

// TestPlayLeavesTheTerminalAsItWas holds for a player that is called off and
// for a file that ends in nonsense.
func TestPlayLeavesTheTerminalAsItWas(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("seen enough")
	pr, pw := io.Pipe()
	var writer sync.WaitGroup
	defer writer.Wait()
	defer pr.Close() // lets a writer go that nobody reads any more
	writer.Go(func() {
		_, _ = io.WriteString(pw, "{\"version\":3}\n[0,\"o\",\"\\u001b[?1049h\"]\n")
		cancel(enough)
		_, _ = io.WriteString(pw, "[100,\"o\",\"x\"]\n")
	})
	var b bytes.Buffer
	if err := Play(ctx, &b, pr, 1, 0); !errors.Is(err, enough) || !strings.HasSuffix(b.String(), restore) {
		t.Errorf("%v, %q", err, b.String())
	}
	for _, cast := range []string{"{\"version\":2}\n[\"x\"]\n", "{\"version\":2}\n[-1,\"o\",\"\"]\n", "{\"version\":2}\n{}\n"} {
		b.Reset()
		if err := Play(t.Context(), &b, strings.NewReader(cast), 1, 0); err == nil || b.String() != restore {
			t.Errorf("%s: %v, %q", cast, err, b.String())
		}
	}
	for name, speed := range map[string]float64{"none": 0, "backwards": -1, "too fast": 1e9} {
		if err := Play(t.Context(), &b, strings.NewReader(""), speed, 0); !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Play(t.Context(), &b, strings.NewReader("{\"version\":9}"), 1, 0); !gateway.IsCode(err, gateway.CodeInvalid) {
		t.Error("version 9 is played")
	}
}
