package directory

import (
	"context"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
)

// The shape of the file, for writing; yaml.go and file.go read it.
type fileOut struct {
	Vendors  []vendorOut  `yaml:"vendors,omitempty"`
	People   []personOut  `yaml:"people,omitempty"`
	Services []serviceOut `yaml:"services,omitempty"`
	Targets  []targetOut  `yaml:"targets,omitempty"`
}

type vendorOut struct {
	Name     string   `yaml:"name"`
	Title    string   `yaml:"title"`
	Networks []string `yaml:"networks,omitempty"`
	Contact  string   `yaml:"contact,omitempty"`
	Contract string   `yaml:"contract,omitempty"`
}

type personOut struct {
	Name   string         `yaml:"name"`
	Title  string         `yaml:"title"`
	Email  string         `yaml:"email,omitempty"`
	Vendor string         `yaml:"vendor,omitempty"`
	Staff  bool           `yaml:"staff,omitempty"`
	Roles  []gateway.Role `yaml:"roles"`
}

type serviceOut struct {
	Name     string   `yaml:"name"`
	Title    string   `yaml:"title"`
	Vendor   string   `yaml:"vendor"`
	Owner    string   `yaml:"owner"`
	Key      string   `yaml:"key"`
	Networks []string `yaml:"networks,omitempty"`
}

type targetOut struct {
	Name     string             `yaml:"name"`
	Title    string             `yaml:"title"`
	Kind     gateway.TargetKind `yaml:"kind"`
	Address  string             `yaml:"address,omitempty"`
	Zone     string             `yaml:"zone"`
	Impact   gateway.Impact     `yaml:"impact"`
	Owner    string             `yaml:"owner,omitempty"`
	Vendors  []string           `yaml:"vendors,omitempty"`
	HostKeys []string           `yaml:"host_keys,omitempty"`
	Accounts []accountOut       `yaml:"accounts"`
	Legacy   []string           `yaml:"legacy,omitempty"`
	HTTPS    *httpsOut          `yaml:"https,omitempty"`
	Network  *networkOut        `yaml:"network,omitempty"`
}

// Export writes everything that was not removed as a file that Apply takes
// without a change. Each entry is verified first: what somebody wrote into
// the database must not come out as what the operator said.
func (d *Directory) Export(ctx context.Context) ([]byte, error) {
	var out fileOut
	if err := d.exportVendors(ctx, &out); err != nil {
		return nil, err
	}
	if err := d.exportPeople(ctx, &out); err != nil {
		return nil, err
	}
	if err := d.exportTargets(ctx, &out); err != nil {
		return nil, err
	}
	raw, err := yaml.Dump(out, yaml.WithV4Defaults(), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, gateway.Internal(err)
	}
	return raw, nil
}

func (d *Directory) exportVendors(ctx context.Context, out *fileOut) error {
	rows, err := d.Vendors(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		v, err := d.chain.Vendor(ctx, r.Name)
		if err != nil {
			return err
		}
		if v.State == gateway.Removed {
			continue
		}
		e := vendorOut{Name: v.Name, Title: v.Title, Contact: v.Contact, Contract: v.Contract}
		for _, n := range v.Networks {
			e.Networks = append(e.Networks, n.String())
		}
		out.Vendors = append(out.Vendors, e)
	}
	return nil
}

func (d *Directory) exportPeople(ctx context.Context, out *fileOut) error {
	rows, err := d.People(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		p, err := d.chain.Person(ctx, r.Name)
		if err != nil {
			return err
		}
		switch {
		case p.State == gateway.Removed:
		case p.Service != nil:
			s := serviceOut{Name: p.Name, Title: p.Title, Vendor: p.Vendor, Owner: p.Service.Owner, Key: p.Service.Key}
			for _, n := range p.Service.Networks {
				s.Networks = append(s.Networks, n.String())
			}
			out.Services = append(out.Services, s)
		default:
			out.People = append(out.People, personOut{Name: p.Name, Title: p.Title, Email: p.Email, Vendor: p.Vendor, Staff: p.Staff(), Roles: p.Roles})
		}
	}
	return nil
}

func (d *Directory) exportTargets(ctx context.Context, out *fileOut) error {
	rows, err := d.Targets(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		t, err := d.chain.Target(ctx, r.Name)
		if err != nil {
			return err
		}
		if t.Removed {
			continue
		}
		out.Targets = append(out.Targets, targetOut{
			Name: t.Name, Title: t.Title, Kind: t.Kind, Address: t.Address, Zone: t.Zone, Impact: t.Impact, Owner: t.Owner, Vendors: t.Vendors, HostKeys: t.HostKeys, Legacy: t.Legacy,
			HTTPS: (*httpsOut)(t.HTTPS), Network: outOfNetwork(t.Network), Accounts: accountsOut(t.Accounts),
		})
	}
	return nil
}
