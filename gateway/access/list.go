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
	// Extends is the grant of the same person, target and account whose window
	// ends at the moment in which the window asked for begins.
	Extends *gateway.Grant `json:"extends,omitempty"`
}

// maxBefore bounds the grants that are looked through for one that a request
// extends.
const maxBefore = 200

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
	card.Extends, err = s.extended(ctx, r)
	return card, err
}

// extended finds what a request goes on from. It is read from the windows and
// told by nobody: an asker cannot claim it, and cannot leave it out.
func (s *Service) extended(ctx context.Context, r gateway.Request) (*gateway.Grant, error) {
	if r.Terms.From.IsZero() {
		return nil, nil
	}
	held, err := s.store.Grants(ctx, Filter{Person: r.Person, Target: r.Target, Limit: maxBefore})
	if err != nil {
		return nil, err
	}
	for _, g := range held {
		cut := g.State == gateway.GrantClosed && g.Why != gateway.EndWindow
		if g.Account == r.Account && g.To.Equal(r.Terms.From) && !cut {
			return &g, nil
		}
	}
	return nil, nil
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
