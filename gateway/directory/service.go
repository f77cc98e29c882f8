package directory

import (
	"context"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// readService reads a service account: the admission of a person without one.
func readService(n *yaml.Node) (item, error) {
	s := &gateway.Service{}
	b := &statement.PersonAdmit{Roles: []gateway.Role{gateway.ServiceAccount}, Service: s}
	err := mapping(n, "a service account", map[string]field{
		"name": into("name", &b.Name), "title": into("title", &b.Title), "vendor": into("vendor", &b.Vendor), "owner": into("owner", &s.Owner),
		"key": func(n *yaml.Node) error {
			err := text(n, "key", &s.Key)
			s.Key = gateway.SpellServiceKey(s.Key)
			return err
		},
		"networks": func(n *yaml.Node) error {
			return texts(n, "networks", func(n *yaml.Node, text string) error {
				p, err := parseNetwork(text)
				if err != nil {
					return lined(n.Line, err)
				}
				s.Networks = append(s.Networks, p)
				return nil
			})
		},
		"removed": func(n *yaml.Node) error { return truth(n, "removed", &b.Removed) },
	})
	return item{kind: "service", name: b.Name, body: b}, err
}

// stays refuses what no statement can change of a person.
func stays(exists bool, head, b *statement.PersonAdmit) error {
	switch {
	case !exists:
		return nil
	case head.Vendor != b.Vendor:
		return gateway.Invalid("vendor", "%s belongs to one vendor (or the staff) for good; admit the person there under another name", b.Name)
	case (head.Service == nil) != (b.Service == nil):
		return gateway.Invalid("person", "%s is a person or a service account for good; choose another name", b.Name)
	}
	return nil
}

// enrolled fills in the epochs of a service account's key: those of now for a
// new key, and those that it has for one that stays. So a key from before a
// suspension stays dead, however often the same file is applied.
func (d *Directory) enrolled(ctx context.Context, b *statement.PersonAdmit, exists bool, head *statement.PersonAdmit, c coming) error {
	if b.Service == nil || b.Removed {
		return nil
	}
	s := *b.Service // not the caller's
	s.Key = gateway.SpellServiceKey(s.Key)
	b.Service = &s
	if exists && head.Service.Pin() == s.Pin() {
		s.Epochs = head.Service.Epochs
		return nil
	}
	s.Epochs = gateway.Epochs{Vendor: 1, Person: 1}
	switch v, err := d.chain.Vendor(ctx, b.Vendor); {
	case err == nil:
		s.Epochs.Vendor = v.Epoch
	case !gateway.IsCode(err, gateway.CodeNotFound): // one that is to come is refused by referPerson, or begins at epoch 1
		return err
	}
	if exists {
		p, err := d.chain.Person(ctx, b.Name)
		if err != nil {
			return err
		}
		s.Epochs.Person = p.Epoch
	}
	return d.keyFree(ctx, b)
}

// keyFree refuses a key that another service account has: it would be two.
func (d *Directory) keyFree(ctx context.Context, b *statement.PersonAdmit) error {
	list, err := d.Services(ctx)
	if err != nil {
		return err
	}
	pin := b.Service.Pin()
	if i := slices.IndexFunc(list, func(p gateway.Person) bool {
		return p.Name != b.Name && p.State != gateway.Removed && p.Service.Pin() == pin && pin != ""
	}); i >= 0 {
		return gateway.Invalid("key", "this is the key of service account %s already; each has one of its own", list[i].Name)
	}
	return nil
}

// enrolledStill holds a signed admission to what would be drawn up now.
func (d *Directory) enrolledStill(ctx context.Context, b *statement.PersonAdmit, exists bool, head *statement.PersonAdmit) error {
	now := *b
	if err := d.enrolled(ctx, &now, exists, head, nil); err != nil {
		return err
	}
	if b.Service != nil && now.Service.Epochs != b.Service.Epochs {
		return overtaken(b.Subject())
	}
	return nil
}

// referOwner holds the owner of a service account to a person who can answer
// for it: of its vendor, or of the staff.
func (d *Directory) referOwner(ctx context.Context, b *statement.PersonAdmit, c coming) error {
	owner := b.Service.Owner
	if c["person:"+owner] || c[ofVendor(owner, b.Vendor)] {
		return nil
	}
	p, exists, err := d.personHead(ctx, owner)
	if err != nil {
		return err
	}
	if !exists || p.Removed || p.Service != nil || p.Vendor != "" && p.Vendor != b.Vendor {
		return gateway.Invalid("owner", "owner %s is not a person of vendor %s or of the staff; admit the person first", gateway.Quote(owner), b.Vendor)
	}
	return nil
}

// ofVendor is the key of a vendor's person in coming.
func ofVendor(person, vendor string) string { return "person:" + person + " of " + vendor }
