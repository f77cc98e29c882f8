package transfer

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// wire builds a packet: numbers by their size, strings with their length.
func wire(kind byte, parts ...any) []byte {
	b := append(make([]byte, 4), kind)
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		case uint64:
			b = binary.BigEndian.AppendUint64(b, p)
		case string:
			b = appendString(b, p)
		}
	}
	return packet(b)
}

// rig is a tap with both its ends in hand.
type rig struct {
	kept
	t                *testing.T
	tap              Tap
	toTarget, toUser bytes.Buffer
}

func newRig(t *testing.T, grant string, ch gateway.Channel) *rig {
	r := &rig{t: t}
	r.can = grantOf(grant)
	r.tap = New(ch, r, func(p []byte) error { _, err := r.toUser.Write(p); return err })
	return r
}

func agreed(t *testing.T, grant string) *rig {
	r := newRig(t, grant, gateway.Channel{Kind: gateway.ChannelSFTP})
	r.client(wire(fxpInit, 3))
	r.target(wire(fxpVersion, 3))
	r.toTarget.Reset()
	r.toUser.Reset()
	return r
}

func (r *rig) clientErr(p []byte) error {
	return r.tap.Client(p, func(b []byte) error { _, err := r.toTarget.Write(b); return err })
}

func (r *rig) targetErr(p []byte) error {
	return r.tap.Target(p, func(b []byte) error { _, err := r.toUser.Write(b); return err })
}

func (r *rig) client(p []byte) {
	r.t.Helper()
	if err := r.clientErr(p); err != nil {
		r.t.Fatalf("client: %v", err)
	}
}

func (r *rig) target(p []byte) {
	r.t.Helper()
	if err := r.targetErr(p); err != nil {
		r.t.Fatalf("target: %v", err)
	}
}

// refused says that the packet came back with that status and went nowhere.
func (r *rig) refused(what string, code uint32, p []byte) {
	r.t.Helper()
	r.toUser.Reset()
	r.toTarget.Reset()
	r.client(p)
	b := r.toUser.Bytes()
	if r.toTarget.Len() > 0 || len(b) < 13 || b[4] != fxpStatus || binary.BigEndian.Uint32(b[9:]) != code || !bytes.Equal(b[5:9], p[5:9]) {
		r.t.Errorf("%s: target got %x, client %x, wants status %d", what, r.toTarget.Bytes(), b, code)
	}
	r.toUser.Reset()
}

func TestWhatAHostileClientTries(t *testing.T) {
	r := agreed(t, "upload")
	for flags, what := range map[int]string{0: "no flags", openAppend: "append", 8: "create", openTrunc: "truncate", openRead | openWrite: "both", openRead: "read"} {
		r.refused("open with "+what+" reads", fxPermissionDenied, wire(fxpOpen, 1, "/x", flags, 0))
	}
	r.refused("unknown open flag", fxUnsupported, wire(fxpOpen, 1, "/x", openWrite|0x40, 0))
	r.refused("guessed handle", fxFailure, wire(fxpRead, 1, "\x00\x00\x00\x00", uint64(0), 10))
	r.refused("path with a zero byte", fxBadMessage, wire(fxpRemove, 1, "/x\x00y"))
	r.refused("path too long", fxBadMessage, wire(fxpRemove, 1, strings.Repeat("x", maxPath+1)))
	r.refused("more than was said", fxBadMessage, wire(fxpRemove, 1, "/x", "y"))
	r.refused("unknown extension", fxUnsupported, wire(fxpExtended, 1, "run@example.org", "id"))
	r.refused("unknown request", fxUnsupported, wire(21, 1, "/x", "/y"))
	r.refused("attributes unread", fxBadMessage, wire(fxpSetstat, 1, "/x", 0x40))
	r.client(wire(fxpOpen, 7, "/x", openWrite|openTrunc|8, 0))
	r.target(wire(fxpHandle, 7, "h"))
	r.refused("reads what was opened to write", fxFailure, wire(fxpRead, 1, "h", uint64(0), 10))
	r.refused("copies from what was opened to write", fxFailure, wire(fxpExtended, 1, "copy-data", "h", uint64(0), uint64(0), "h", uint64(0)))
	r.refused("offset out of range", fxBadMessage, wire(fxpWrite, 1, "h", ^uint64(0), "x"))
	r.client(wire(fxpClose, 8, "h"))
	r.refused("writes after its close", fxFailure, wire(fxpWrite, 1, "h", uint64(0), "x"))
	if err := r.clientErr(wire(fxpClose, 8, "h")); err == nil {
		t.Error("a number may be used twice")
	}
	d := agreed(t, "download")
	for what, p := range map[string][]byte{
		"write": wire(fxpOpen, 1, "/x", openWrite, 0), "create": wire(fxpOpen, 1, "/x", openRead|8, 0), "truncate": wire(fxpOpen, 1, "/x", openRead|openTrunc, 0),
		"remove": wire(fxpRemove, 1, "/x"), "rmdir": wire(fxpRmdir, 1, "/x"), "mkdir": wire(fxpMkdir, 1, "/x", 0), "rename": wire(fxpRename, 1, "/x", "/y"),
		"symlink": wire(fxpSymlink, 1, "/x", "/y"), "setstat": wire(fxpSetstat, 1, "/x", 0), "posix-rename": wire(fxpExtended, 1, "posix-rename@openssh.com", "/x", "/y"),
		"hardlink": wire(fxpExtended, 1, "hardlink@openssh.com", "/x", "/y"), "lsetstat": wire(fxpExtended, 1, "lsetstat@openssh.com", "/x", 0),
	} {
		d.refused(what+" under download", fxPermissionDenied, p)
	}
	for what, p := range map[string][]byte{"too long": {0xff, 0xff, 0xff, 0xff}, "too short": {0, 0, 0, 4}, "longer than ours": {0, 4, 4, 1}} {
		if err := agreed(t, "upload").clientErr(p); err == nil {
			t.Errorf("a packet %s passes", what)
		}
	}
	raw := newRig(t, "upload", gateway.Channel{Kind: gateway.ChannelSFTP})
	if err := raw.clientErr(wire(fxpOpen, 1, "/x", openWrite, 0)); err == nil {
		t.Error("a request before the greeting passes")
	}
}

func TestWhatALyingTargetTries(t *testing.T) {
	for what, p := range map[string][]byte{
		"an answer nobody asked for": wire(fxpStatus, 99, 0, "", ""), "a handle for a read": wire(fxpHandle, 1, "g"), "more than was asked": wire(fxpData, 1, "12345"),
		"a request": wire(fxpOpen, 1, "/x", 1, 0), "a second greeting": wire(fxpVersion, 3), "a name for a read": wire(fxpName, 1, 0), "half a status": wire(fxpStatus, 1),
		"no number": packet([]byte{0, 0, 0, 0, fxpStatus}), "an empty handle": wire(fxpHandle, 2, ""), "a handle twice": wire(fxpHandle, 2, "h"), "a long handle": wire(fxpHandle, 2, strings.Repeat("h", 257)),
	} {
		r := agreed(t, "download")
		r.client(wire(fxpOpen, 0, "/x", openRead, 0))
		r.target(wire(fxpHandle, 0, "h"))
		r.client(append(wire(fxpRead, 1, "h", uint64(0), 4), wire(fxpOpen, 2, "/y", openRead, 0)...))
		if err := r.targetErr(p); err == nil {
			t.Errorf("%s passes", what)
		}
	}
	r := newRig(t, "download", gateway.Channel{Kind: gateway.ChannelSFTP})
	if err := r.targetErr(wire(fxpVersion, 3)); err == nil {
		t.Error("an answer before the question passes")
	}
	r = newRig(t, "download", gateway.Channel{Kind: gateway.ChannelSFTP})
	r.client(wire(fxpInit, 6, "x", "y"))
	r.target(wire(fxpVersion, 3, "run@example.org", "1", "copy-data", "1"))
	if !bytes.Equal(r.toTarget.Bytes(), wire(fxpInit, 3)) || !bytes.Equal(r.toUser.Bytes(), wire(fxpVersion, 3, "copy-data", "1")) {
		t.Errorf("greeted with %x and %x", r.toTarget.Bytes(), r.toUser.Bytes())
	}
}

// A conversation gives the same bytes and index wherever it is cut, and our
// answers stand between the target's packets.
func TestPacketsCutAnywhere(t *testing.T) {
	ask := bytes.Join([][]byte{wire(fxpWrite, 2, "h", uint64(4), "efgh"), wire(fxpRemove, 3, "\x00"), wire(fxpWrite, 4, "h", uint64(0), "abcd"), wire(fxpClose, 5, "h")}, nil)
	pass := bytes.Join([][]byte{wire(fxpWrite, 2, "h", uint64(4), "efgh"), wire(fxpWrite, 4, "h", uint64(0), "abcd"), wire(fxpClose, 5, "h")}, nil)
	say := bytes.Join([][]byte{wire(fxpStatus, 2, 0, "", ""), wire(fxpStatus, 4, 0, "", ""), wire(fxpStatus, 5, 0, "", "")}, nil)
	for step := 1; step <= len(ask); step++ {
		r := agreed(t, "upload")
		r.client(wire(fxpOpen, 1, "/x", openWrite|openTrunc, 0))
		half := wire(fxpHandle, 1, "h")
		r.target(half[:6])
		if r.toUser.Len() > 0 {
			t.Fatal("half a packet went on")
		}
		r.target(half[6:])
		r.toTarget.Reset()
		for at := 0; at < len(ask); at += step {
			r.client(bytes.Clone(ask[at:min(at+step, len(ask))]))
		}
		for at := 0; at < len(say); at += step {
			r.target(bytes.Clone(say[at:min(at+step, len(say))]))
		}
		if !bytes.Equal(r.toTarget.Bytes(), pass) {
			t.Fatalf("step %d: target got %x", step, r.toTarget.Bytes())
		}
		if f := r.find(t, gateway.FileWrite, "/x"); f.SHA256 != gateway.DigestOf([]byte("abcdefgh")) || !f.Whole || f.Bytes != 8 {
			t.Fatalf("step %d: index has %+v", step, f)
		}
	}
}

func TestWhatIsOpenAtTheEndIsCut(t *testing.T) {
	r := agreed(t, "upload")
	r.client(append(wire(fxpOpen, 1, "/x", openWrite, 0), wire(fxpRemove, 2, "/y")...))
	r.target(wire(fxpHandle, 1, "h"))
	r.client(wire(fxpWrite, 3, "h", uint64(0), "abc"))
	r.tap.Close()
	for _, f := range []gateway.File{r.find(t, gateway.FileWrite, "/x"), r.find(t, gateway.FileRemove, "/y")} {
		if f.Verdict != gateway.FileCut || f.Whole {
			t.Errorf("index has %+v", f)
		}
	}
}

func FuzzSFTP(f *testing.F) {
	f.Add(wire(fxpOpen, 1, "/x", openWrite|openRead, 0), wire(fxpHandle, 1, "h"))
	f.Add(wire(fxpExtended, 1, "copy-data", "h", uint64(0), uint64(0), "h", uint64(0)), wire(fxpStatus, 1, 0, "", ""))
	f.Add(wire(fxpExtended, 1, "limits@openssh.com"), wire(fxpExtendedReply, 1, ^uint64(0), ^uint64(0), ^uint64(0), uint64(0)))
	f.Fuzz(func(t *testing.T, client, target []byte) {
		r := agreed(t, "upload download")
		for len(client) > 0 || len(target) > 0 {
			n, m := min(7, len(client)), min(11, len(target))
			if n > 0 && r.clientErr(client[:n]) != nil || m > 0 && r.targetErr(target[:m]) != nil {
				break
			}
			client, target = client[n:], target[m:]
		}
		r.tap.Close()
		if s := r.tap.(*sftp); s.room != maxAhead || len(s.open) > 0 {
			t.Fatalf("%d bytes and %d files left", maxAhead-s.room, len(s.open))
		}
	})
}
