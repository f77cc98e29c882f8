package api

import (
	"context"
	"mime"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
)

// file hands a reviewer the bytes of a file that was transferred. What the
// target sent is shown output; what the engineer sent is input, which fewer may
// read, and each is an event before the first byte. The path stands in the
// recording alone: the event has the sum.
func (s *Server) file(c call) (any, error) {
	x, err := s.reach(c, Review)
	if err != nil {
		return nil, err
	}
	f, err := s.moved(c.Context(), x.ID, c.PathValue("channel"), c.PathValue("sha256"))
	if err != nil {
		return nil, err
	}
	name := audit.RecordingWatched
	if f.Op == gateway.FileWrite {
		if err := s.may(c, ReadInput, "recording:"+x.ID); err != nil {
			return nil, err
		}
		name = audit.InputRead
	}
	if err := s.looked(c.Context(), c, x, name, map[string]string{"part": "file", "channel": strconv.FormatUint(uint64(f.Channel), 10), "sha256": f.SHA256.String()}); err != nil {
		return nil, err
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": nameOf(f)}))
	h.Set("Content-Length", strconv.FormatInt(f.Bytes, 10)) // so that a file that is cut off is seen to be
	return nil, s.cfg.Recordings.File(c.Context(), c.w, x.ID, f.Channel, f.SHA256)
}

// moved finds the line of the index.
func (s *Server) moved(ctx context.Context, session, channel, sum string) (recording.IndexFile, error) {
	d, err := gateway.ParseDigest(sum)
	n, numErr := strconv.ParseUint(channel, 10, 32)
	if err != nil || numErr != nil || d.IsZero() {
		return recording.IndexFile{}, gateway.Invalid("file", "a file is named by its channel and its SHA-256, as the index has them")
	}
	all, err := s.cfg.Recordings.Index(ctx, session)
	if err != nil {
		return recording.IndexFile{}, err
	}
	// The same bytes may have gone both ways: then the stricter line holds.
	found := -1
	for i, f := range all.Files {
		if uint64(f.Channel) == n && f.SHA256.Equal(d) && (found < 0 || f.Op == gateway.FileWrite) {
			found = i
		}
	}
	if found < 0 {
		return recording.IndexFile{}, gateway.NotFound("file", sum)
	}
	return all.Files[found], nil
}

// nameOf is a name under which no browser keeps a file anywhere else, or takes
// it for a hidden one or a program's.
func nameOf(f recording.IndexFile) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || slices.Contains([]rune(`/\\:*?"<>|`), r) {
			return '_'
		}
		return r
	}, path.Base(f.Path))
	return f.SHA256.Short() + "-" + strings.TrimLeft(name, ".") + ".bin"
}
