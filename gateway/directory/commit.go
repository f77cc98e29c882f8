package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// entry is what a commit writes beside the statement and the event.
type entry struct {
	subject string
	version uint64
	put     func(Tx) error
	row     any
	event   audit.Event
}

// Commit checks and writes a signed admission or definition, and returns the
// row: a gateway.Vendor, gateway.Person or gateway.Target. A statement built
// on an older version answers gateway.CodeConflict: somebody else was faster.
// A refusal is written to the audit log.
func (d *Directory) Commit(ctx context.Context, s statement.Signed) (any, error) {
	e, err := d.prepare(ctx, s)
	if err == nil {
		err = d.write(ctx, s, e)
	}
	if err != nil {
		d.refused(ctx, e, err)
		return nil, err
	}
	// The chain raises the floor by itself when it next reads the row, so a
	// disk that refuses here takes nothing back.
	if err := d.floor.Raise(e.subject, e.version); err != nil {
		d.log.ErrorContext(ctx, "floor was not raised", "subject", e.subject, "version", e.version, "error", err)
	}
	return e.row, nil
}

func (d *Directory) prepare(ctx context.Context, s statement.Signed) (entry, error) {
	e := entry{event: announce(s)}
	c, err := d.chain.CheckFresh(ctx, s)
	if err != nil {
		return e, err
	}
	e.event.Actor, e.event.At = c.Signer.Name, d.now()
	switch b := c.Body.(type) {
	case *statement.VendorAdmit:
		err = d.prepareVendor(ctx, s, c, b, &e)
	case *statement.PersonAdmit:
		err = d.preparePerson(ctx, s, c, b, &e)
	case *statement.TargetDefine:
		err = d.prepareTarget(ctx, s, c, b, &e)
	default:
		err = gateway.Invalid("kind", "a statement of kind %s is not for the directory", gateway.Quote(string(c.Statement.Kind)))
	}
	return e, err
}

// announce is the event of a statement that nothing is known of but what it
// says; the actor is filled in once the signature holds.
func announce(s statement.Signed) audit.Event {
	e := audit.Event{Name: audit.ChainBroken, Actor: "gateway", Statement: s.Digest}
	_, body, err := s.Parse()
	if err != nil {
		return e
	}
	switch b := body.(type) {
	case *statement.VendorAdmit:
		e.Name, e.Vendor = audit.VendorAdmitted, b.Name
	case *statement.PersonAdmit:
		e.Name, e.Person, e.Vendor = audit.PersonAdmitted, b.Name, b.Vendor
	case *statement.TargetDefine:
		e.Name, e.Target = audit.TargetDefined, b.Name
	}
	return e
}

func (d *Directory) prepareVendor(ctx context.Context, s statement.Signed, c trust.Checked, b *statement.VendorAdmit, e *entry) error {
	head, _, err := d.vendorHead(ctx, b.Name)
	if err == nil {
		err = follows(b.Subject(), b.Version, b.Previous, head.Version, head.Previous, head.Removed)
	}
	if err == nil {
		err = d.checkVendor(b)
	}
	if err != nil {
		return err
	}
	row := gateway.Vendor{
		Name: b.Name, Title: b.Title, Networks: b.Networks, Contact: b.Contact, Contract: b.Contract, State: gateway.Active, Epoch: 1,
		Version: b.Version, Statement: s.Digest, Changed: c.Statement.At,
	}
	if b.Removed {
		row.State = gateway.Removed
	}
	e.done(b.Subject(), b.Version, b.Removed)
	e.row, e.put = row, func(tx Tx) error { return tx.PutVendor(row) }
	return nil
}

func (d *Directory) preparePerson(ctx context.Context, s statement.Signed, c trust.Checked, b *statement.PersonAdmit, e *entry) error {
	head, exists, err := d.personHead(ctx, b.Name)
	if err == nil {
		err = follows(b.Subject(), b.Version, b.Previous, head.Version, head.Previous, head.Removed)
	}
	if err == nil {
		err = stays(exists, &head, b)
	}
	if err == nil {
		err = d.enrolledStill(ctx, b, exists, &head)
	}
	if err == nil {
		err = d.referPerson(ctx, b, nil)
	}
	if err != nil {
		return err
	}
	row := gateway.Person{
		Name: b.Name, Title: b.Title, Email: b.Email, Vendor: b.Vendor, Roles: b.Roles, Service: b.Service, State: gateway.Active, Epoch: 1,
		Version: b.Version, Statement: s.Digest, Changed: c.Statement.At,
	}
	if b.Removed {
		row.State = gateway.Removed
	}
	e.done(b.Subject(), b.Version, b.Removed)
	if b.Service != nil {
		e.event.Detail["service"], e.event.Detail["owner"], e.event.Detail["key"] = "true", b.Service.Owner, b.Service.Pin()
	}
	e.row, e.put = row, func(tx Tx) error { return tx.PutPerson(row) }
	return nil
}

func (d *Directory) prepareTarget(ctx context.Context, s statement.Signed, c trust.Checked, b *statement.TargetDefine, e *entry) error {
	head, _, err := d.targetHead(ctx, b.Name)
	if err == nil {
		err = follows(b.Subject(), b.Version, b.Previous, head.Version, head.Previous, head.Removed)
	}
	if err == nil {
		err = d.referTarget(ctx, b, nil)
	}
	if err != nil {
		return err
	}
	row := gateway.Target{
		Name: b.Name, Title: b.Title, Kind: b.Kind_, Address: b.Address, Zone: b.Zone, Impact: b.Impact, Owner: b.Owner, Vendors: b.Vendors,
		HostKeys: b.HostKeys, Accounts: b.Accounts, Legacy: b.Legacy, HTTPS: b.HTTPS, Network: b.Network, Version: b.Version, Removed: b.Removed, Statement: s.Digest, Changed: c.Statement.At,
	}
	e.done(b.Subject(), b.Version, b.Removed)
	e.row, e.put = row, func(tx Tx) error { return tx.PutTarget(row) }
	return nil
}

// done fills in what is announced.
func (e *entry) done(subject string, version uint64, removed bool) {
	e.subject, e.version = subject, version
	action := "changed"
	switch {
	case removed:
		action = "removed"
	case version == 1:
		action = "admitted"
	}
	e.event.Detail = map[string]string{"action": action, "version": fmt.Sprint(version)}
}

// follows holds a statement to the version that it is built on.
func follows(subject string, version uint64, previous gateway.Digest, head uint64, digest gateway.Digest, removed bool) error {
	switch {
	case removed:
		return gateway.Conflict("version", "%s was removed for good; choose another name", subject)
	case version != head+1 || !previous.Equal(digest):
		return overtaken(subject)
	}
	return nil
}

func overtaken(subject string) error {
	e := gateway.Conflict("version", "%s was changed by somebody else in the meantime", subject)
	e.Next = "look at it again and sign anew"
	return e
}

// write puts statement, row and event into one transaction.
func (d *Directory) write(ctx context.Context, s statement.Signed, e entry) error {
	err := d.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(s); err != nil {
			return err
		}
		if err := e.put(tx); err != nil {
			return err
		}
		return tx.Append(e.event)
	})
	var known *gateway.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, gateway.ErrUsed):
		return gateway.Conflict("statement", "this statement was written before; each is good for one act")
	case errors.Is(err, gateway.ErrStale):
		return overtaken(e.subject)
	}
	return gateway.Unavailable("store", err)
}

// refused writes a refusal to the audit log. The answer stays no when that
// does not go through.
func (d *Directory) refused(ctx context.Context, e entry, err error) {
	no := gateway.AsError(err)
	ev := e.event
	ev.At, ev.Outcome, ev.Rule, ev.Reason, ev.Detail = d.now(), audit.Refused, no.Rule, no.Sentence(), nil
	if no.Code == gateway.CodeUnavailable || no.Code == gateway.CodeInternal {
		ev.Outcome = audit.Failed
	}
	if err := d.store.Update(context.WithoutCancel(ctx), func(tx Tx) error { return tx.Append(ev) }); err != nil {
		d.log.ErrorContext(ctx, "refusal was not written to the audit log", "reason", no.Error(), "error", err)
	}
}
