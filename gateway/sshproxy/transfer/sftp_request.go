package transfer

import (
	"math"

	"github.com/portcullis/portcullis/gateway"
)

// status is an answer in the target's place.
type status struct {
	code uint32
	text string
}

var (
	misread  = &status{fxBadMessage, "this request cannot be read, so it was not passed on"}
	unknown  = &status{fxUnsupported, "this request is not known here, so it was not passed on"}
	noHandle = &status{fxFailure, "no such file is open"}
)

// request judges one request and notes it, if it may pass; the caller holds mu.
func (s *sftp) request(kind byte, id uint32, r *reader) (*status, error) {
	if _, twice := s.pending[id]; twice {
		return nil, broken("an SFTP request has the number of another that is not answered yet")
	}
	if len(s.pending) >= maxPending || s.named > maxNamed {
		return nil, broken("too many SFTP requests wait for their answers")
	}
	q, no := s.parse(kind, r)
	if no != nil {
		if s.refused++; s.refused > maxRefused {
			return nil, broken("too many SFTP requests were refused")
		}
		return no, nil
	}
	s.pending[id] = q
	s.named += q.names()
	switch {
	case q.opens != nil:
		s.opening++
	case kind == fxpRead:
		q.h.busy++
	case kind == fxpWrite:
		q.h.busy++
	}
	return nil, nil
}

// names is what a request costs in paths.
func (q request) names() int {
	n := 0
	if q.file != nil {
		n += len(q.file.Path) + len(q.file.To)
	}
	if q.opens != nil {
		n += len(q.opens.path)
	}
	return n
}

// parse takes one request apart and asks the sink.
func (s *sftp) parse(kind byte, r *reader) (request, *status) {
	switch kind {
	case fxpOpen:
		return s.parseOpen(r)
	case fxpOpendir:
		return s.parseOpendir(r)
	case fxpClose, fxpFstat, fxpReaddir:
		return s.parseHandle(kind, r)
	case fxpRead:
		return s.parseRead(r)
	case fxpWrite:
		return s.parseWrite(r)
	case fxpFsetstat:
		return s.parseFsetstat(r)
	case fxpLstat, fxpStat, fxpRealpath, fxpReadlink:
		return s.parsePath(kind, gateway.FileStat, r)
	case fxpRemove:
		return s.parsePath(kind, gateway.FileRemove, r)
	case fxpRmdir:
		return s.parsePath(kind, gateway.FileRmdir, r)
	case fxpMkdir, fxpSetstat:
		op := gateway.FileMkdir
		if kind == fxpSetstat {
			op = gateway.FileSetstat
		}
		f := gateway.File{Op: op, Path: r.path()}
		r.attrs()
		return s.change(kind, f, r)
	case fxpRename:
		return s.change(kind, gateway.File{Op: gateway.FileRename, Path: r.path(), To: r.path()}, r)
	case fxpSymlink: // OpenSSH's order, which all others follow: where it leads, then the link
		to := r.path()
		return s.change(kind, gateway.File{Op: gateway.FileSymlink, Path: r.path(), To: to}, r)
	case fxpExtended:
		return s.parseExtended(r)
	}
	return request{}, unknown
}

// may asks the sink, and tells it of a no.
func (s *sftp) may(f gateway.File) *status {
	err := s.sink.Judge(f.Op)
	if err == nil {
		return nil
	}
	f.Verdict, f.Why = gateway.FileRefused, sentence(err)
	s.sink.File(f)
	return &status{fxPermissionDenied, f.Why}
}

func cleaned(f gateway.File) gateway.File {
	f.Path, f.To = clean(f.Path, maxPath), clean(f.To, maxPath)
	return f
}

// change is a request that names what it changes and is answered by a status.
func (s *sftp) change(kind byte, f gateway.File, r *reader) (request, *status) {
	if !r.whole() {
		return request{}, misread
	}
	f = cleaned(f)
	if no := s.may(f); no != nil {
		return request{}, no
	}
	return request{kind: kind, file: &f}, nil
}

// parsePath is a request of one path. A look that succeeds leaves no line in
// the index: there are thousands, and they would push out what matters.
func (s *sftp) parsePath(kind byte, op gateway.FileOp, r *reader) (request, *status) {
	q, no := s.change(kind, gateway.File{Op: op, Path: r.path()}, r)
	if op == gateway.FileStat {
		q.file = nil
	}
	return q, no
}

// parseOpen judges by what the flags let a server do, not by what they are
// called: one that is not asked to write alone opens for reading.
func (s *sftp) parseOpen(r *reader) (request, *status) {
	path, flags := r.path(), r.uint32()
	r.attrs()
	if !r.whole() {
		return request{}, misread
	}
	if flags&^openKnown != 0 {
		return request{}, unknown
	}
	h := &handle{
		path: clean(path, maxPath), size: -1,
		read: flags&openRead != 0 || flags&openWrite == 0, write: flags&^openRead != 0,
		fresh: flags&(openTrunc|openExcl) != 0, follow: flags&openAppend != 0,
		got: run{sums: s.sums}, written: run{sums: s.sums},
	}
	if len(s.open)+s.opening >= maxOpen {
		return request{}, &status{fxFailure, "too many files are open"}
	}
	if h.read {
		if no := s.may(gateway.File{Op: gateway.FileRead, Path: h.path}); no != nil {
			return request{}, no
		}
	}
	if h.write {
		if no := s.may(gateway.File{Op: gateway.FileWrite, Path: h.path}); no != nil {
			return request{}, no
		}
	}
	return request{kind: fxpOpen, opens: h}, nil
}

func (s *sftp) parseOpendir(r *reader) (request, *status) {
	f := cleaned(gateway.File{Op: gateway.FileList, Path: r.path()})
	if !r.whole() {
		return request{}, misread
	}
	if len(s.open)+s.opening >= maxOpen {
		return request{}, &status{fxFailure, "too many files are open"}
	}
	if no := s.may(f); no != nil {
		return request{}, no
	}
	return request{kind: fxpOpendir, opens: &handle{path: f.Path, dir: true, size: -1}}, nil
}

// handle finds what the client may use.
func (s *sftp) handle(b []byte) *handle { return s.handles[string(b)] }

func (s *sftp) parseHandle(kind byte, r *reader) (request, *status) {
	name := r.string()
	h := s.handle(name)
	switch {
	case !r.whole():
		return request{}, misread
	case h == nil, kind == fxpReaddir && !h.dir:
		return request{}, noHandle
	case kind == fxpFstat:
		if no := s.may(gateway.File{Op: gateway.FileStat, Path: h.path}); no != nil {
			return request{}, no
		}
	case kind == fxpClose:
		delete(s.handles, string(name)) // from here on it may be another file's
	}
	return request{kind: kind, h: h}, nil
}

func (s *sftp) parseRead(r *reader) (request, *status) {
	h, off, n := s.handle(r.string()), r.uint64(), r.uint32()
	switch {
	case !r.whole() || off > math.MaxInt64-uint64(n):
		return request{}, misread
	case h == nil || !h.read:
		return request{}, noHandle
	}
	return request{kind: fxpRead, h: h, offset: off, n: n}, nil
}

func (s *sftp) parseWrite(r *reader) (request, *status) {
	h, off, p := s.handle(r.string()), r.uint64(), r.string()
	switch {
	case !r.whole() || off > math.MaxInt64-maxPacket:
		return request{}, misread
	case h == nil || !h.write:
		return request{}, noHandle
	}
	if h.follow {
		h.written.follow(off, p, &s.room)
	} else {
		h.written.feed(off, p, &s.room)
	}
	return request{kind: fxpWrite, h: h, offset: off, n: uint32(len(p))}, nil
}

func (s *sftp) parseFsetstat(r *reader) (request, *status) {
	h, size := s.handle(r.string()), r.attrs()
	switch {
	case !r.whole():
		return request{}, misread
	case h == nil:
		return request{}, noHandle
	}
	f := gateway.File{Op: gateway.FileSetstat, Path: h.path}
	if no := s.may(f); no != nil {
		return request{}, no
	}
	return request{kind: fxpFsetstat, h: h, size: size, file: &f}, nil
}

func (s *sftp) parseExtended(r *reader) (request, *status) {
	switch name := string(r.string()); name {
	case "posix-rename@openssh.com":
		return s.change(extStatus, gateway.File{Op: gateway.FileRename, Path: r.path(), To: r.path()}, r)
	case "hardlink@openssh.com":
		return s.change(extStatus, gateway.File{Op: gateway.FileLink, Path: r.path(), To: r.path()}, r)
	case "lsetstat@openssh.com":
		f := gateway.File{Op: gateway.FileSetstat, Path: r.path()}
		r.attrs()
		return s.change(extStatus, f, r)
	case "statvfs@openssh.com":
		return s.parsePath(extStatvfs, gateway.FileStat, r)
	case "expand-path@openssh.com", "home-directory":
		return s.parsePath(extNames, gateway.FileStat, r)
	case "fstatvfs@openssh.com":
		q, no := s.parseHandle(fxpFstat, r)
		q.kind = extStatvfs
		return q, no
	case "fsync@openssh.com":
		h := s.handle(r.string())
		switch {
		case !r.whole():
			return request{}, misread
		case h == nil || !h.write:
			return request{}, noHandle
		}
		return request{kind: extStatus, h: h}, nil
	case "limits@openssh.com":
		if !r.whole() {
			return request{}, misread
		}
		return request{kind: extLimits}, nil
	case "users-groups-by-id@openssh.com":
		r.string()
		r.string()
		if !r.whole() {
			return request{}, misread
		}
		no := s.may(gateway.File{Op: gateway.FileStat, Path: "users and groups"})
		return request{kind: extUsers}, no
	case "copy-data":
		return s.parseCopy(r)
	}
	return request{}, unknown
}

// parseCopy is a copy at the target from one open file to another: its bytes
// are not seen, so the sum of the file that it writes is not known either.
func (s *sftp) parseCopy(r *reader) (request, *status) {
	from, fromAt, n := s.handle(r.string()), r.uint64(), r.uint64()
	to, toAt := s.handle(r.string()), r.uint64()
	switch {
	case !r.whole() || max(fromAt, n, toAt) > math.MaxInt64:
		return request{}, misread
	case from == nil || !from.read || to == nil || !to.write:
		return request{}, noHandle
	}
	f := gateway.File{Op: gateway.FileCopy, Path: from.path, To: to.path, Offset: int64(toAt), Bytes: int64(n)}
	if no := s.may(f); no != nil {
		return request{}, no
	}
	to.written.lose(&s.room)
	return request{kind: extStatus, file: &f}, nil
}
