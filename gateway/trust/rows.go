package trust

import (
	"errors"
	"reflect"
	"slices"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// vendor is a vendor's row with what stands behind it.
type vendor struct {
	row     gateway.Vendor
	history history
	life    life
}

// person is a person's row with what stands behind it.
type person struct {
	row     gateway.Person
	history history
	life    life
}

// attempts is how often a row is read again when it and its statements do not
// agree: they are two reads, and a change may have come in between.
const attempts = 3

// vendor reads a vendor's row and holds it to its statements, once a walk.
// gateway.ErrNotFound if there is no row.
func (w *walk) vendor(name string) (*vendor, error) {
	if v := w.vendors[name]; v != nil {
		return v, nil
	}
	for i := 1; ; i++ {
		v, err := w.readVendor(name)
		if err == nil {
			w.vendors[name] = v
			return v, nil
		}
		if i == attempts || !gateway.IsCode(err, gateway.CodeRefused) {
			return nil, err
		}
	}
}

func (w *walk) readVendor(name string) (*vendor, error) {
	row, err := w.store.Vendor(w.ctx, name)
	if err != nil {
		return nil, notFoundOr(err)
	}
	v := &vendor{row: row}
	if v.history, err = w.history("vendor:"+name, row.Statement, row.Version); err != nil {
		return nil, err
	}
	if v.life, err = w.live(gateway.Scope{Kind: gateway.ScopeVendor, Name: name}); err != nil {
		return nil, err
	}
	b, _ := v.history[len(v.history)-1].body.(*statement.VendorAdmit)
	field := differs(
		diff{"name", row.Name == b.Name && row.Name == name}, diff{"title", row.Title == b.Title},
		diff{"networks", slices.Equal(row.Networks, b.Networks)}, diff{"contact", row.Contact == b.Contact},
		diff{"contract", row.Contract == b.Contract},
	)
	if field == "" {
		v.row.State, field = stand(row.State, row.Epoch, v.life, b.Removed)
	}
	if field != "" {
		return nil, broken("the row of vendor %s was changed: its %s is not what was signed", gateway.Quote(name), field)
	}
	w.seen("vendor:"+name, row.Version)
	w.seen("vendor-epoch:"+name, row.Epoch)
	return v, nil
}

// person reads a person's row and holds it to its statements, once a walk.
func (w *walk) person(name string) (*person, error) {
	if p := w.people[name]; p != nil {
		return p, nil
	}
	for i := 1; ; i++ {
		p, err := w.readPerson(name)
		if err == nil {
			w.people[name] = p
			return p, nil
		}
		if i == attempts || !gateway.IsCode(err, gateway.CodeRefused) {
			return nil, err
		}
	}
}

func (w *walk) readPerson(name string) (*person, error) {
	row, err := w.store.Person(w.ctx, name)
	if err != nil {
		return nil, notFoundOr(err)
	}
	p := &person{row: row}
	if p.history, err = w.history("person:"+name, row.Statement, row.Version); err != nil {
		return nil, err
	}
	if p.life, err = w.live(gateway.Scope{Kind: gateway.ScopePerson, Name: name}); err != nil {
		return nil, err
	}
	b, _ := p.history[len(p.history)-1].body.(*statement.PersonAdmit)
	field := differs(
		diff{"name", row.Name == b.Name && row.Name == name}, diff{"title", row.Title == b.Title}, diff{"email", row.Email == b.Email},
		diff{"vendor", row.Vendor == b.Vendor}, diff{"roles", slices.Equal(row.Roles, b.Roles)},
		diff{"service account", reflect.DeepEqual(row.Service, b.Service)},
	)
	if field == "" {
		p.row.State, field = stand(row.State, row.Epoch, p.life, b.Removed)
	}
	if field != "" {
		return nil, broken("the row of person %s was changed: its %s is not what was signed", gateway.Quote(name), field)
	}
	w.seen("person:"+name, row.Version)
	w.seen("person-epoch:"+name, row.Epoch)
	return p, nil
}

// target reads a target's row and holds it to its statements.
func (w *walk) target(name string) (gateway.Target, error) {
	row, err := w.store.Target(w.ctx, name)
	if err != nil {
		return row, notFoundOr(err)
	}
	h, err := w.history("target:"+name, row.Statement, row.Version)
	if err != nil {
		return row, err
	}
	b, _ := h[len(h)-1].body.(*statement.TargetDefine)
	field := differs(
		diff{"name", row.Name == b.Name && row.Name == name}, diff{"title", row.Title == b.Title}, diff{"kind", row.Kind == b.Kind_},
		diff{"address", row.Address == b.Address}, diff{"zone", row.Zone == b.Zone}, diff{"impact", row.Impact == b.Impact},
		diff{"owner", row.Owner == b.Owner}, diff{"vendors", slices.Equal(row.Vendors, b.Vendors)},
		diff{"host keys", slices.Equal(row.HostKeys, b.HostKeys)}, diff{"accounts", reflect.DeepEqual(row.Accounts, b.Accounts)}, diff{"legacy algorithms", slices.Equal(row.Legacy, b.Legacy)},
		diff{"trust in its certificate", reflect.DeepEqual(row.HTTPS, b.HTTPS)}, diff{"network", reflect.DeepEqual(row.Network, b.Network)},
		diff{"removal", row.Removed == b.Removed},
	)
	if field != "" {
		return row, broken("the row of target %s was changed: its %s is not what was signed", gateway.Quote(name), field)
	}
	w.seen("target:"+name, row.Version)
	return row, nil
}

// stand holds a row's state and epoch to its life. A removed record may show
// either state in its row; what is answered is removed.
func stand(state gateway.State, epoch uint64, l life, removed bool) (gateway.State, string) {
	if epoch != l.now().epoch {
		return state, "epoch"
	}
	if removed && (state == gateway.Removed || state == l.now().state) {
		return gateway.Removed, ""
	}
	if state != l.now().state {
		return state, "state"
	}
	return state, ""
}

// diff is one field of a row and whether it is what its statement says.
type diff struct {
	field string
	same  bool
}

// differs names the first field that is not the same.
func differs(list ...diff) string {
	for _, d := range list {
		if !d.same {
			return d.field
		}
	}
	return ""
}

// notFoundOr lets a missing row be told from an outage.
func notFoundOr(err error) error {
	if errors.Is(err, gateway.ErrNotFound) {
		return err
	}
	return storeError(err)
}
