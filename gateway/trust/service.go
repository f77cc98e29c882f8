package trust

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Service returns a service account that may act now: admitted, active, of an
// active vendor, with a key of the present epochs. gateway.CodeNotFound if there
// is none of that name.
func (c *Chain) Service(ctx context.Context, name string) (gateway.Person, error) {
	w := c.walk(ctx)
	p, err := w.person(name)
	if err != nil {
		return gateway.Person{}, missing(err, "service account", name)
	}
	if p.row.Service == nil {
		return gateway.Person{}, gateway.NotFound("service account", name)
	}
	epochs, err := w.active(p)
	if err != nil {
		return gateway.Person{}, err
	}
	if p.row.Service.Epochs != epochs || p.history.oldKey(*p.row.Service) {
		return gateway.Person{}, gateway.Refused(Rule, "have an administrator enrol another key for it", "the key of service account %s is from before a suspension", gateway.Quote(name))
	}
	if err := w.settle(); err != nil {
		return gateway.Person{}, err
	}
	return p.row, nil
}

// oldKey reports whether the key of a service account was enrolled in other
// epochs before: what may have been copied before a suspension is not enrolled
// again after it.
func (h history) oldKey(now gateway.Service) bool {
	for _, f := range h {
		if b, ok := f.body.(*statement.PersonAdmit); ok && b.Service != nil && b.Service.Pin() == now.Pin() && b.Service.Epochs != now.Epochs {
			return true
		}
	}
	return false
}
