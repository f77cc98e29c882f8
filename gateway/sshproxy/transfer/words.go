package transfer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// word is one argument as every shell reads it.
type word struct {
	text string
	glob bool // has a live *, ? or [
}

// maxCommand bounds what is looked at; rsync with many paths is longer than
// anything else.
const maxCommand = 32 << 10

// plain are the bytes that mean themselves to sh, bash, zsh, ksh, csh, fish,
// cmd.exe and PowerShell. Bytes above ASCII are letters to all of them.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@+:./-"

// live are bytes that are theirs inside a word but not at its beginning: a
// comment, a command's path in zsh, an argument list in PowerShell, a list or a
// job elsewhere. A tilde is its account's folder at the beginning, and that is
// meant.
const live = "=,#"

// split cuts a command line into words, and says no to all that any shell might
// read otherwise. In quotes, too: cmd.exe knows no single quotes, fish
// has a backslash inside them, PowerShell none outside, csh keeps ! everywhere.
func split(command string) ([]word, bool) {
	if len(command) > maxCommand || !letters(command) {
		return nil, false
	}
	var words []word
	var now strings.Builder
	open, glob := false, false
	end := func() {
		if open {
			words = append(words, word{now.String(), glob})
		}
		now.Reset()
		open, glob = false, false
	}
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == ' ':
			end()
			continue
		case strings.IndexByte(plain, c) >= 0, c >= 0x80, c == '~':
			now.WriteByte(c)
		case strings.IndexByte(live, c) >= 0 && open:
			now.WriteByte(c)
		case c == '*' || c == '?' || c == '[' || c == ']':
			glob = true
			now.WriteByte(c)
		case c == '\\' && i+1 < len(command) && strings.IndexByte(escaped, command[i+1]) >= 0:
			i++
			now.WriteByte(command[i])
		case c == '\'' || c == '"':
			n := strings.IndexByte(command[i+1:], c)
			if n < 0 || !quotable(command[i+1:i+1+n]) {
				return nil, false
			}
			now.WriteString(command[i+1 : i+1+n])
			i += n + 1
		default:
			return nil, false
		}
		open = true
	}
	end()
	return words, sameToAll(words)
}

// escaped may follow a backslash: to a shell that does not know the backslash
// these do nothing worse than cut the word, which sameToAll looks at.
const escaped = " #*?[]~"

// quotable reports whether text in quotes of either kind is only text, or at
// worst several words, to every shell.
func quotable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f || strings.IndexByte("\\!$`%^&|<>\"", s[i]) >= 0 {
			return false
		}
	}
	return true
}

// letters refuses what PowerShell reads as quotes, dashes and spaces beyond
// ASCII, and what cannot be shown.
func letters(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r >= 0x80 && (!unicode.IsPrint(r) || unicode.In(r, unicode.Pd, unicode.Pi, unicode.Pf, unicode.Ps, unicode.Pe)) {
			return false
		}
	}
	return true
}

// sameToAll looks for words that would become an option where a shell cuts at
// a space or comma that another keeps.
func sameToAll(words []word) bool {
	for _, w := range words {
		if strings.Contains(w.text, " -") || strings.Contains(w.text, ",-") {
			return false
		}
	}
	return len(words) > 0
}
