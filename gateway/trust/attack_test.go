package trust_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// The asks: what a room asks of the chain.
type ask func(ctx context.Context, w *trusttest.World, c *trust.Chain) error

func vendor(ctx context.Context, _ *trusttest.World, c *trust.Chain) error {
	_, err := c.Vendor(ctx, trusttest.Vendor)
	return err
}

func target(ctx context.Context, _ *trusttest.World, c *trust.Chain) error {
	_, err := c.Target(ctx, trusttest.Target)
	return err
}

func person(name string) ask {
	return func(ctx context.Context, _ *trusttest.World, c *trust.Chain) error {
		_, err := c.Person(ctx, name)
		return err
	}
}

func key(name string) ask {
	return func(ctx context.Context, w *trusttest.World, c *trust.Chain) error {
		_, err := c.Authenticator(ctx, w.Key(name).Credential.Text())
		return err
	}
}

func sshKey(ctx context.Context, w *trusttest.World, c *trust.Chain) error {
	for fp := range w.Store.SSHKeys {
		if _, err := c.SSHKey(ctx, fp); err != nil {
			return err
		}
	}
	return nil
}

func invitation(ctx context.Context, w *trusttest.World, c *trust.Chain) error {
	for id, i := range w.Store.Invitations {
		if i.Person == trusttest.Engineer {
			if _, err := c.Invitation(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// set edits one row of a table.
func set[K comparable, V any](m map[K]V, k K, f func(*V)) {
	v := m[k]
	f(&v)
	m[k] = v
}

var (
	ofVendor   = gateway.Scope{Kind: gateway.ScopeVendor, Name: trusttest.Vendor}
	ofEngineer = gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Engineer}
)

// attack is one edit of the database. before is what honestly happened; ask
// holds after it and must be refused after the edit, with a sentence that
// names the link. Where floor is set, nothing but the floor tells the edit
// from the truth.
type attack struct {
	name   string
	before func(w *trusttest.World)
	edit   func(w *trusttest.World)
	ask    ask
	want   string
	floor  bool
	bytes  bool // the edit is of statements alone, which a running machine does not read twice
	closed bool // ask is refused before the edit too, by an ordinary no
}

func TestP5AnEditedDatabaseIsRefused(t *testing.T) {
	for _, list := range [][]attack{vendorAttacks, lifeAttacks, personAttacks, targetAttacks, keyAttacks, statementAttacks} {
		for _, a := range list {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel() // each has a world of its own and waits for a disk
				a.run(t)
			})
		}
	}
}

func (a attack) run(t *testing.T) {
	w := trusttest.New(t)
	if a.before != nil {
		a.before(w)
	}
	if err := a.ask(t.Context(), w, w.Chain); gateway.IsCode(err, gateway.CodeRefused) != a.closed || err != nil && !a.closed {
		t.Fatalf("before the edit: %v", err)
	}
	a.edit(w)
	chains := map[string]*trust.Chain{"after a restart": w.Cold(w.Floor)}
	if !a.bytes {
		chains["on a machine that goes on running"] = w.Chain
	} else if err := a.ask(t.Context(), w, w.Chain); err != nil {
		t.Errorf("a running machine has read the statement and does not depend on the store for it: %v", err)
	}
	if !a.floor {
		chains["on a machine that never saw the truth"] = w.Cold(nil)
	}
	for when, c := range chains {
		err := a.ask(t.Context(), w, c)
		if !gateway.IsCode(err, gateway.CodeRefused) {
			t.Fatalf("%s: not refused: %v", when, err)
		}
		if e := gateway.AsError(err); e.Rule != trust.Rule || e.Next == "" || !strings.Contains(e.Text, a.want) {
			t.Errorf("%s: %q does not say %q", when, e.Sentence(), a.want)
		}
	}
}

var vendorAttacks = []attack{
	{name: "vendor: networks opened", ask: vendor, want: "its networks is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.Networks = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} })
	}},
	{name: "vendor: names another vendor's statement", ask: vendor, want: `in truth a statement about "vendor:beta"`,
		before: func(w *trusttest.World) {
			w.Do(statement.Machine, &statement.VendorAdmit{Name: "beta", Title: "Beta", Version: 1})
		},
		edit: func(w *trusttest.World) {
			set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.Statement = w.Store.Vendors["beta"].Statement })
		}},
	{name: "vendor: names a statement of another kind", ask: vendor, want: `in truth a statement about "person:eve"`, edit: func(w *trusttest.World) {
		set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.Statement = w.Store.People["eve"].Statement })
	}},
	{name: "vendor: an older version is fed back", ask: vendor, want: "older than what this machine has seen", floor: true,
		before: func(w *trusttest.World) {
			w.Do(trusttest.Admin, &statement.VendorAdmit{Name: "acme", Title: "Acme, one site", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Version: 2, Previous: w.Store.Vendors["acme"].Statement})
		},
		edit: func(w *trusttest.World) {
			first := w.Log[0]
			delete(w.Store.Statements, w.Store.Vendors["acme"].Statement)
			set(w.Store.Vendors, "acme", func(v *gateway.Vendor) {
				v.Statement, v.Version, v.Title, v.Networks, v.Contact = first.Digest, 1, "Acme Relays", nil, "noc@acme.example"
			})
		}},
	{name: "vendor: version counted up", ask: vendor, want: "version 1 stands where version 2 belongs", edit: func(w *trusttest.World) {
		set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.Version = 2 })
	}},
	{name: "vendor: version without end", ask: vendor, want: "which cannot be", edit: func(w *trusttest.World) {
		set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.Version = 1 << 62 })
	}},
	{name: "vendor: admitted by a machine that is not in the roots", ask: vendor, want: "not in roots[]", edit: func(w *trusttest.World) {
		_, own, _ := ed25519.GenerateKey(rand.Reader)
		forge(w, statement.MachineKey{Private: own, Gateway: trusttest.URL}, &statement.VendorAdmit{Name: "acme", Title: "Mine", Version: 1})
	}},
	{name: "vendor: admitted for another gateway", ask: vendor, want: "made for the gateway", edit: func(w *trusttest.World) {
		forge(w, statement.MachineKey{Private: w.Machine.Private, Gateway: "https://other.example"}, &statement.VendorAdmit{Name: "acme", Title: "Mine", Version: 1})
	}},
	{name: "vendor: back from removal", ask: vendor, want: "removed for good",
		before: func(w *trusttest.World) {
			w.Do(trusttest.Admin, &statement.VendorAdmit{Name: "acme", Title: "Acme", Removed: true, Version: 2, Previous: w.Store.Vendors["acme"].Statement})
		},
		edit: func(w *trusttest.World) {
			w.Do(trusttest.Admin, &statement.VendorAdmit{Name: "acme", Title: "Acme", Version: 3, Previous: w.Store.Vendors["acme"].Statement})
		}},
}

// forge files a statement by a machine key and points the rows at it.
func forge(w *trusttest.World, m statement.MachineKey, b statement.Body) {
	s, err := m.Sign(w.Now(), b)
	if err != nil {
		panic(err)
	}
	w.Commit(s)
}

var lifeAttacks = []attack{
	{name: "suspension: state put back in the row", ask: vendor, before: suspended, want: "its state is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.State = gateway.Active })
	}},
	{name: "suspension: epoch put back in the row", ask: vendor, before: suspended, want: "its epoch is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.State, v.Epoch = gateway.Active, 1 })
	}},
	{name: "suspension: order deleted", ask: vendor, before: suspended, want: "an order is missing", floor: true, edit: func(w *trusttest.World) {
		w.Store.Scopes[ofVendor] = nil
		set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.State, v.Epoch = gateway.Active, 1 })
	}},
	{name: "suspension: the later of two orders deleted", ask: vendor, before: func(w *trusttest.World) { suspended(w); suspended(w) }, want: "an order is missing", floor: true,
		edit: func(w *trusttest.World) {
			w.Store.Scopes[ofVendor] = w.Store.Scopes[ofVendor][:1]
			set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.Epoch = 2 })
		}},
	{name: "suspension: the earlier of two orders deleted", ask: vendor, before: func(w *trusttest.World) { suspended(w); suspended(w) }, want: "an order is missing or stands twice",
		edit: func(w *trusttest.World) { w.Store.Scopes[ofVendor] = w.Store.Scopes[ofVendor][1:] }},
	{name: "suspension: statement deleted, list kept", bytes: true, ask: vendor, before: suspended, want: "is not on file",
		edit: func(w *trusttest.World) { delete(w.Store.Statements, w.Store.Scopes[ofVendor][0]) }},
	{name: "restoration: one person signs twice", ask: vendor, before: suspended, want: "signed the restoration twice", edit: func(w *trusttest.World) {
		b := w.Restoration(ofVendor, latest(w))
		w.Do(trusttest.Responder, b)
		w.Do(trusttest.Responder, b)
	}},
	{name: "restoration: the machine signs twice", ask: vendor, before: suspended, want: "signed the restoration twice", edit: func(w *trusttest.World) {
		b := w.Restoration(ofVendor, latest(w))
		w.Do(statement.Machine, b)
		w.Do(statement.Machine, b)
	}},
	{name: "restoration: the same signature listed twice", ask: vendor, before: suspended, want: "signed the restoration twice", edit: func(w *trusttest.World) {
		s := w.Do(trusttest.Responder, w.Restoration(ofVendor, latest(w)))
		w.Commit(s)
	}},
	{name: "restoration: one signature is enough", ask: vendor, want: "its state is not what was signed",
		before: func(w *trusttest.World) {
			suspended(w)
			w.Do(trusttest.Responder, w.Restoration(ofVendor, latest(w)))
		},
		edit: func(w *trusttest.World) {
			set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.State = gateway.Active })
		}},
	{name: "restoration: by two under different reports", ask: vendor, before: suspended, want: "under different restorations", edit: func(w *trusttest.World) {
		b := w.Restoration(ofVendor, latest(w))
		w.Do(trusttest.Responder, b)
		c := *b
		c.Report = gateway.DigestOf([]byte("another"))
		w.Do(trusttest.Approver, &c)
	}},
	{name: "restoration: by the vendor's own engineer", ask: vendor, want: "only responder or approver or admin", before: suspended, edit: func(w *trusttest.World) {
		w.Restore(ofVendor, latest(w), trusttest.Responder, trusttest.Engineer)
	}},
	{name: "restoration: of a suspension that never was", ask: vendor, before: suspended, want: "which does not stand", edit: func(w *trusttest.World) {
		w.Restore(ofVendor, gateway.NewID("sus", w.Now()), trusttest.Responder, trusttest.Approver)
	}},
	{name: "restoration: another vendor's, filed here", ask: vendor, want: "filed with the suspensions of vendor acme",
		before: func(w *trusttest.World) {
			w.Do(statement.Machine, &statement.VendorAdmit{Name: "beta", Title: "Beta", Version: 1})
			beta := gateway.Scope{Kind: gateway.ScopeVendor, Name: "beta"}
			b, _ := w.Suspend(trusttest.Responder, beta)
			suspended(w)
			w.Restore(beta, b.ID, trusttest.Responder, trusttest.Approver)
		},
		edit: func(w *trusttest.World) {
			beta := w.Store.Scopes[gateway.Scope{Kind: gateway.ScopeVendor, Name: "beta"}]
			w.Store.Scopes[ofVendor] = append(slices.Clone(w.Store.Scopes[ofVendor]), beta[1:]...)
			set(w.Store.Vendors, "acme", func(v *gateway.Vendor) { v.State, v.Epoch = gateway.Active, 3 })
		}},
	{name: "restoration: a person signs his own", want: "nobody signs his own restoration", ask: person(trusttest.Responder),
		before: func(w *trusttest.World) {
			w.Suspend(trusttest.Admin, gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Responder})
		},
		edit: func(w *trusttest.World) {
			s := gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Responder}
			w.Restore(s, latest(w), trusttest.Responder, trusttest.Approver)
		}},
	{name: "restoration: by a person who is suspended", want: "its signer was suspended then", ask: vendor,
		before: func(w *trusttest.World) {
			suspended(w)
			w.Suspend(trusttest.Admin, gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Responder})
			w.Advance(time.Hour)
		},
		edit: func(w *trusttest.World) {
			w.Restore(ofVendor, first(w), trusttest.Responder, trusttest.Approver)
		}},
	{name: "person: suspension taken out of the row", want: "its state is not what was signed", ask: person(trusttest.Engineer),
		before: func(w *trusttest.World) { w.Suspend(trusttest.Responder, ofEngineer) },
		edit: func(w *trusttest.World) {
			set(w.Store.People, "eve", func(p *gateway.Person) { p.State = gateway.Active })
		}},
}

func suspended(w *trusttest.World) { w.Suspend(trusttest.Responder, ofVendor) }

// latest and first find the identifier of a suspension in the log.
func latest(w *trusttest.World) string { return suspensions(w)[len(suspensions(w))-1] }
func first(w *trusttest.World) string  { return suspensions(w)[0] }

func suspensions(w *trusttest.World) []string {
	var ids []string
	for _, s := range w.Log {
		if _, b, err := s.Parse(); err == nil {
			if b, ok := b.(*statement.Suspend); ok {
				ids = append(ids, b.ID)
			}
		}
	}
	return ids
}

var personAttacks = []attack{
	{name: "person: a role added in the row", ask: person("eve"), want: "its roles is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.People, "eve", func(p *gateway.Person) { p.Roles = append(p.Roles, gateway.Admin) })
	}},
	{name: "person: taken out of the vendor in the row", ask: person("eve"), want: "its vendor is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.People, "eve", func(p *gateway.Person) { p.Vendor = "" })
	}},
	{name: "person: renamed row of somebody else", ask: person("eve"), want: `in truth a statement about "person:ada"`, edit: func(w *trusttest.World) {
		w.Store.People["eve"] = w.Store.People["ada"]
	}},
	{name: "person: admits himself out of nothing", ask: person("eve"), want: "cites no statement that admits its signer", edit: func(w *trusttest.World) {
		_, c := w.NewKey("eve")
		st, err := statement.Draft(trusttest.URL, "eve", w.Now(), nil, w.Person("eve", "acme", gateway.Nominator))
		if err != nil {
			panic(err)
		}
		s, _ := statement.Seal(st)
		w.Commit(w.Touch(&trusttest.Keyholder{Credential: c}, s))
	}},
	{name: "person: raises himself", ask: person("eve"), want: "only admin", edit: func(w *trusttest.World) {
		w.Do("eve", w.Person("eve", "acme", gateway.Engineer, gateway.Nominator))
	}},
	{name: "person: changes vendor by a true signature", ask: person("eve"), want: "changes vendor, or whether it is a service account, in version 2", edit: func(w *trusttest.World) {
		w.Do(trusttest.Admin, w.Person("eve", "", gateway.Approver))
	}},
	{name: "person: admitted by an approver", ask: person("eve"), want: "only admin", edit: func(w *trusttest.World) {
		w.Do(trusttest.Approver, w.Person("eve", "acme", gateway.Nominator))
	}},
	{name: "person: admitted by an administrator whose role was taken", ask: person("eve"), want: "had been replaced by version 2",
		before: func(w *trusttest.World) {
			w.Admit(trusttest.Admin, "", gateway.Auditor)
			w.Advance(time.Hour)
		},
		edit: func(w *trusttest.World) {
			k, old := w.Key(trusttest.Admin), w.Log[1].Digest
			st, err := statement.Draft(trusttest.URL, trusttest.Admin, w.Now(), []gateway.Digest{old, k.Enrolment}, w.Person("eve", "acme", gateway.Nominator))
			if err != nil {
				panic(err)
			}
			s, _ := statement.Seal(st)
			w.Commit(w.Touch(k, s))
		}},
	{name: "person: the taking of a role undone", ask: person(trusttest.Approver), want: "older than what this machine has seen", floor: true,
		before: func(w *trusttest.World) { w.Admit(trusttest.Approver, "", gateway.Auditor) },
		edit: func(w *trusttest.World) {
			s := w.Store.Statements[w.Store.People[trusttest.Approver].Statement]
			_, b, _ := s.Parse()
			a, _ := b.(*statement.PersonAdmit)
			set(w.Store.People, trusttest.Approver, func(p *gateway.Person) {
				p.Statement, p.Version, p.Roles = a.Previous, 1, []gateway.Role{gateway.Approver}
			})
		}},
	{name: "person: two forged people admit each other", ask: person("mallory"), want: "does not read as what was signed",
		before: func(w *trusttest.World) { w.Admit("mallory", "", gateway.Auditor) },
		edit: func(w *trusttest.World) {
			x, y := gateway.DigestOf([]byte("x")), gateway.DigestOf([]byte("y"))
			for d, by := range map[gateway.Digest]gateway.Digest{x: y, y: x} {
				st, err := statement.Draft(trusttest.URL, "mallory", w.Now(), []gateway.Digest{by}, &statement.PersonAdmit{Name: "mallory", Title: "M", Roles: []gateway.Role{gateway.Admin}, Version: 1})
				if err != nil {
					panic(err)
				}
				s, _ := statement.Seal(st)
				s.Digest = d
				w.Store.Statements[d] = s
			}
			set(w.Store.People, "mallory", func(p *gateway.Person) { p.Statement = x })
		}},
	{name: "person: the administrator behind it is gone", ask: target, want: `person "ada" is not on file`, edit: func(w *trusttest.World) {
		delete(w.Store.People, trusttest.Admin)
	}},
	{name: "person: the administrator behind it was edited", ask: target, want: "the row of person \"ada\" was changed", edit: func(w *trusttest.World) {
		set(w.Store.People, trusttest.Admin, func(p *gateway.Person) { p.Email = "mallory@example.com" })
	}},
}

var targetAttacks = []attack{
	{name: "target: redirected", ask: target, want: "its address is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Targets, "plc-1", func(x *gateway.Target) { x.Address = "203.0.113.9:22" })
	}},
	{name: "target: weak algorithms let in", ask: target, want: "its legacy algorithms is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Targets, "plc-1", func(t *gateway.Target) { t.Legacy = []string{"diffie-hellman-group1-sha1"} })
	}},
	{name: "target: account made root", ask: target, want: "its accounts is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Targets, "plc-1", func(x *gateway.Target) {
			x.Accounts = []gateway.Account{{Name: "ops", Login: "root", Proof: gateway.ProofCertificate}}
		})
	}},
	{name: "target: another host key", ask: target, want: "its host keys is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Targets, "plc-1", func(x *gateway.Target) { x.HostKeys = append(x.HostKeys, x.HostKeys[0]) })
	}},
	{name: "target: impact lowered", ask: target, want: "its impact is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Targets, "plc-1", func(x *gateway.Target) { x.Impact = gateway.Low })
	}},
	{name: "target: a vendor added", ask: target, want: "its vendors is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Targets, "plc-1", func(x *gateway.Target) { x.Vendors = append(x.Vendors, "beta") })
	}},
	{name: "target: defined by an approver", ask: target, want: "only admin", edit: func(w *trusttest.World) {
		w.Do(trusttest.Approver, redefined(w, "203.0.113.9:22"))
	}},
	{name: "target: defined by an engineer", ask: target, want: "only admin", edit: func(w *trusttest.World) {
		w.Do(trusttest.Engineer, redefined(w, "203.0.113.9:22"))
	}},
	{name: "target: an older definition fed back", ask: target, want: "older than what this machine has seen", floor: true,
		before: func(w *trusttest.World) { w.Do(trusttest.Admin, redefined(w, "127.0.0.1:2201")) },
		edit: func(w *trusttest.World) {
			_, b, _ := w.Store.Statements[w.Store.Targets["plc-1"].Statement].Parse()
			x, _ := b.(*statement.TargetDefine)
			set(w.Store.Targets, "plc-1", func(row *gateway.Target) { row.Statement, row.Version, row.Address = x.Previous, 1, "127.0.0.1:2200" })
		}},
	{name: "target: built on a version that is not the one before", ask: target, want: "is not on file", edit: func(w *trusttest.World) {
		b := redefined(w, "127.0.0.1:2201")
		b.Previous = gateway.DigestOf([]byte("nothing"))
		w.Do(trusttest.Admin, b)
	}},
}

func redefined(w *trusttest.World, address string) *statement.TargetDefine {
	row := w.Store.Targets["plc-1"]
	return &statement.TargetDefine{
		Name: row.Name, Title: row.Title, Kind_: row.Kind, Address: address, Zone: row.Zone, Impact: row.Impact, Owner: row.Owner, Vendors: row.Vendors,
		HostKeys: row.HostKeys, Accounts: row.Accounts, Version: row.Version + 1, Previous: row.Statement,
	}
}
