package transfer

import (
	"hash"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// piece is the file or folder that a line has named.
type piece struct {
	file gateway.File
	size int64
	sum  hash.Hash // nil for a folder
	fail string
}

func (f *piece) take(p []byte) {
	_, _ = f.sum.Write(p) // a hash takes everything
	f.file.Bytes += int64(len(p))
}

var (
	// The mode is four digits, because that is how many are skipped.
	entryLine = regexp.MustCompile(`^([CD])[0-7]{4} ([0-9]{1,19}) ([^/\x00]+)$`)
	timesLine = regexp.MustCompile(`^T[0-9]{1,20} [0-9]{1,9} [0-9]{1,20} [0-9]{1,9}$`)
)

// line takes one whole line of the source's; the caller holds mu.
func (s *scp) line(text []byte) error {
	l := string(text)
	switch {
	case l != "" && (l[0] == 1 || l[0] == 2):
		s.complaint(l[0], l[1:])
	case s.mode == inTail:
		return broken("what came behind a file is not scp's protocol")
	case l == "E" && len(s.dirs) > 0:
		s.waits = 'E'
	case timesLine.MatchString(l):
		s.waits = 'T'
	default:
		m := entryLine.FindStringSubmatch(l)
		if m == nil || m[3] == "." || m[3] == ".." || len(s.dirs) >= maxDepth {
			return broken("what came is not scp's protocol")
		}
		size, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			return broken("scp names a file of %s bytes", m[2])
		}
		return s.entry(m[1][0], size, m[3])
	}
	return nil
}

// complaint is a text in the place of a line, or of the byte behind a file,
// which alone is answered.
func (s *scp) complaint(kind byte, text string) {
	text = clean(text, maxWhy)
	if s.mode == inTail {
		s.now.fail = text
		s.behind()
	} else if !s.up {
		s.sink.File(gateway.File{Op: gateway.FileRead, Path: clean(strings.Join(s.call.paths, " "), maxPath), Verdict: gateway.FileFailed, Why: text})
	}
	if kind == 2 {
		s.told(gateway.FileFailed, text)
		s.mode, s.waits = inNone, 0
	}
}

// entry is a file or a folder that the source begins.
func (s *scp) entry(kind byte, size int64, name string) error {
	f := &piece{size: size}
	switch {
	case kind == 'C':
		f.file.Op, f.sum = gateway.FileRead, s.sums.begin()
		if s.up {
			f.file.Op = gateway.FileWrite
		}
	case s.up:
		f.file.Op = gateway.FileMkdir
	default:
		f.file.Op = gateway.FileList
	}
	at := s.place(kind, name, &f.file)
	if len(at) > maxPath {
		return broken("scp names a path that is longer than it may be")
	}
	f.file.Path = clean(at, maxPath)
	if err := s.sink.Judge(f.file.Op); err != nil {
		f.file.Verdict, f.file.Why = gateway.FileRefused, sentence(err)
		s.sink.File(f.file)
		return err
	}
	s.now, s.left, s.waits = f, size, kind
	return nil
}

// place says where at the target a name stands. Whether the path of the command
// is a folder or the file's new name only the target knows.
func (s *scp) place(kind byte, name string, f *gateway.File) string {
	if n := len(s.dirs); n > 0 {
		return path.Join(s.dirs[n-1], name)
	}
	if !s.up {
		for _, p := range s.call.paths {
			if path.Base(p) == name {
				return p
			}
		}
		if len(s.call.paths) == 1 {
			return path.Join(path.Dir(s.call.paths[0]), name)
		}
		return name
	}
	if len(s.call.paths) == 0 {
		return name
	}
	at := s.call.paths[0]
	base := path.Base(at)
	switch {
	case s.call.folder, strings.HasSuffix(at, "/"), base == ".", base == "..", base == "~":
		return path.Join(at, name)
	case kind == 'D':
		f.Why = "or that path without its last name, if there was no such folder"
		return path.Join(at, name)
	}
	f.Why = "or under that path as " + strconv.Quote(clean(name, maxWhy)) + ", if it is a folder"
	return at
}

// behind is the end of a file's byte or complaint: the source waits for an
// answer, unless it is here already; the caller holds mu.
func (s *scp) behind() {
	if s.waits = onEnd; s.early {
		s.early = false
		s.answered(0, "")
	}
}

// answered is the one answer that the source waited for: 0 is yes, 1 no, 2 no
// and the end; the caller holds mu.
func (s *scp) answered(kind byte, text string) {
	on := s.waits
	s.mode, s.waits = inLine, 0
	switch {
	case kind != 0:
		s.told(gateway.FileFailed, clean(text, maxWhy))
		if kind == 2 {
			s.mode = inNone
		}
	case on == 'C':
		if s.mode = inData; s.left == 0 {
			s.mode = inTail
		}
	case on == 'D':
		s.dirs = append(s.dirs, s.now.file.Path)
		s.told(gateway.FileDone, "")
	case on == 'E':
		s.dirs = s.dirs[:len(s.dirs)-1]
	case on == onEnd:
		s.told(gateway.FileDone, "")
	}
}

// told tells of the file or folder that was begun last, if it was not yet.
func (s *scp) told(v gateway.FileVerdict, why string) {
	if s.now == nil {
		return
	}
	f := s.now
	s.now = nil
	if f.fail != "" && v == gateway.FileDone {
		v, why = gateway.FileFailed, f.fail
	}
	if f.file.Verdict = v; why != "" {
		f.file.Why = why
	}
	if f.sum != nil && (f.file.Bytes > 0 || v == gateway.FileDone) {
		f.sum.Sum(f.file.SHA256[:0])
		f.file.Whole = v == gateway.FileDone && f.file.Bytes == f.size
	}
	s.sink.File(f.file)
}
