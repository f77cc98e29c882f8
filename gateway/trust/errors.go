package trust

import (
	"errors"

	"github.com/portcullis/portcullis/gateway"
)

// Rule is the rule that every broken link is refused under.
const Rule = "chain"

const next = "nothing is opened on it; the operator's control room must look at the gateway's store"

// broken says which link does not hold.
func broken(format string, args ...any) *gateway.Error {
	return gateway.Refused(Rule, next, format, args...)
}

// about puts the link in front of a sentence.
func (f *fact) broken(format string, args ...any) *gateway.Error {
	e := broken(format, args...)
	e.Text = f.name() + ": " + e.Text
	return e
}

// name is how a sentence speaks of a statement.
func (f *fact) name() string {
	return "statement " + f.s.Digest.Short() + " (" + string(f.st.Kind) + " about " + gateway.Quote(f.body.Subject()) + ", signed by " + gateway.Quote(f.st.Signer) + ")"
}

// storeError passes on a refusal and calls anything else an outage.
func storeError(err error) error {
	var e *gateway.Error
	if errors.As(err, &e) {
		return err
	}
	return gateway.Unavailable("store", err)
}

// wrap puts the link in front of what is wrong with it. An outage stays one.
func (f *fact) wrap(what string, err error) error {
	var e *gateway.Error
	if !errors.As(err, &e) {
		return f.broken("%s does not hold: %v", what, err)
	}
	if e.Code != gateway.CodeRefused {
		return err
	}
	return f.broken("%s does not hold: %s", what, e.Text)
}

// absent is a record that a link needs and the store does not have.
func absent(err error, what, name string) error {
	if errors.Is(err, gateway.ErrNotFound) {
		return broken("%s %s is not on file", what, gateway.Quote(name))
	}
	return storeError(err)
}

func absentVendor(err error, name string) error {
	if errors.Is(err, gateway.ErrNotFound) {
		return absent(err, "vendor", name)
	}
	return err
}

func absentPerson(err error, name string) error {
	if errors.Is(err, gateway.ErrNotFound) {
		return absent(err, "person", name)
	}
	return err
}
