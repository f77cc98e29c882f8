package access

import (
	"context"
	"errors"

	"github.com/portcullis/portcullis/gateway"
)

// Card is all that belongs to one request.
type Card struct {
	Request   gateway.Request    `json:"request"`
	Approvals []gateway.Approval `json:"approvals"`
	Grant     *gateway.Grant     `json:"grant,omitempty"`
}

// Request reads a card from the rows. It shows; it entitles to nothing.
func (s *Service) Request(ctx context.Context, id string) (Card, error) {
	r, err := s.store.Request(ctx, id)
	if err != nil {
		return Card{}, notFound(err, "request", id)
	}
	card := Card{Request: r}
	if card.Approvals, err = s.store.Approvals(ctx, id); err != nil {
		return Card{}, err
	}
	g, err := s.store.GrantOf(ctx, id)
	switch {
	case err == nil:
		card.Grant = &g
	case !errors.Is(err, gateway.ErrNotFound):
		return Card{}, err
	}
	return card, nil
}

// Requests lists rows, newest first.
func (s *Service) Requests(ctx context.Context, f Filter) ([]gateway.Request, error) {
	return s.store.Requests(ctx, f)
}

// Grants lists rows, newest first.
func (s *Service) Grants(ctx context.Context, f Filter) ([]gateway.Grant, error) {
	return s.store.Grants(ctx, f)
}

// Grant reads one row.
func (s *Service) Grant(ctx context.Context, id string) (gateway.Grant, error) {
	g, err := s.store.Grant(ctx, id)
	return g, notFound(err, "grant", id)
}
