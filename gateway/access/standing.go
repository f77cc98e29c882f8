package access

import (
	"context"
	"slices"

	"github.com/portcullis/portcullis/gateway"
)

// Standing is a person's grant whose window is open now, verified as for the
// opening of a session. Somebody else's grant is as unknown as none.
func (s *Service) Standing(ctx context.Context, p gateway.Person, id string) (gateway.Grant, error) {
	e, err := s.entitled(ctx, id)
	switch {
	case err != nil:
		return gateway.Grant{}, err
	case e.grant.Person != p.Name:
		return gateway.Grant{}, gateway.NotFound("grant", id)
	}
	return e.grant, nil
}

// Longest is the one of a person's open grants whose window ends last. The
// refusal of the best that does not hold is the answer where none holds.
func (s *Service) Longest(ctx context.Context, p gateway.Person) (gateway.Grant, error) {
	list, err := s.Grants(ctx, Filter{Person: p.Name, States: []string{string(gateway.GrantPlanned), string(gateway.GrantOpen)}, Limit: MaxPage})
	if err != nil {
		return gateway.Grant{}, err
	}
	now := s.clock.now()
	list = slices.DeleteFunc(list, func(g gateway.Grant) bool { return now.Before(g.From) || !now.Before(g.To) })
	slices.SortFunc(list, func(a, b gateway.Grant) int { return b.To.Compare(a.To) })
	no := error(gateway.Refused("no-grant", "ask for one in the browser and wait until its window opens", "none of your grants is open now, so there is nothing to sign in for"))
	for i, g := range list {
		best, err := s.Standing(ctx, p, g.ID)
		if err == nil {
			return best, nil
		}
		if i == 0 {
			no = err
		}
	}
	return gateway.Grant{}, no
}
