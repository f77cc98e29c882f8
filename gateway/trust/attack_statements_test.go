package trust_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// edit changes the statement behind the target.
func edit(f func(w *trusttest.World, s *statement.Signed)) func(*trusttest.World) {
	return func(w *trusttest.World) {
		set(w.Store.Statements, w.Store.Targets["plc-1"].Statement, func(s *statement.Signed) { f(w, s) })
	}
}

var statementAttacks = []attack{
	{name: "statement: deleted", bytes: true, ask: target, want: "is not on file", edit: func(w *trusttest.World) {
		delete(w.Store.Statements, w.Store.Targets["plc-1"].Statement)
	}},
	{name: "statement: text edited", bytes: true, ask: target, want: "does not read as what was signed", edit: edit(func(_ *trusttest.World, s *statement.Signed) {
		s.Bytes = bytes.Replace(s.Bytes, []byte("127.0.0.1"), []byte("127.0.0.9"), 2)
	})},
	{name: "statement: another one in its place", bytes: true, ask: target, want: "in the place of statement", edit: edit(func(w *trusttest.World, s *statement.Signed) {
		*s = w.Log[0]
	})},
	{name: "statement: another one in its place, digest kept", bytes: true, ask: target, want: "does not read as what was signed", edit: edit(func(w *trusttest.World, s *statement.Signed) {
		s.Bytes, s.Proofs = w.Log[0].Bytes, w.Log[0].Proofs
	})},
	{name: "statement: proof deleted", bytes: true, ask: target, want: "carries 0 proofs", edit: edit(func(_ *trusttest.World, s *statement.Signed) { s.Proofs = nil })},
	{name: "statement: proof of another one", bytes: true, ask: target, want: "the touch does not hold: the key signed another statement", edit: edit(func(w *trusttest.World, s *statement.Signed) {
		s.Proofs = w.Sign(trusttest.Admin, redefined(w, "127.0.0.1:22")).Proofs
	})},
	{name: "statement: proof of a login", bytes: true, ask: target, want: "the touch does not hold", edit: edit(func(_ *trusttest.World, s *statement.Signed) {
		p := s.Proofs[0]
		p.ClientData = bytes.Replace(p.ClientData, []byte("webauthn.get"), []byte("webauthn.create"), 1)
		s.Proofs = []statement.Proof{p}
	})},
	{name: "statement: touch without user verification", bytes: true, ask: target, want: "did not verify its user", edit: edit(func(_ *trusttest.World, s *statement.Signed) {
		p := s.Proofs[0]
		p.AuthenticatorData = bytes.Clone(p.AuthenticatorData)
		p.AuthenticatorData[32] &^= 4
		s.Proofs = []statement.Proof{p}
	})},
	{name: "statement: signature of the machine under a person's name", bytes: true, ask: target, want: "where a touch is needed", edit: edit(func(w *trusttest.World, s *statement.Signed) {
		s.Proofs = nil
		*s = s.SignEd25519(w.Machine.Private)
	})},
	{name: "statement: two proofs", bytes: true, ask: target, want: "carries 2 proofs", edit: edit(func(_ *trusttest.World, s *statement.Signed) {
		s.Proofs = append(s.Proofs, s.Proofs[0])
	})},
	{name: "statement: signed with the key of a colleague", ask: target, want: "cites no enrolment of the key", edit: func(w *trusttest.World) {
		d := w.Draft(trusttest.Admin, redefined(w, "127.0.0.1:22"), w.Key(trusttest.Admin).Enrolment)
		w.Commit(w.Touch(w.Key(trusttest.Approver), d))
	}},
	{name: "statement: by a key that had been removed", ask: target, want: "the key that signed it had been removed",
		before: func(w *trusttest.World) {
			k := w.Key(trusttest.Admin)
			w.Do(statement.Machine, &statement.KeyRemove{Credential: k.Credential.Text(), Person: trusttest.Admin, Label: "key of ada"})
			w.Advance(time.Hour)
		},
		edit: func(w *trusttest.World) { w.Do(trusttest.Admin, redefined(w, "203.0.113.9:22")) }},
	{name: "statement: the row of the key behind it deleted", ask: target, want: "is not on file", edit: func(w *trusttest.World) {
		delete(w.Store.Authenticators, w.Key(trusttest.Admin).Credential.Text())
	}},
	{name: "statement: the enrolment behind it deleted", bytes: true, ask: target, want: "is not on file", edit: func(w *trusttest.World) {
		delete(w.Store.Statements, w.Key(trusttest.Admin).Enrolment)
	}},
	{name: "statement: the invitation far behind it deleted", bytes: true, ask: target, want: "is not on file", edit: func(w *trusttest.World) {
		for d, s := range w.Store.Statements {
			if _, b, _ := s.Parse(); b != nil && b.Kind() == statement.KindInvite && b.(*statement.Invite).Person == trusttest.Admin {
				delete(w.Store.Statements, d)
			}
		}
	}},
}

// loose are the fields that no statement speaks of: when a row was written,
// and a key's counter, which the key itself answers for. What attests an SSH key
// stands in its statement and in no row.
var loose = map[string]bool{"Attested": true, "Changed": true, "Counter": true, "Enrolled": true, "Added": true, "Used": true}

// Every field of every row, changed by itself, is refused.
func TestP5EveryFieldOfEveryRowIsHeld(t *testing.T) {
	w := trusttest.New(t)
	w.AddSSHKey(trusttest.Engineer)
	w.Serve("nightly")
	c := w.Cold(nil) // rows are read anew each time, so one chain is as good as many
	fields(t, w, c, w.Store.Vendors)
	fields(t, w, c, w.Store.People)
	fields(t, w, c, w.Store.Targets)
	fields(t, w, c, w.Store.Authenticators)
	fields(t, w, c, w.Store.SSHKeys)
	fields(t, w, c, w.Store.Invitations)
	if err := read(t, w, c); err != nil {
		t.Fatalf("after all edits were undone: %v", err)
	}
}

// read asks for everything that there is.
func read(t *testing.T, w *trusttest.World, c *trust.Chain) error {
	for n := range w.Store.Vendors {
		if _, err := c.Vendor(t.Context(), n); err != nil {
			return err
		}
	}
	for n := range w.Store.People {
		if _, err := c.Person(t.Context(), n); err != nil {
			return err
		}
	}
	for n := range w.Store.Targets {
		if _, err := c.Target(t.Context(), n); err != nil {
			return err
		}
	}
	for n := range w.Store.Authenticators {
		if _, err := c.Authenticator(t.Context(), n); err != nil {
			return err
		}
	}
	for n := range w.Store.SSHKeys {
		if _, err := c.SSHKey(t.Context(), n); err != nil {
			return err
		}
	}
	for n := range w.Store.Invitations {
		if _, err := c.Invitation(t.Context(), n); err != nil {
			return err
		}
	}
	return nil
}

func fields[V any](t *testing.T, w *trusttest.World, c *trust.Chain, table map[string]V) {
	t.Helper()
	for k, row := range table {
		typ := reflect.TypeFor[V]()
		for i := range typ.NumField() {
			edited := row
			if !change(reflect.ValueOf(&edited).Elem().Field(i)) {
				t.Fatalf("field %s.%s has a type that this test does not change", typ, typ.Field(i).Name)
			}
			table[k] = edited
			err := read(t, w, c)
			if loose[typ.Field(i).Name] {
				if err != nil {
					t.Errorf("%s.%s of %s: %v", typ, typ.Field(i).Name, k, err)
				}
			} else if !gateway.IsCode(err, gateway.CodeRefused) && !gateway.IsCode(err, gateway.CodeNotFound) {
				t.Errorf("%s.%s of %s changed, and the chain answers %v", typ, typ.Field(i).Name, k, err)
			}
			table[k] = row
		}
	}
}

// change makes a value another one.
func change(v reflect.Value) bool {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = x.Add(time.Second)
		return true
	case *gateway.Digest:
		x[0] ^= 1
		return true
	case *gateway.Epochs:
		x.Person++
		return true
	case **gateway.SSHAttested:
		*x = &gateway.SSHAttested{Verdict: "unanchored", VerifyRequired: true}
		return true
	case **gateway.Network:
		*x = &gateway.Network{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}}
		return true
	case **gateway.Service:
		*x = &gateway.Service{Owner: "mallory", Key: "sha256:" + strings.Repeat("0", 64), Epochs: gateway.Epochs{Vendor: 1, Person: 1}}
		return true
	case **gateway.HTTPS:
		*x = &gateway.HTTPS{Trust: gateway.TrustSystem}
		return true
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Uint64, reflect.Uint32:
		v.SetUint(v.Uint() + 1)
	case reflect.Slice:
		grown := reflect.MakeSlice(v.Type(), v.Len()+1, v.Len()+1)
		reflect.Copy(grown, v)
		v.Set(grown)
	default:
		return false
	}
	return true
}

// Every statement, damaged in one byte or in one proof or swapped with its
// neighbour, makes something that rests on it fall.
func TestP5EveryStatementIsHeld(t *testing.T) {
	w := trusttest.New(t)
	w.AddSSHKey(trusttest.Engineer)
	w.EnrolMore(trusttest.Approver)
	for i, s := range w.Log {
		damaged := map[string]statement.Signed{"another statement": w.Log[(i+1)%len(w.Log)]}
		for _, at := range []int{len(s.Bytes) / 3, len(s.Bytes) - 1} {
			d := s
			d.Bytes = bytes.Clone(s.Bytes)
			d.Bytes[at] ^= 1
			damaged[fmt.Sprintf("byte %d", at)] = d
		}
		for j := range s.Proofs {
			d := s
			d.Proofs = append([]statement.Proof(nil), s.Proofs...)
			d.Proofs[j].Signature = bytes.Clone(d.Proofs[j].Signature)
			d.Proofs[j].Signature[len(d.Proofs[j].Signature)-1] ^= 1
			damaged[fmt.Sprintf("signature %d", j)] = d
		}
		for what, d := range damaged {
			w.Store.Statements[s.Digest] = d
			if err := read(t, w, w.Cold(nil)); !gateway.IsCode(err, gateway.CodeRefused) || gateway.AsError(err).Rule != trust.Rule {
				t.Errorf("statement %d with %s: the chain answers %v", i, what, err)
			}
		}
		w.Store.Statements[s.Digest] = s
	}
	if err := read(t, w, w.Cold(nil)); err != nil {
		t.Fatalf("after all was undone: %v", err)
	}
}
