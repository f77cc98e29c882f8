package main

import (
	"context"

	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/web/api"
)

// Index is the vault's index as the API shows it.
func (s shownRecordings) Index(ctx context.Context, id string) (api.Index, error) {
	x, err := s.v.Index(ctx, id)
	return api.Index{
		Channels: each(x.Channels, func(c recording.IndexChannel) api.IndexChannel { return api.IndexChannel(c) }),
		Files:    each(x.Files, func(f recording.IndexFile) api.IndexFile { return api.IndexFile(f) }),
		Flows:    each(x.Flows, func(f recording.IndexFlow) api.IndexFlow { return api.IndexFlow(f) }),
		Notes:    each(x.Notes, func(n recording.IndexNote) api.IndexNote { return api.IndexNote(n) }),
		Cut:      x.Cut,
	}, err
}

func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}
