package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/recording/search"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/web/api"
)

// openSearch opens the index of the recordings, a file of its own: all that is
// in it can be derived again, so no backup needs it.
func (r *rooms) openSearch() (err error) {
	r.search, err = search.Open(filepath.Join(r.cfg.Data, "search.db"), r.recordings, r.log)
	if err != nil {
		return fmt.Errorf("open the search index: %w", err)
	}
	r.closers = append(r.closers, r.search.Close)
	return nil
}

// indexed are recorders whose recordings are indexed when they are sealed.
type indexed struct {
	session.Recorders
	index *search.Index
}

func (x indexed) Start(ctx context.Context, m recording.Meta) (session.Recorder, error) {
	r, err := x.Recorders.Start(ctx, m)
	if err != nil {
		return nil, err
	}
	return indexedRecorder{r, x.index, m.Session}, nil
}

type indexedRecorder struct {
	session.Recorder
	index   *search.Index
	session string
}

// Seal hands the recording over to the index, which does not hold it up.
func (r indexedRecorder) Seal(reason gateway.EndReason) (recording.Sealed, error) {
	defer r.index.Ended(r.session)
	return r.Recorder.Seal(reason)
}

func (s shownRecordings) Search(ctx context.Context, q api.RecordingQuery) (api.Hits, error) {
	in := search.Query{
		Text: q.Text, Vendor: q.Vendor, Person: q.Person, Target: q.Target, Session: q.Session,
		From: q.From, To: q.To, Before: q.Before, Limit: q.Limit,
	}
	for _, k := range q.Kinds {
		in.Kinds = append(in.Kinds, search.Kind(k))
	}
	a, err := s.index.Search(ctx, in)
	out := api.Hits{Items: make([]api.Hit, len(a.Hits)), Next: a.Next, Waiting: a.Waiting, Cut: a.Cut}
	for i, h := range a.Hits {
		out.Items[i] = api.Hit{Session: h.Session, At: h.At, Kind: string(h.Kind), Line: h.Line, Place: h.Place}
	}
	return out, err
}
