package search

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told shows pieces a second apart on a screen of 20 by 5 and answers the
// lines that it told. Within a piece, "\x00" says that Enter is typed there.
func told(pieces ...string) []string {
	var got []string
	s := newScreen(20, 5, func(_ time.Duration, k Kind, line string) {
		if k == Command {
			line = "> " + line
		}
		got = append(got, line)
	})
	at := time.Duration(0)
	for _, p := range pieces {
		at += time.Second
		for i, part := range strings.Split(p, "\x00") {
			if i > 0 {
				s.enter(at)
			}
			s.write(at, []byte(part))
		}
	}
	s.close()
	return got
}

func TestScreen(t *testing.T) {
	long := strings.Repeat("0123456789", 5)
	for name, tc := range map[string]struct{ in, want []string }{
		"lines":                              {[]string{"one\r\ntwo\r\n"}, []string{"one", "two"}},
		"a line without its end":             {[]string{"one"}, []string{"one"}},
		"backspace and overtype":             {[]string{"pax\bsswd"}, []string{"passwd"}},
		"a wrapped line is one":              {[]string{long + "\r\nnext"}, []string{long, "next"}},
		"a wrapped line that scrolls off":    {[]string{"1\r\n2\r\n3\r\n" + long + long + long + "\r\nend"}, []string{"1", "2", "3", long + long + long, "end"}},
		"the last column waits to wrap":      {[]string{strings.Repeat("x", 20) + "\r\ny"}, []string{strings.Repeat("x", 20), "y"}},
		"a progress bar keeps what stood":    {[]string{"10%", "\r50%", "\r99%", "\r99%\r\n"}, []string{"10%", "50%", "99%"}},
		"a flicker is not kept":              {[]string{"10%\r20%\r30%\r\n"}, []string{"30%"}},
		"an erased line that stood":          {[]string{"rm -rf /", "\r\x1b[K$ ls\r\n"}, []string{"rm -rf /", "$ ls"}},
		"colours":                            {[]string{"\x1b[1;31mer\x1b[0mror\x1b[m"}, []string{"error"}},
		"colours with colons":                {[]string{"\x1b[38:2::1:2:3mred"}, []string{"red"}},
		"a title and a link":                 {[]string{"\x1b]0;title\x07\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\"}, []string{"text"}},
		"a title with a byte like its end":   {[]string{"\x1b]0;a ✜ b\x07text"}, []string{"text"}},
		"strings are swallowed":              {[]string{"\x1bPq hidden\x1b\\\x1b_hidden\x1b\\\x1b^hidden\x1b\\\x1bXhidden\x1b\\seen"}, []string{"seen"}},
		"a sequence in pieces":               {[]string{"a\x1b", "[3", "1mb"}, []string{"ab"}},
		"a character in pieces":              {[]string{"gr\xc3", "\xbc\xc3", "\x9f"}, []string{"grüß"}},
		"bytes that are no character":        {[]string{"a\xff\xfeb\xe2\x1b[31mc"}, []string{"a\ufffd\ufffdb\ufffdc"}},
		"cursor addressing":                  {[]string{"\x1b[2;3Hlow\x1b[1;1Hhigh"}, []string{"high", "low"}},
		"cursor up and down":                 {[]string{"a\r\nb\x1b[A\x1b[2Gx\x1b[Bc"}, []string{"a", "ax", "b c"}},
		"insert and delete characters":       {[]string{"ac\x1b[D\x1b[@b\x1b[4hX\x1b[4l\x1b[P"}, []string{"abX"}},
		"erase to the right, left, all":      {[]string{"abc\x1b[2D\x1b[K\r\nabc\x1b[2D\x1b[1K\r\nabc\x1b[2K\r\n"}, []string{"a", "c"}},
		"erase characters":                   {[]string{"abcd\x1b[3D\x1b[2X"}, []string{"a  d"}},
		"the screen erased keeps what stood": {[]string{"\x1b[1;1Hone\x1b[2;1Htwo", "\x1b[2J\x1b[Hthree"}, []string{"one", "two", "three"}},
		"insert and delete lines":            {[]string{"a\r\nb\r\nc\x1b[2;1H\x1b[Lx\x1b[3;1H\x1b[M"}, []string{"a", "b", "x", "c"}},
		"a scroll region":                    {[]string{"\x1b[5;1Hfoot\x1b[1;4r\x1b[4;1Ha\r\nb\r\nc\r\nd\r\ne"}, []string{"a", "b", "c", "d", "e", "foot"}},
		"reverse line feed":                  {[]string{"\x1b[1;1Htop\x1b[H\x1bMnew"}, []string{"new", "top"}},
		"the alternate screen":               {[]string{"$ vi f\r\n\x1b[?1049h\x1b[Hfile text\r\n~", "\x1b[?1049l$ ls\r\n"}, []string{"$ vi f", "file text", "~", "$ ls"}},
		"wide characters":                    {[]string{"\x1b[17G中文字\r\n"}, []string{"中文字"}},
		"half a wide character":              {[]string{"中x\x1b[2Gy"}, []string{"yx"}},
		"a combining mark":                   {[]string{"e\u0301te"}, []string{"e\u0301te"}},
		"line drawing":                       {[]string{"\x1b(0lqk\x1b(Btext\x0e\x0f"}, []string{"text"}},
		"tabs":                               {[]string{"a\tb"}, []string{"a       b"}},
		"repeat":                             {[]string{"a\x1b[3b"}, []string{"aaaa"}},
		"a repeat beyond reason":             {[]string{"\x1b[999999999b-\x1b[999999999999999999999b\r\n"}, []string{strings.Repeat("-", 101)}},
		"reset":                              {[]string{"one", "\x1bctwo"}, []string{"one", "two"}},
		"no wrap":                            {[]string{"\x1b[?7l" + strings.Repeat("x", 25) + "y"}, []string{strings.Repeat("x", 19) + "y"}},
		"entered":                            {[]string{"$ ls", "\x00\r\na b\r\n$ "}, []string{"> $ ls", "a b", "$"}},
		"entered before its echo has come":   {[]string{"$ l", "\x00s\r\na b\r\n$ "}, []string{"> $ ls", "a b", "$"}},
		"entered and edited":                 {[]string{"$ lx\b\x1b[Ks", "\x00\r\n"}, []string{"> $ ls"}},
		"entered over two rows":              {[]string{"$ " + long, "\x00\r\n"}, []string{"> $ " + long}},
		"entered and not answered in time":   {[]string{"\x00", "", "", "", "", "", "", "late\r\n"}, []string{"late"}},
		"keys in the alternate screen":       {[]string{"\x1b[?1049hfile\x00\x00\r\n\x1b[?1049lout\r\n"}, []string{"file", "out"}},
		"a question is no answer":            {[]string{"\x1b[6n\x1b[c\x05text"}, []string{"text"}},
	} {
		if diff := cmp.Diff(tc.want, told(tc.in...)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestResize(t *testing.T) {
	var got []string
	s := newScreen(20, 5, func(_ time.Duration, _ Kind, line string) { got = append(got, line) })
	s.write(0, []byte("1\r\n2\r\n3\r\n4\r\n5"))
	s.resize(10, 2)
	s.write(0, []byte("0123456789ab\r\n"))
	s.resize(1<<30, 1<<30)
	s.resize(0, 0)
	s.resize(1, 1)
	s.close()
	if diff := cmp.Diff([]string{"1", "2", "3", "4", "50123456789ab"}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzScreen: whatever a target sends, the screen stays within its bounds and
// no line is longer than it may be.
func FuzzScreen(f *testing.F) {
	for _, seed := range []string{"text\r\n", "\x1b[?1049h\x1b[2;4r\x1b[99S\x1b[L\x1b[9M\x1b[?6h\x1b[1;1H", "中\x1b[@\x1b[4h中\x1b[P", "\x1b]0;\xe2\x9c\x9c\x07", "\x1b[38;5;1m\x1b[99999b\x1bM\x1bc"} {
		f.Add([]byte(seed), byte(20), byte(5))
	}
	f.Fuzz(func(t *testing.T, p []byte, cols, rows byte) {
		s := newScreen(int(cols), int(rows), func(_ time.Duration, _ Kind, line string) {
			if len([]rune(line)) > maxLine {
				t.Errorf("a line of %d characters", len([]rune(line)))
			}
		})
		for i := 0; i < len(p); i += 7 {
			s.write(time.Duration(i)*100*time.Millisecond, p[i:min(i+7, len(p))])
			if i%35 == 0 {
				s.enter(s.now)
				s.resize(int(p[i]), int(cols))
			}
		}
		if len(s.lines) != s.rows || s.y >= s.rows || s.x >= s.cols || s.bottom >= s.rows || len(s.held) > 2*maxLine {
			t.Errorf("%d rows of %d, cursor %d %d of %d, region to %d, %d held", len(s.lines), s.rows, s.x, s.y, s.cols, s.bottom, len(s.held))
		}
		s.close()
	})
}
