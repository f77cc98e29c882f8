package webtest

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
)

// Others are the other nodes of a cluster, each as what answers there; nil is
// one that does not answer.
type Others map[string]http.Handler

type asked struct{}

// Others implements api.Nodes.
func (o Others) Others(ctx context.Context) []string {
	if ctx.Value(asked{}) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(o))
}

// Ask implements api.Nodes.
func (o Others) Ask(ctx context.Context, node, path string) ([]byte, error) {
	if o[node] == nil {
		return nil, errors.New("no route to host")
	}
	r, err := http.NewRequestWithContext(context.WithValue(ctx, asked{}, true), http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	o[node].ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return nil, errors.New(w.Result().Status)
	}
	return w.Body.Bytes(), nil
}
