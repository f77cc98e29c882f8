package trusttest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
)

// inviteFor is how long the world's invitations are good.
const inviteFor = 24 * time.Hour

// Admit has the machine admit a person, or change the roles of one.
func (w *World) Admit(name, vendor string, roles ...gateway.Role) statement.Signed {
	w.T.Helper()
	return w.Do(statement.Machine, w.Person(name, vendor, roles...))
}

// Person is the next admission of a person.
func (w *World) Person(name, vendor string, roles ...gateway.Role) *statement.PersonAdmit {
	row := w.Store.People[name]
	return &statement.PersonAdmit{
		Name: name, Title: "Person " + name, Email: name + "@example.com", Vendor: vendor, Roles: roles,
		Version: row.Version + 1, Previous: row.Statement,
	}
}

// Serve has the machine admit a service account of the world's vendor, with a
// fresh key, or give it another.
func (w *World) Serve(name string) (*statement.PersonAdmit, ed25519.PrivateKey) {
	w.T.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.T.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		w.T.Fatal(err)
	}
	b := w.Person(name, Vendor, gateway.ServiceAccount)
	b.Email = ""
	b.Service = &gateway.Service{Owner: Engineer, Key: "spki:" + base64.StdEncoding.EncodeToString(der), Epochs: gateway.Epochs{Vendor: w.Store.Vendors[Vendor].Epoch, Person: max(1, w.Store.People[name].Epoch)}}
	w.Do(statement.Machine, b)
	return b, private
}

// Epochs are the person's present epochs by the rows.
func (w *World) Epochs(person string) gateway.Epochs {
	p := w.Store.People[person]
	return gateway.Epochs{Vendor: w.Store.Vendors[p.Vendor].Epoch, Person: p.Epoch}
}

// Invite has who invite a person; the key is the secret in the link.
func (w *World) Invite(who, person string) (*statement.Invite, ed25519.PrivateKey, statement.Signed) {
	w.T.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.T.Fatal(err)
	}
	b := &statement.Invite{ID: gateway.NewID("inv", w.Now()), Person: person, PublicKey: pub, Epochs: w.Epochs(person), Expires: w.Now().Add(inviteFor)}
	return b, private, w.Do(who, b)
}

// Enrol invites the person and enrols a new key, which becomes the one that
// he signs with.
func (w *World) Enrol(person string) statement.Signed {
	w.T.Helper()
	inv, token, signed := w.Invite(statement.Machine, person)
	body, c := w.NewKey(person)
	body.Invitation = inv.ID
	s := w.Touch(&Keyholder{Credential: c}, w.Draft(person, body, signed.Digest).SignEd25519(token))
	w.Commit(s)
	w.Advance(time.Second)
	w.keys[person] = &Keyholder{Credential: c, Enrolment: s.Digest}
	return s
}

// EnrolMore enrols a further key, let in by the person's present one, and
// returns it; the person goes on signing with the present one.
func (w *World) EnrolMore(person string) *Keyholder {
	w.T.Helper()
	body, c := w.NewKey(person)
	old := w.Key(person)
	k := &Keyholder{Credential: c}
	s := w.Touch(old, w.Touch(k, w.Draft(person, body, old.Enrolment)))
	w.Commit(s)
	w.Advance(time.Second)
	k.Enrolment = s.Digest
	return k
}

// NewKey makes a key pair and the body that would enrol it for the person.
func (w *World) NewKey(person string) (*statement.Enrol, *softkey.Credential) {
	w.T.Helper()
	c, err := w.soft.NewCredential(RP.ID, []byte(person))
	if err != nil {
		w.T.Fatal(err)
	}
	pub, err := c.Public()
	if err != nil {
		w.T.Fatal(err)
	}
	return &statement.Enrol{
		Credential: c.Text(), PublicKey: pub, AAGUID: softkey.ModelName, Format: "packed", Attestation: "self",
		Person: person, Label: "key of " + person, Epochs: w.Epochs(person),
	}, c
}

// AddSSHKey has the person add a fresh SSH key.
func (w *World) AddSSHKey(person string) (*statement.SSHKeyAdd, statement.Signed) {
	w.T.Helper()
	line := SSHKeyLine(w.T)
	b := &statement.SSHKeyAdd{Fingerprint: Fingerprint(w.T, line), Key: line, Person: person, Label: "laptop", Epochs: w.Epochs(person)}
	return b, w.Do(person, b)
}

// Suspend has who suspend the scope.
func (w *World) Suspend(who string, scope gateway.Scope) (*statement.Suspend, statement.Signed) {
	w.T.Helper()
	b := &statement.Suspend{ID: gateway.NewID("sus", w.Now()), Scope: scope, Epoch: w.epoch(scope) + 1, Reason: "breach"}
	return b, w.Do(who, b)
}

// SuspendBy has who suspend the scope in another mode, or with exceptions.
func (w *World) SuspendBy(who string, scope gateway.Scope, c gateway.Closing) *statement.Suspend {
	w.T.Helper()
	b := &statement.Suspend{ID: gateway.NewID("sus", w.Now()), Scope: scope, Epoch: w.epoch(scope) + 1, Mode: c.Mode, Until: c.Until, Except: c.Except, Reason: "breach"}
	w.Do(who, b)
	return b
}

// Restoration is the body that lifts a suspension of the scope.
func (w *World) Restoration(scope gateway.Scope, suspension string) *statement.Restore {
	return &statement.Restore{Suspension: suspension, Scope: scope, Epoch: w.epoch(scope) + 1, Report: gateway.DigestOf([]byte("report")), Reason: "cleaned"}
}

// Restore has two sign the restoration.
func (w *World) Restore(scope gateway.Scope, suspension, first, second string) {
	w.T.Helper()
	b := w.Restoration(scope, suspension)
	w.Do(first, b)
	w.Do(second, b)
}

// epoch is the scope's by its statements.
func (w *World) epoch(s gateway.Scope) uint64 {
	switch s.Kind {
	case gateway.ScopeVendor:
		return w.Store.Vendors[s.Name].Epoch
	case gateway.ScopePerson:
		return w.Store.People[s.Name].Epoch
	}
	return max(1, w.Store.Wide[s].Epoch)
}
