package trust

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Config is what a chain needs. Roots are the machine keys of roots[] in the
// node's configuration: with none, nothing verifies. A nil Floor remembers
// nothing, and Now defaults to time.Now.
type Config struct {
	Store   Store
	Roots   []ed25519.PublicKey
	RP      statement.RelyingParty
	Gateway string // the gateway's URL, as it stands in every statement
	Floor   *Floor
	Now     func() time.Time
}

// Chain verifies facts. Its methods may be called from many goroutines.
type Chain struct {
	store   Store
	roots   []ed25519.PublicKey
	rp      statement.RelyingParty
	gateway string
	floor   *Floor
	now     func() time.Time
	known   *cache
}

// MachinePerson is the signer of what root does at the local socket.
var MachinePerson = gateway.Person{
	Name: statement.Machine, Title: "root at the local socket", State: gateway.Active,
	Roles: []gateway.Role{gateway.Admin, gateway.Responder},
}

// New returns a chain.
func New(c Config) *Chain {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Chain{
		store: c.Store, roots: slices.Clone(c.Roots), rp: c.RP, gateway: c.Gateway,
		floor: c.Floor, now: c.Now, known: newCache(maxProven),
	}
}

// Vendor returns the vendor with its replayed state and epoch; a vendor that
// was removed has the state removed. gateway.CodeNotFound if there is none.
func (c *Chain) Vendor(ctx context.Context, name string) (gateway.Vendor, error) {
	w := c.walk(ctx)
	v, err := w.vendor(name)
	if err == nil {
		err = w.settle()
	}
	if err != nil {
		return gateway.Vendor{}, missing(err, "vendor", name)
	}
	return v.row, nil
}

// Person returns the person with the roles, state and epoch that hold now.
// The vendor's own state is for the caller to ask.
func (c *Chain) Person(ctx context.Context, name string) (gateway.Person, error) {
	w := c.walk(ctx)
	p, err := w.person(name)
	if err == nil {
		err = w.settle()
	}
	if err != nil {
		return gateway.Person{}, missing(err, "person", name)
	}
	return p.row, nil
}

// Target returns the target as it is defined now; one that was removed has
// Removed set.
func (c *Chain) Target(ctx context.Context, name string) (gateway.Target, error) {
	w := c.walk(ctx)
	t, err := w.target(name)
	if err == nil {
		err = w.settle()
	}
	if err != nil {
		return gateway.Target{}, missing(err, "target", name)
	}
	return t, nil
}

// Epochs returns the epochs that a credential of this person is pinned to
// when it is made now. It refuses when the person or the vendor is not active.
func (c *Chain) Epochs(ctx context.Context, person string) (gateway.Epochs, error) {
	w := c.walk(ctx)
	p, err := w.person(person)
	if err != nil {
		return gateway.Epochs{}, missing(err, "person", person)
	}
	e, err := w.active(p)
	if err != nil {
		return gateway.Epochs{}, err
	}
	if err := w.settle(); err != nil {
		return gateway.Epochs{}, err
	}
	return e, nil
}

// missing answers "no such vendor" for a record that is not there at the top;
// deeper down a missing record is a broken link and never comes here.
func missing(err error, what, name string) error {
	if errors.Is(err, gateway.ErrNotFound) {
		return gateway.NotFound(what, name)
	}
	return err
}
