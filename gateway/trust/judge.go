package trust

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// slack is how much later than a change a statement may have been drawn up
// and still stand before it: both were drawn up to statement.Fresh before
// they were written, in whichever order.
const slack = statement.Fresh

// judge asks whether the signer was entitled when he signed: the admission
// that he cites was in force with the role that is needed, he and his vendor
// were not suspended, and his key was not removed.
func (w *walk) judge(f *fact) error {
	if f.st.Signer == statement.Machine {
		return nil
	}
	adm, err := w.need(f.admission)
	if err != nil {
		return err
	}
	p, err := w.person(f.st.Signer)
	if err != nil {
		return f.wrap("its signer", absentPerson(err, f.st.Signer))
	}
	if err := p.history.inForce(adm, f.st.At); err != nil {
		return f.wrap("the admission that it cites", err)
	}
	epochs, err := w.letIn(f)
	if err != nil {
		return err
	}
	return w.livedThen(f, p, epochs)
}

// letIn follows the link to the key or invitation that signed, and returns
// the epochs that it is pinned to.
func (w *walk) letIn(f *fact) (gateway.Epochs, error) {
	if !f.invite.IsZero() {
		i, err := w.need(f.invite)
		if err != nil {
			return gateway.Epochs{}, f.wrap("the invitation that let it in", err)
		}
		inv, ok := i.body.(*statement.Invite)
		if !ok {
			return gateway.Epochs{}, f.broken("it was let in by no invitation")
		}
		return inv.Epochs, nil
	}
	if f.sshKey != "" {
		return w.letInSSH(f)
	}
	k, err := w.need(f.enrolment)
	if err != nil {
		return gateway.Epochs{}, f.wrap("the enrolment of the key that signed it", err)
	}
	e, ok := k.body.(*statement.Enrol)
	if !ok {
		return gateway.Epochs{}, f.broken("it cites no enrolment of the key that signed it")
	}
	row, err := w.key(f.key)
	if err != nil {
		return gateway.Epochs{}, f.wrap("the key that signed it", err)
	}
	switch {
	case !row.Statement.Equal(f.enrolment):
		return gateway.Epochs{}, f.broken("the row of the key that signed it names another enrolment")
	case !row.Removed.IsZero() && f.st.At.After(row.Removed.Add(slack)):
		return gateway.Epochs{}, f.broken("the key that signed it had been removed")
	}
	return e.Epochs, nil
}

// livedThen holds epochs to what was in force for the signer at that time.
func (w *walk) livedThen(f *fact, p *person, epochs gateway.Epochs) error {
	if !p.life.held(epochs.Person, f.st.At) {
		return f.broken("its signer was suspended then, or used a key from before a suspension")
	}
	if p.row.Vendor == "" {
		if epochs.Vendor != 0 {
			return f.broken("the key that signed it is pinned to a vendor that its signer is not of")
		}
		return nil
	}
	v, err := w.vendor(p.row.Vendor)
	if err != nil {
		return f.wrap("its signer's vendor", absentVendor(err, p.row.Vendor))
	}
	if !v.life.held(epochs.Vendor, f.st.At) || v.history.removedBy(f.st.At) {
		return f.broken("vendor %s of its signer was suspended or removed then, or the key is from before a suspension", p.row.Vendor)
	}
	return nil
}

// key reads a key's row once. A removal that this machine has seen is not
// undone by the row.
func (w *walk) key(credential string) (gateway.Authenticator, error) {
	if k, ok := w.keys[credential]; ok {
		return k, nil
	}
	k, err := w.store.Authenticator(w.ctx, credential)
	if err != nil {
		return k, absent(err, "key", credential)
	}
	if k.Removed, err = w.floor.removed(keyRemoved+credential, k.Removed); err != nil {
		return k, err
	}
	w.keys[credential] = k
	return k, nil
}

// inForce reports whether the version was not yet replaced at that time.
func (h history) inForce(f *fact, at time.Time) error {
	for i, v := range h {
		if !v.s.Digest.Equal(f.s.Digest) {
			continue
		}
		if edition(v.body).removed {
			return broken("it removes %s", edition(v.body).subject)
		}
		if i+1 < len(h) && at.After(h[i+1].st.At.Add(slack)) {
			return broken("it had been replaced by version %d", edition(h[i+1].body).version)
		}
		return nil
	}
	return broken("it is not a version of %s that is on file", gateway.Quote(f.body.Subject()))
}

// removedBy reports whether the last version removes the subject and stood
// by that time.
func (h history) removedBy(at time.Time) bool {
	last := h[len(h)-1]
	return edition(last.body).removed && at.After(last.st.At.Add(slack))
}
