package directory

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// Chain says what is true of a record and whether a statement holds; package
// trust is it.
type Chain interface {
	CheckFresh(ctx context.Context, s statement.Signed) (trust.Checked, error)
	Vendor(ctx context.Context, name string) (gateway.Vendor, error)
	Person(ctx context.Context, name string) (gateway.Person, error)
	Target(ctx context.Context, name string) (gateway.Target, error)
}

// Floor remembers outside the database which version was written last.
type Floor interface {
	Raise(subject string, version uint64) error
}

// Config is what a directory needs. Now defaults to time.Now, Logger to none.
type Config struct {
	Store  Store
	Chain  Chain
	Floor  Floor
	Now    func() time.Time
	Logger *slog.Logger
}

// Directory is the room. Its methods may be called from many goroutines.
type Directory struct {
	store Store
	chain Chain
	floor Floor
	now   func() time.Time
	log   *slog.Logger
}

// New returns a directory.
func New(c Config) *Directory {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Directory{store: c.Store, chain: c.Chain, floor: c.Floor, now: c.Now, log: c.Logger}
}

// Vendor reads a vendor's row.
func (d *Directory) Vendor(ctx context.Context, name string) (gateway.Vendor, error) {
	v, err := d.store.Vendor(ctx, name)
	return v, readError(err, "vendor", name)
}

// Vendors lists all vendors by name, removed ones too.
func (d *Directory) Vendors(ctx context.Context) ([]gateway.Vendor, error) {
	l, err := d.store.Vendors(ctx)
	return l, readError(err, "vendor", "")
}

// Person reads a person's row.
func (d *Directory) Person(ctx context.Context, name string) (gateway.Person, error) {
	p, err := d.store.Person(ctx, name)
	return p, readError(err, "person", name)
}

// People lists all people by name, removed ones too.
func (d *Directory) People(ctx context.Context) ([]gateway.Person, error) {
	l, err := d.store.People(ctx)
	return l, readError(err, "person", "")
}

// Services lists all service accounts by name, removed ones too.
func (d *Directory) Services(ctx context.Context) ([]gateway.Person, error) {
	l, err := d.store.Services(ctx)
	return l, readError(err, "service account", "")
}

// Target reads a target's row.
func (d *Directory) Target(ctx context.Context, name string) (gateway.Target, error) {
	t, err := d.store.Target(ctx, name)
	return t, readError(err, "target", name)
}

// Targets lists all targets by name, removed ones too.
func (d *Directory) Targets(ctx context.Context) ([]gateway.Target, error) {
	l, err := d.store.Targets(ctx)
	return l, readError(err, "target", "")
}

// readError makes a store's answer one for the person.
func readError(err error, what, name string) error {
	var e *gateway.Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.Is(err, gateway.ErrNotFound):
		return gateway.NotFound(what, name)
	}
	return gateway.Unavailable("store", err)
}
