package directory

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// item is one entry of a file: a body without version and previous, and where
// it stands.
type item struct {
	kind string // "vendor", "person", "service", "target"
	name string
	line int
	body statement.Body
}

// readFile reads a file into its entries: vendors, people, services, targets,
// each in the file's order. Two entries of one kind and name are an error.
func readFile(file []byte) ([]item, error) {
	root, err := loadTree(file)
	if err != nil {
		return nil, err
	}
	var vendors, people, services, targets []item
	if err := mapping(root, "the file", map[string]field{
		"vendors":  entries(&vendors, readVendor),
		"people":   entries(&people, readPerson),
		"services": entries(&services, readService),
		"targets":  entries(&targets, readTarget),
	}); err != nil {
		return nil, err
	}
	all := slices.Concat(vendors, people, services, targets)
	first := make(map[string]int)
	for _, e := range all {
		key := strings.Replace(e.body.Subject(), ":", " ", 1) // a person and a service account share their names
		if err := gateway.CheckName(e.kind, e.name); err != nil {
			return nil, lined(e.line, err)
		}
		if line, twice := first[key]; twice {
			return nil, lined(e.line, gateway.Invalid("file", "%s stands twice, first on line %d", key, line))
		}
		first[key] = e.line
	}
	return all, nil
}

func entries(to *[]item, read func(*yaml.Node) (item, error)) field {
	return func(n *yaml.Node) error {
		return sequence(n, "this", func(n *yaml.Node) error {
			e, err := read(n)
			e.line = n.Line
			*to = append(*to, e)
			return err
		})
	}
}

func readVendor(n *yaml.Node) (item, error) {
	b := new(statement.VendorAdmit)
	err := mapping(n, "a vendor", map[string]field{
		"name": into("name", &b.Name), "title": into("title", &b.Title), "contact": into("contact", &b.Contact), "contract": into("contract", &b.Contract),
		"networks": func(n *yaml.Node) error {
			return texts(n, "networks", func(n *yaml.Node, s string) error {
				p, err := parseNetwork(s)
				if err != nil {
					return lined(n.Line, err)
				}
				b.Networks = append(b.Networks, p)
				return nil
			})
		},
		"removed": func(n *yaml.Node) error { return truth(n, "removed", &b.Removed) },
	})
	return item{kind: "vendor", name: b.Name, body: b}, err
}

func readPerson(n *yaml.Node) (item, error) {
	b := new(statement.PersonAdmit)
	staff := false
	err := mapping(n, "a person", map[string]field{
		"name": into("name", &b.Name), "title": into("title", &b.Title), "email": into("email", &b.Email), "vendor": into("vendor", &b.Vendor),
		"staff": func(n *yaml.Node) error { return truth(n, "staff", &staff) },
		"roles": func(n *yaml.Node) error {
			return texts(n, "roles", func(_ *yaml.Node, s string) error {
				b.Roles = append(b.Roles, gateway.Role(s))
				return nil
			})
		},
		"removed": func(n *yaml.Node) error { return truth(n, "removed", &b.Removed) },
	})
	// Leaving the vendor out by mistake must not make a vendor's engineer one
	// of the staff, so the staff is said in so many words.
	if err == nil && !b.Removed && staff == (b.Vendor != "") {
		err = at(n, "person %s is either of a vendor (vendor: NAME) or of the operator's own staff (staff: true)", gateway.Quote(b.Name))
	}
	return item{kind: "person", name: b.Name, body: b}, err
}

func readTarget(n *yaml.Node) (item, error) {
	b := new(statement.TargetDefine)
	var kind, impact string
	err := mapping(n, "a target", map[string]field{
		"name": into("name", &b.Name), "title": into("title", &b.Title), "kind": into("kind", &kind), "address": into("address", &b.Address),
		"zone": into("zone", &b.Zone), "impact": into("impact", &impact), "owner": into("owner", &b.Owner),
		"vendors":   func(n *yaml.Node) error { return texts(n, "vendors", adding(&b.Vendors)) },
		"host_keys": func(n *yaml.Node) error { return texts(n, "host_keys", adding(&b.HostKeys)) },
		"accounts": func(n *yaml.Node) error {
			return sequence(n, "accounts", func(n *yaml.Node) error {
				a, err := readAccount(n)
				b.Accounts = append(b.Accounts, a)
				return err
			})
		},
		"legacy": func(n *yaml.Node) error { return texts(n, "legacy", adding(&b.Legacy)) },
		"https": func(n *yaml.Node) (err error) {
			b.HTTPS, err = readHTTPS(n)
			return err
		},
		"network": func(n *yaml.Node) (err error) {
			b.Network, err = readNetwork(n)
			return err
		},
		"removed": func(n *yaml.Node) error { return truth(n, "removed", &b.Removed) },
	})
	b.Kind_, b.Impact = gateway.TargetKind(kind), gateway.Impact(impact)
	return item{kind: "target", name: b.Name, body: b}, err
}

func into(what string, to *string) field {
	return func(n *yaml.Node) error { return text(n, what, to) }
}

func texts(n *yaml.Node, what string, each func(*yaml.Node, string) error) error {
	return sequence(n, what, func(n *yaml.Node) error {
		var s string
		if err := text(n, "an entry of "+what, &s); err != nil {
			return err
		}
		return each(n, s)
	})
}

func adding(to *[]string) func(*yaml.Node, string) error {
	return func(_ *yaml.Node, s string) error {
		*to = append(*to, s)
		return nil
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
