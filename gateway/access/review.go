package access

import (
	"context"
	"errors"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/trust"
)

// Review looks once more at what stands behind a grant, for somebody may be
// live under it, and closes it where that does not hold any more: an approver
// was removed or lost the role, the engineer lost theirs, the target was taken
// from the vendor. What a suspension forbids is left to the kill switch, some
// of whose modes leave what is live alone, and so is a target that was only
// described anew. An error means that nobody knows, and nothing was closed.
func (s *Service) Review(ctx context.Context, id string) (gateway.Grant, error) {
	g, err := s.store.Grant(ctx, id)
	if err != nil {
		return g, notFound(err, "grant", id)
	}
	if g.State == gateway.GrantClosed {
		return g, nil
	}
	_, err = s.derive(ctx, g)
	no, err := voids(err)
	if no == nil {
		return g, err
	}
	return s.closeGrant(ctx, id, gateway.EndNotGranted, "gateway", no.Text, func(gateway.Grant) error { return nil })
}

// voids tells the refusal that ends a grant for good from what is somebody
// else's to act upon, and from an outage.
func voids(err error) (no *gateway.Error, outage error) {
	if !errors.As(err, &no) || no.Code != gateway.CodeRefused {
		return nil, err
	}
	switch no.Rule {
	case trust.Shut, errSuspended().Rule, errEpoch().Rule, ruleChanged:
		return nil, nil
	}
	return no, nil
}
