package api

import (
	"context"

	"github.com/portcullis/portcullis/gateway/audit"
)

// Indexer answers what happened in a recording, of a live one up to now.
type Indexer interface {
	Index(ctx context.Context, session string) (Index, error)
}

// index is as much of a look as playing is: it holds commands and paths.
func (s *Server) index(c call) (any, error) {
	x, err := s.reach(c, Review)
	if err != nil {
		return nil, err
	}
	if err := s.looked(c.Context(), c, x, audit.RecordingWatched, map[string]string{"part": "index"}); err != nil {
		return nil, err
	}
	return s.cfg.Recordings.Index(c.Context(), x.ID)
}
