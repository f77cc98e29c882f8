package transfer

import (
	"regexp"
	"strings"
)

// maxPath bounds a path that may pass: Linux's PATH_MAX.
const maxPath = 4096

// rsyncShort is the one word of letters that a client sends. Left out on
// purpose: s (arguments would come in the stream, unread), e as a program, B
// and T with their values, M, f. What follows "e" and a dot says what the
// client knows; it is no option.
var rsyncShort = regexp.MustCompile(`^-[vqcarRbulLkKHpEAXogDtOJNUSWnIixyzdCmhP]*(e[0-9]*\.[0-9]*[A-Za-z]*)?$`)

// rsyncSafe are the long options that neither run a program nor name a file
// that is read or written for another purpose than the transfer.
var rsyncSafe = words(`--numeric-ids --ignore-errors --force --inplace --append --append-verify
	--partial --delay-updates --safe-links --copy-unsafe-links --existing --ignore-existing --ignore-non-existing --size-only
	--no-implied-dirs --no-r --no-i-r --no-inc-recursive --inc-recursive --fuzzy --stats --list-only --one-file-system --sparse
	--omit-dir-times --omit-link-times --super --no-super --fake-super --checksum --new-compress --old-compress --mkpath
	--open-noatime --no-W --specials --no-specials --devices --no-devices --ignore-missing-args --no-relative --dirs --no-dirs
	--links --times --perms --owner --group --recursive --update --whole-file --no-whole-file --preallocate --no-msgs2stderr
	--msgs2stderr --use-qsort --from0 --8-bit-output --trust-sender --files-from=-`)

// rsyncBoth are options of the direction to the target whose rules come in the
// stream, where they may name files that the target reads and quotes from: who
// sends them needs both directions.
var rsyncBoth = words(`--delete --delete-before --delete-during --delete-delay --delete-after --delete-excluded
	--delete-missing-args --prune-empty-dirs`)

// rsyncMoves takes the source away when it is read: both directions.
var rsyncMoves = words(`--remove-source-files --remove-sent-files`)

var rsyncFolder = words(`--partial-dir --backup-dir --suffix --temp-dir --compare-dest --copy-dest --link-dest`)

// rsyncValue is what the remaining options may be set to: numbers and names.
// A small block size is not among them: sums of single bytes, which the
// receiver sends, would give the file away to one who may only write it.
var rsyncValue = regexp.MustCompile(`^--(bwlimit|timeout|modify-window|max-size|min-size|max-delete|compress-level|compress-choice|zc|` +
	`zl|checksum-choice|cc|checksum-seed|skip-compress|max-alloc|stop-at|stop-after|info|log-format)=[A-Za-z0-9%@+_.,:/-]*$|^--iconv=[A-Za-z0-9_.,-]+$`)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// parseRsync takes the far end of rsync over a shell: --server, --sender where
// files come from the target, options of the closed list, a dot, paths.
func parseRsync(args []word) (moved, bool) {
	m := moved{}
	if len(args) < 4 || args[0].text != "--server" {
		return m, false
	}
	args = args[1:]
	if m.down = args[0].text == "--sender"; m.down {
		args = args[1:]
	}
	m.up = !m.down
	for len(args) > 0 && args[0].text != "." {
		if args[0].glob || !m.option(args[0].text) {
			return m, false
		}
		args = args[1:]
	}
	if len(args) < 2 {
		return m, false
	}
	for _, a := range args[1:] {
		if a.text == "" || len(a.text) > maxPath || a.text[0] == '-' || a.glob && strings.IndexByte("*?[", a.text[0]) >= 0 {
			return m, false // rsync takes an option anywhere
		}
		m.paths = append(m.paths, a.text)
	}
	return m, true
}

// option judges one option, and notes what it needs besides the direction.
func (m *moved) option(o string) bool {
	if !strings.HasPrefix(o, "--") {
		m.down = m.down || strings.Contains(strings.SplitN(o, "e", 2)[0], "m")
		return o != "-" && rsyncShort.MatchString(o)
	}
	name, value, valued := strings.Cut(o, "=")
	switch {
	case !valued && rsyncMoves[o]:
		m.up = true
		return true
	case !valued && rsyncBoth[o]:
		m.down = true // already so where files come from the target: it deletes nothing there
		return true
	case valued && rsyncFolder[name]:
		return value != "" && len(value) <= maxPath
	}
	return rsyncSafe[o] || rsyncValue.MatchString(o)
}
