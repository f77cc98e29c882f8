package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// coming is what a file will have made by the time a later entry of it is
// written: true for what it admits, false for what it removes. Keys are
// subjects, "vendor:acme"; people count only as staff.
type coming map[string]bool

// referPerson holds a person's vendor to one that exists.
func (d *Directory) referPerson(ctx context.Context, b *statement.PersonAdmit, c coming) error {
	if b.Vendor == "" || b.Removed {
		return nil
	}
	if err := d.referVendor(ctx, b.Vendor, c); err != nil || b.Service == nil {
		return err
	}
	return d.referOwner(ctx, b, c)
}

// referTarget holds a target's vendors and owner to those that exist.
func (d *Directory) referTarget(ctx context.Context, b *statement.TargetDefine, c coming) error {
	if b.Removed {
		return nil
	}
	if b.Version == 1 && b.Kind_ == gateway.KindHTTPS && strings.HasPrefix(b.Name, gateway.ServicePrefix) {
		return gateway.Invalid("target", "the name of a console does not begin with %s: service accounts reach console NAME at %sNAME", gateway.ServicePrefix, gateway.ServicePrefix)
	}
	for i, v := range b.Vendors {
		if slices.Contains(b.Vendors[:i], v) {
			return gateway.Invalid("vendors", "vendor %s stands twice in target %s", v, b.Name)
		}
		if err := d.referVendor(ctx, v, c); err != nil {
			return err
		}
	}
	if b.Owner == "" {
		return nil
	}
	staff, known := c["person:"+b.Owner]
	if !known {
		p, exists, err := d.personHead(ctx, b.Owner)
		if err != nil {
			return err
		}
		staff = exists && !p.Removed && p.Vendor == ""
	}
	if !staff {
		return gateway.Invalid("owner", "owner %s is not a person of the staff; admit the person first", gateway.Quote(b.Owner))
	}
	return nil
}

func (d *Directory) referVendor(ctx context.Context, name string, c coming) error {
	exists, known := c["vendor:"+name]
	if !known {
		v, on, err := d.vendorHead(ctx, name)
		if err != nil {
			return err
		}
		exists = on && !v.Removed
	}
	if !exists {
		return gateway.Invalid("vendor", "vendor %s is not admitted; admit it first", gateway.Quote(name))
	}
	return nil
}
