package httpsproxy

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	kosme  = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	edited = "edited"
)

// wsTexts has family 6. From 6.5 on it is the list of Markus Kuhn's UTF-8
// decoder test, by its groups.
func wsTexts() []wsCase {
	latin := "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"
	surrogate := kosme + "\xed\xa0\x80" + edited
	beyond := kosme + "\xf4\x90\x80\x80" + edited
	notText := func(number string, send ...wsFrame) wsCase {
		return wsCase{number: number, send: send, closed: closeText, cut: true}
	}
	l := []wsCase{
		itself("6.1.1", text("")), passes("6.1.2", []wsFrame{text("")}, begin(""), more(""), last("")), passes("6.1.3", []wsFrame{text("middle frame payload")}, begin(""), more("middle frame payload"), last("")),
		itself("6.2.1", text(latin)), passes("6.2.2", []wsFrame{text(latin)}, begin(latin[:12]), last(latin[12:])),
		passes("6.2.3", []wsFrame{text(latin)}, cutUp(text(latin), 1)...), passes("6.2.4", []wsFrame{text(kosme)}, cutUp(text(kosme), 1)...),
		notText("6.3.1", text(surrogate)), notText("6.3.2", cutUp(text(surrogate), 1)...),
		// Fail fast: nothing comes after the byte that makes it no text, and the
		// gateway does not wait for it.
		notText("6.4.1", begin(kosme), more(beyond[11:15])), notText("6.4.2", begin(beyond[:12]), more(beyond[12:13])),
		notText("6.4.3", wsFrame{0x81, beyond[:15], uint64(len(beyond))}).chopped(11 + 6), notText("6.4.4", wsFrame{0x81, beyond[:13], uint64(len(beyond))}).chopped(1),
	}
	for i, group := range sequences() {
		for j, s := range group {
			number := fmt.Sprintf("6.%d.%d", i+5, j+1)
			if utf8.ValidString(s) {
				l = append(l, itself(number, text(s)))
			} else {
				l = append(l, notText(number, text(s)))
			}
		}
	}
	return l
}

// sequences are what the groups 6.5 to 6.23 send.
func sequences() [][]string {
	prefixes := make([]string, 0, len(kosme))
	for i := range len(kosme) {
		prefixes = append(prefixes, kosme[:i+1])
	}
	from := func(first, behind int, between string) string {
		var b strings.Builder
		for i := first; i < behind; i++ {
			b.WriteString(string([]byte{byte(i)}) + between)
		}
		return b.String()
	}
	cut := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80", "\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	specials := []string{"\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf"}
	low := []string{"\xed\xb0\x80", "\xed\xbf\xbf"}
	var pairs []string
	for _, high := range []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf"} {
		pairs = append(pairs, high+low[0], high+low[1])
	}
	var none []string // code points that are no characters, and UTF-8 all the same
	for plane := rune(0); plane <= 0x10; plane++ {
		none = append(none, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	return [][]string{
		{"hello\x24world", "hello\xc2\xa2world", "hello\xe2\x82\xacworld", "hello\xf0\xa4\xad\xa2world", kosme},
		prefixes,
		{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"},
		{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"},
		{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"},
		{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"},
		{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80"},
		{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", from(0x80, 0xbf, "")},
		{from(0xc0, 0xdf, " "), from(0xe0, 0xef, " "), from(0xf0, 0xf7, " "), from(0xf8, 0xfb, " "), from(0xfc, 0xfd, " ")},
		cut,
		{strings.Join(cut, "")},
		{"\xfe", "\xff", "\xfe\xfe\xff\xff"},
		{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"},
		{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"},
		{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"},
		{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"},
		pairs,
		slices.Clip(none),
		specials,
	}
}
