package transfer

import "github.com/portcullis/portcullis/gateway"

// handle is a file or folder that the target has opened for the client.
type handle struct {
	path             string
	dir, read, write bool
	fresh            bool // it was empty when it was opened
	follow           bool // each write goes to the end
	closed           bool // the target has agreed to close it
	busy             int  // reads and writes without an answer

	got, written run
	eof          bool
	eofAt        uint64
	short        uint64 // where the last read that the target cut short ended
	size         int64  // as the target said or the client set it; -1 is not known
	cut          bool   // the client set the size
	fail         string
}

// closed tells of a handle when nothing of it is under way any more.
func (s *sftp) closed(h *handle) {
	if h.closed && h.busy == 0 && s.open[h] {
		h.tell(s, gateway.FileDone, "")
	}
}

// tell makes the index's lines of a handle: one for what was read, one for what
// was written.
func (h *handle) tell(s *sftp, v gateway.FileVerdict, why string) {
	delete(s.open, h)
	if v == gateway.FileDone && h.fail != "" {
		v, why = gateway.FileFailed, h.fail
	}
	if h.dir {
		s.sink.File(gateway.File{Op: gateway.FileList, Path: h.path, Verdict: v, Why: why})
		return
	}
	got, gotOK := h.got.finish(&s.room)
	if h.read && (h.got.bytes > 0 || !h.write) {
		f := gateway.File{Op: gateway.FileRead, Path: h.path, Bytes: h.got.bytes, Verdict: v, Why: why}
		if gotOK && (h.got.bytes > 0 || h.eof) {
			f.SHA256, f.Offset = got, int64(h.got.start)
			end := h.eof && (h.eofAt == h.got.next || h.eofAt > h.got.next && h.short == h.got.next) || h.size >= 0 && uint64(h.size) == h.got.next
			f.Whole = v == gateway.FileDone && h.got.start == 0 && end && !h.write
		}
		s.sink.File(f)
	}
	sum, ok := h.written.finish(&s.room)
	if !h.write {
		return
	}
	f := gateway.File{Op: gateway.FileWrite, Path: h.path, Bytes: h.written.bytes, Verdict: v, Why: why}
	if ok && h.fail == "" {
		f.SHA256, f.Offset = sum, int64(h.written.start)
		end := h.fresh && !h.cut || h.cut && uint64(h.size) == h.written.next
		f.Whole = v == gateway.FileDone && (h.written.start == 0 || h.follow) && end
	}
	s.sink.File(f)
}
