package trust

import (
	"context"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// ahead is how far in front of this node's clock a fresh statement may stand.
const ahead = 2 * time.Second

// Checked is a statement that holds now. Signer is MachinePerson and Key is
// zero for the machine's own. Key is the key that signed; for an enrolment by
// invitation it is the new key, as the statement describes it. Where an SSH
// security key signed, Key is zero and SSHKey is that key.
type Checked struct {
	Statement statement.Statement
	Body      statement.Body
	Signer    gateway.Person
	Key       gateway.Authenticator
	SSHKey    gateway.SSHKey
}

// Check verifies a statement, filed or just handed in: its proofs and every
// link behind it held when it was signed, and its signer still is who he was:
// active, with a role that may sign it, by a key that was not removed and
// belongs to the present epochs.
func (c *Chain) Check(ctx context.Context, s statement.Signed) (Checked, error) {
	f, err := read(s)
	if err != nil {
		return Checked{}, err
	}
	f.handed = true
	body := f.body
	if k := c.known.get(s.Digest); k != nil && slices.EqualFunc(k.s.Proofs, s.Proofs, sameProof) {
		f.proven, f.admission, f.key, f.sshKey, f.enrolment, f.invite = true, k.admission, k.key, k.sshKey, k.enrolment, k.invite
	} else if _, body, err = s.Parse(); err != nil {
		return Checked{}, gateway.Internal(err) // it has just been read
	}
	w := c.walk(ctx)
	w.opened[s.Digest] = f
	if _, err := w.need(s.Digest); err != nil {
		return Checked{}, err
	}
	if err := w.settle(); err != nil {
		return Checked{}, err
	}
	// The body is a copy: what is remembered as proven must not be in the caller's hands.
	out := Checked{Statement: f.st, Body: body, Signer: MachinePerson}
	if f.st.Signer == statement.Machine {
		out.Signer.Roles = slices.Clone(out.Signer.Roles)
		return out, nil
	}
	if err := w.current(f, &out); err != nil {
		return Checked{}, err
	}
	if err := w.settle(); err != nil {
		return Checked{}, err
	}
	return out, nil
}

// CheckFresh is Check for an act that is being done: the statement is at most
// statement.Fresh old and not from the future.
func (c *Chain) CheckFresh(ctx context.Context, s statement.Signed) (Checked, error) {
	out, err := c.Check(ctx, s)
	if err != nil {
		return Checked{}, err
	}
	age := c.now().Sub(out.Statement.At)
	switch {
	case age > statement.Fresh:
		return Checked{}, gateway.Refused(Rule, "look at it again and touch the key again", "the statement was drawn up %s ago; at most %s are allowed", age.Round(time.Second), statement.Fresh)
	case age < -ahead:
		return Checked{}, gateway.Refused(Rule, "set the clocks right and try again", "the statement was drawn up %s in the future", (-age).Round(time.Second))
	}
	return out, nil
}

// current holds the signer of f to what he is now, and fills in who and which
// key that is.
func (w *walk) current(f *fact, out *Checked) error {
	p, err := w.person(f.st.Signer)
	if err != nil {
		return absentPerson(err, f.st.Signer)
	}
	if r := ruleOf(f.st.Kind); !r.allows(f.body, p.row.Name, p.row.Vendor, p.row.Roles) {
		return f.broken("%s has the role no longer that may sign it: %s", p.row.Name, r.who())
	}
	epochs, err := w.active(p)
	if err != nil {
		return err
	}
	out.Signer = p.row
	switch {
	case !f.invite.IsZero():
		e, ok := f.body.(*statement.Enrol)
		if !ok || e.Epochs != epochs {
			return stale("the invitation")
		}
		out.Key = keyOf(f, e)
	case f.sshKey != "":
		out.SSHKey, err = w.usableSSH(f.sshKey, epochs)
	default:
		out.Key, err = w.usable(f.key, epochs)
	}
	return err
}

// active returns the present epochs of a person who may act, or why he may
// not.
func (w *walk) active(p *person) (gateway.Epochs, error) {
	if p.row.State != gateway.Active {
		return gateway.Epochs{}, closed("person", p.row.Name, p.row.State)
	}
	e := gateway.Epochs{Person: p.row.Epoch}
	if p.row.Vendor == "" {
		return e, nil
	}
	v, err := w.vendor(p.row.Vendor)
	if err != nil {
		return gateway.Epochs{}, absentVendor(err, p.row.Vendor)
	}
	if v.row.State != gateway.Active {
		return gateway.Epochs{}, closed("vendor", v.row.Name, v.row.State)
	}
	e.Vendor = v.row.Epoch
	return e, nil
}

func closed(what, name string, s gateway.State) error {
	if s == gateway.Restoring {
		return gateway.Refused(Rule, "a second person of the staff must sign the restoration first", "%s %s is being restored and still closed", what, name)
	}
	return gateway.Refused(Rule, "call the operator's control room", "%s %s is %s", what, name, s)
}

func stale(what string) error {
	return gateway.Refused(Rule, "ask an administrator for an invitation and enrol a key anew", "%s is from before a suspension", what)
}

func sameProof(a, b statement.Proof) bool {
	return a.Kind == b.Kind && a.Key == b.Key && string(a.ClientData) == string(b.ClientData) &&
		string(a.AuthenticatorData) == string(b.AuthenticatorData) && string(a.Signature) == string(b.Signature)
}
