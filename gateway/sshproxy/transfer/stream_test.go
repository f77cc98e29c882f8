package transfer

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

type oneFile struct{ f gateway.File }

func (*oneFile) Judge(gateway.FileOp) error { return nil }
func (o *oneFile) File(f gateway.File)      { o.f = f }

// Bytes that were not passed on are not told of as moved, in either direction.
func TestStreamCountsWhatPassed(t *testing.T) {
	for name, ch := range map[string]gateway.Channel{
		"up":   {Kind: gateway.ChannelGit, Command: "git-receive-pack 'r'", Upload: true},
		"down": {Kind: gateway.ChannelGit, Command: "git-upload-pack 'r'", Download: true},
	} {
		t.Run(name, func(t *testing.T) {
			var told oneFile
			tap := New(ch, &told, func([]byte) error { return nil })
			way, other := tap.Client, tap.Target
			if ch.Download {
				way, other = other, way
			}
			gone := errors.New("gone")
			if err := other([]byte("hello"), func([]byte) error { return nil }); err != nil {
				t.Error(err)
			}
			if err := way([]byte("whole"), func([]byte) error { return nil }); err != nil {
				t.Error(err)
			}
			if err := way([]byte("never"), func([]byte) error { return gone }); !errors.Is(err, gone) {
				t.Errorf("answered %v", err)
			}
			tap.Close()
			if told.f.Bytes != 5 || told.f.SHA256 != sha256.Sum256([]byte("whole")) || told.f.Verdict != gateway.FileCut {
				t.Errorf("told of %+v", told.f)
			}
		})
	}
}
