package api

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// Index is what happened in a recording, each list in the order of time. It
// holds commands and paths as the client sent them, and nothing that was typed.
type Index struct {
	Channels []IndexChannel `json:"channels"`
	Files    []IndexFile    `json:"files"`
	Flows    []IndexFlow    `json:"flows"`
	Notes    []IndexNote    `json:"notes"`
	Cut      bool           `json:"cut,omitempty"` // there is more than an index holds
}

// IndexChannel is one channel: a shell, a command, a transfer, a forward.
type IndexChannel struct {
	At       time.Duration       `json:"at_ns"`
	Channel  uint32              `json:"channel"`
	Kind     gateway.ChannelKind `json:"kind"`
	Command  string              `json:"command,omitempty"`
	To       string              `json:"to,omitempty"`
	Pty      bool                `json:"pty,omitempty"`
	Ended    time.Duration       `json:"ended_ns,omitempty"` // zero: it has not, or nobody knows when
	Status   *uint32             `json:"status,omitempty"`
	Signal   string              `json:"signal,omitempty"`
	BytesOut int64               `json:"bytes_out"`
	BytesIn  int64               `json:"bytes_in"`
}

// IndexFile is one operation of a file transfer.
type IndexFile struct {
	At      time.Duration `json:"at_ns"`
	Channel uint32        `json:"channel"`
	gateway.File
}

// IndexFlow is one forwarded connection, as it was last told.
type IndexFlow struct {
	At      time.Duration `json:"at_ns"`
	Channel uint32        `json:"channel"`
	gateway.Flow
}

// IndexNote is a warning, a freeze, a watcher.
type IndexNote struct {
	At   time.Duration `json:"at_ns"`
	Text string        `json:"text"`
}

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
