package transfer

import (
	"crypto/sha256"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// PuTTY's pscp answers for a file when it has the last of its bytes, and does
// not wait for the byte behind it.
func TestScpAnswerBeforeTheByteBehindAFile(t *testing.T) {
	for name, behind := range map[string]struct {
		said    string
		verdict gateway.FileVerdict
	}{"well": {"\x00", gateway.FileDone}, "complaint": {"\x01scp: a: gone bad\n", gateway.FileFailed}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "download", Recognise("scp -f /x"))
			r.client([]byte{0})
			r.target([]byte("C0644 3 a\n"))
			r.client([]byte{0})
			r.target([]byte("abc"))
			r.client([]byte{0})
			if err := r.clientErr([]byte{0}); err == nil {
				t.Error("one answer more passes")
			}
			r.target([]byte(behind.said))
			r.target([]byte("C0644 0 b\n"))
			r.client([]byte{0, 0})
			r.target([]byte{0})
			if f := r.find(t, gateway.FileRead, "/a"); f.Verdict != behind.verdict || f.Bytes != 3 || f.SHA256 != sha256.Sum256([]byte("abc")) {
				t.Errorf("index has %+v", f)
			}
			if f := r.find(t, gateway.FileRead, "/b"); f.Verdict != gateway.FileDone || !f.Whole {
				t.Errorf("index has %+v", f)
			}
		})
	}
	r := newRig(t, "upload", Recognise("scp -t /x"))
	r.target([]byte{0})
	r.client([]byte("C0644 0 a\n"))
	r.target([]byte{0})
	if err := r.targetErr([]byte{0}); err == nil {
		t.Error("a target that answers early is believed")
	}
}

// PuTTY reads ahead by 32 KiB and never asks where the file ends: the last
// answer is short, and the end proper is met further on.
func TestSFTPEndOfAFileThatIsReadAhead(t *testing.T) {
	for name, c := range map[string]struct {
		asked int
		eofAt uint64
		whole bool
	}{
		"short, the end met behind":       {32 << 10, 64 << 10, true},
		"the end met in its place":        {4, 3 + 1, true},
		"not short":                       {3, 1 << 20, false},
		"short of more than is sure":      {200 << 10, 1 << 20, false},
		"not short, the end in its place": {3, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := agreed(t, "download")
			r.client(wire(fxpOpen, 1, "/a", openRead, 0))
			r.target(wire(fxpHandle, 1, "h"))
			r.client(wire(fxpRead, 2, "h", uint64(0), c.asked))
			r.client(wire(fxpRead, 3, "h", c.eofAt, c.asked))
			r.target(wire(fxpData, 2, "abc"))
			r.target(wire(fxpStatus, 3, fxEOF, "", ""))
			r.client(wire(fxpClose, 4, "h"))
			r.target(wire(fxpStatus, 4, fxOK, "", ""))
			if f := r.find(t, gateway.FileRead, "/a"); f.Whole != c.whole || f.SHA256 != sha256.Sum256([]byte("abc")) {
				t.Errorf("index has %+v", f)
			}
		})
	}
}
