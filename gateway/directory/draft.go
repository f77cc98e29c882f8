package directory

import (
	"context"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// DraftVendor draws up an admission, a change or (with Removed) a removal of
// a vendor: version and previous are filled in, and for a removal everything
// but the name. It refuses what changes nothing, what does not read, and what
// comes after a removal.
func (d *Directory) DraftVendor(ctx context.Context, b statement.VendorAdmit) (*statement.VendorAdmit, error) {
	head, exists, err := d.vendorHead(ctx, b.Name)
	if err != nil {
		return nil, err
	}
	if b.Removed {
		if !exists {
			return nil, gateway.NotFound("vendor", b.Name)
		}
		b = head
		b.Removed = true
	}
	if err := next(exists, head.Removed, "vendor", b.Name, &b.Version, head.Version); err != nil {
		return nil, err
	}
	b.Previous = head.Previous
	if exists && !b.Removed && len(compare(&head, &b)) == 0 {
		return nil, unchanged("vendor", b.Name)
	}
	return &b, d.checkVendor(&b)
}

// DraftPerson is DraftVendor for a person.
func (d *Directory) DraftPerson(ctx context.Context, b statement.PersonAdmit) (*statement.PersonAdmit, error) {
	head, exists, err := d.personHead(ctx, b.Name)
	if err != nil {
		return nil, err
	}
	if b.Removed {
		if !exists {
			return nil, gateway.NotFound("person", b.Name)
		}
		b = head
		b.Removed = true
	}
	if err := next(exists, head.Removed, "person", b.Name, &b.Version, head.Version); err != nil {
		return nil, err
	}
	b.Previous = head.Previous
	if err := stays(exists, &head, &b); err != nil {
		return nil, err
	}
	if err := d.enrolled(ctx, &b, exists, &head, nil); err != nil {
		return nil, err
	}
	if exists && !b.Removed && len(compare(&head, &b)) == 0 {
		return nil, unchanged("person", b.Name)
	}
	if err := b.Check(); err != nil {
		return nil, err
	}
	return &b, d.referPerson(ctx, &b, nil)
}

// DraftTarget is DraftVendor for a target.
func (d *Directory) DraftTarget(ctx context.Context, b statement.TargetDefine) (*statement.TargetDefine, error) {
	head, exists, err := d.targetHead(ctx, b.Name)
	if err != nil {
		return nil, err
	}
	if b.Removed {
		if !exists {
			return nil, gateway.NotFound("target", b.Name)
		}
		b = head
		b.Removed = true
	}
	if err := next(exists, head.Removed, "target", b.Name, &b.Version, head.Version); err != nil {
		return nil, err
	}
	b.Previous = head.Previous
	if exists && !b.Removed && len(compare(&head, &b)) == 0 {
		return nil, unchanged("target", b.Name)
	}
	if err := b.Check(); err != nil {
		return nil, err
	}
	return &b, d.referTarget(ctx, &b, nil)
}

// next fills in the version that follows.
func next(exists, removed bool, what, name string, version *uint64, head uint64) error {
	if exists && removed {
		return gateway.Conflict(what, "%s %s was removed for good; choose another name", what, name)
	}
	*version = head + 1
	return nil
}

func unchanged(what, name string) error {
	return gateway.Conflict(what, "%s %s is like that already; nothing changes", what, name)
}

// vendorHead is the verified present admission, with Previous set to its own
// digest so that a copy of it is the next version's start.
func (d *Directory) vendorHead(ctx context.Context, name string) (statement.VendorAdmit, bool, error) {
	if err := gateway.CheckName("vendor", name); err != nil {
		return statement.VendorAdmit{}, false, err
	}
	v, err := d.chain.Vendor(ctx, name)
	if gateway.IsCode(err, gateway.CodeNotFound) {
		return statement.VendorAdmit{}, false, nil
	}
	return statement.VendorAdmit{
		Name: v.Name, Title: v.Title, Networks: v.Networks, Contact: v.Contact, Contract: v.Contract,
		Version: v.Version, Previous: v.Statement, Removed: v.State == gateway.Removed,
	}, true, err
}

func (d *Directory) personHead(ctx context.Context, name string) (statement.PersonAdmit, bool, error) {
	if err := gateway.CheckName("person", name); err != nil {
		return statement.PersonAdmit{}, false, err
	}
	p, err := d.chain.Person(ctx, name)
	if gateway.IsCode(err, gateway.CodeNotFound) {
		return statement.PersonAdmit{}, false, nil
	}
	return statement.PersonAdmit{
		Name: p.Name, Title: p.Title, Email: p.Email, Vendor: p.Vendor, Roles: p.Roles, Service: p.Service,
		Version: p.Version, Previous: p.Statement, Removed: p.State == gateway.Removed,
	}, true, err
}

func (d *Directory) targetHead(ctx context.Context, name string) (statement.TargetDefine, bool, error) {
	if err := gateway.CheckName("target", name); err != nil {
		return statement.TargetDefine{}, false, err
	}
	t, err := d.chain.Target(ctx, name)
	if gateway.IsCode(err, gateway.CodeNotFound) {
		return statement.TargetDefine{}, false, nil
	}
	return statement.TargetDefine{
		Name: t.Name, Title: t.Title, Kind_: t.Kind, Address: t.Address, Zone: t.Zone, Impact: t.Impact, Owner: t.Owner,
		Vendors: t.Vendors, HostKeys: t.HostKeys, Accounts: t.Accounts, Legacy: t.Legacy, HTTPS: t.HTTPS, Network: t.Network, Version: t.Version, Previous: t.Statement, Removed: t.Removed,
	}, true, err
}

// checkVendor holds an admission to its grammar, and its networks to one
// spelling each.
func (d *Directory) checkVendor(b *statement.VendorAdmit) error {
	if err := b.Check(); err != nil {
		return err
	}
	for i, n := range b.Networks {
		switch {
		case !n.IsValid() || n.Addr().Is4In6() || n.Addr().Zone() != "":
			return gateway.Invalid("networks", "network %d of vendor %s is not an address range such as 192.0.2.0/24", i+1, b.Name)
		case n != n.Masked():
			return gateway.Invalid("networks", "network %s has bits beyond its length; write %s", n, n.Masked())
		case slices.Contains(b.Networks[:i], n):
			return gateway.Invalid("networks", "network %s stands twice", n)
		}
	}
	return nil
}

// parseNetwork reads a range, or one address as the range of itself.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, gateway.Invalid("networks", "network %s is not an address range such as 192.0.2.0/24", gateway.Quote(s))
	}
	return p, nil
}
