package gateway

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of text that comes from outside.
const (
	MaxName   = 63   // bytes of a vendor's, person's, target's or account's name
	MaxTitle  = 120  // runes of a human-readable title
	MaxReason = 2000 // runes of a request's reason or a suspension's
)

// idAlphabet is Crockford's base 32 in lower case: no i, l, o, u.
var idAlphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a fresh identifier: the prefix, an underscore, and 16 bytes
// (48 bits of Unix milliseconds, then 80 random bits), so that identifiers of
// one kind sort by their time of birth. It tells the time of birth to whoever
// sees it; it is a name, never a secret.
func NewID(prefix string, now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // crypto/rand.Read never fails: it crashes the program instead
	return prefix + "_" + idAlphabet.EncodeToString(b[:])
}

// CheckID reports whether s has the shape of an identifier with this prefix.
func CheckID(prefix, s string) error {
	rest, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(rest) != idAlphabet.EncodedLen(16) {
		return Invalid("id", "%s is not an identifier of the form %s_…", quoteShort(s), prefix)
	}
	if _, err := idAlphabet.DecodeString(rest); err != nil {
		return Invalid("id", "%s is not an identifier of the form %s_…", quoteShort(s), prefix)
	}
	return nil
}

// CheckName holds a name to the one strict grammar: lower-case ASCII letters,
// digits, dot, hyphen and underscore, beginning with a letter or digit, at
// most MaxName bytes. A plus sign, an at sign, a slash or a blank would be
// ambiguous in an SSH user name, a host name or a path. what names the field
// in the refusal.
func CheckName(what, s string) error {
	switch {
	case s == "":
		return Invalid(what, "%s is empty; give a name such as \"acme\"", what)
	case len(s) > MaxName:
		return Invalid(what, "%s has %d bytes; at most %d are allowed", what, len(s), MaxName)
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if letter || i > 0 && (c == '.' || c == '-' || c == '_') {
			continue
		}
		return Invalid(what, "%s %s may hold lower-case letters, digits, '.', '-' and '_' only, and begins with a letter or digit", what, quoteShort(s))
	}
	if strings.Contains(s, "..") || s[len(s)-1] == '.' {
		return Invalid(what, "%s %s may not hold two dots in a row nor end with one", what, quoteShort(s))
	}
	return nil
}

// CheckLogin holds the user name of an account at a target to what sshd and
// login programs take without quoting: letters of either case, digits, '.',
// '-', '_', '$' at the end, not beginning with '-'.
func CheckLogin(s string) error {
	if s == "" || len(s) > MaxName {
		return Invalid("login", "login must have 1 to %d bytes", MaxName)
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if letter || i > 0 && (c == '.' || c == '-') || i > 0 && i == len(s)-1 && c == '$' {
			continue
		}
		return Invalid("login", "login %s holds a character that is not allowed in a user name", quoteShort(s))
	}
	return nil
}

// CheckText holds free text (a reason, a title) to at most limit runes of
// printable Unicode: no control characters (a line break is allowed where
// lines is true), no bidirectional marks, no invalid UTF-8. Text that reads
// differently from how it is stored could make an approver sign something
// else than he sees.
func CheckText(what, s string, limit int, lines bool) error {
	if !utf8.ValidString(s) {
		return Invalid(what, "%s is not valid UTF-8", what)
	}
	if n := utf8.RuneCountInString(s); n > limit {
		return Invalid(what, "%s has %d characters; at most %d are allowed", what, n, limit)
	}
	for _, r := range s {
		switch {
		case lines && r == '\n':
		case unicode.IsControl(r):
			return Invalid(what, "%s holds the control character U+%04X; remove it", what, r)
		case unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029', r == '\ufeff', unicode.Is(unicode.Cf, r) && r != '\u200d' && r != '\u00ad':
			return Invalid(what, "%s holds the invisible or direction-changing character U+%04X; remove it", what, r)
		}
	}
	return nil
}

// CheckNeeded is CheckText for text that may not be blank.
func CheckNeeded(what, s string, limit int, lines bool) error {
	if strings.TrimSpace(s) == "" {
		return Invalid(what, "%s is empty; say it in a sentence", what)
	}
	return CheckText(what, s, limit, lines)
}

// quoteShort quotes outside text for an error: escaped, and cut so that 10 kB
// of it cannot flood a log.
func quoteShort(s string) string {
	const most = 48
	if len(s) > most {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:most], "\ufffd"))
	}
	return fmt.Sprintf("%q", s)
}

// Quote renders outside text for a sentence: quoted, escaped, at most 48
// bytes of it.
func Quote(s string) string { return quoteShort(s) }

// Instant is t as we keep time everywhere: UTC, whole microseconds, no
// monotonic reading. What is stored compares equal to what is read back.
func Instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
