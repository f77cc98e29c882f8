package sshproxy

import (
	"strings"
	"unicode"
)

// maxBanner is how much of what a target says before it lets anybody in is
// shown, in bytes.
const maxBanner = 4 << 10

// banner gathers what a target says before it lets us in (RFC 4252 clause 5.4).
type banner struct{ text string }

// add implements ssh.BannerCallback.
func (b *banner) add(message string) error {
	b.text += message[:min(len(message), maxBanner-len(b.text))]
	return nil
}

// words are the lines of the banner, each under the target's name for itself,
// so that none can be taken for one of ours, and nothing in them for a
// terminal to obey.
func (b *banner) words() (lines []string) {
	for l := range strings.Lines(strings.ToValidUTF8(strings.TrimSpace(b.text), "?")) {
		lines = append(lines, "target: "+strings.Map(plain, strings.TrimRight(l, "\r\n")))
	}
	return lines
}

func plain(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case !unicode.IsPrint(r):
		return '?'
	}
	return r
}

// greet shows what waits for a channel that begins: the target's banner, the
// warning that stands, and why a global request was refused.
func (ch *channel) greet() {
	c := ch.c
	c.mu.Lock()
	lines, warning := c.banner, c.warning
	c.banner = nil
	c.mu.Unlock()
	if len(lines) > 0 {
		ch.rec.Note(strings.Join(lines, "\n"))
		_, _ = locked{&ch.err, ch.client.Stderr()}.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	}
	if warning != "" {
		ch.notice(warning)
	}
	if why := c.unsaidNow(); why != "" {
		ch.aside(why)
	}
}
