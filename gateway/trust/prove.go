package trust

import (
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// prove verifies what follows from bytes alone: the gateway, the links in By,
// and the signatures. It opens the statements that f cites, which are proven
// in their own turn.
func (w *walk) prove(f *fact) error {
	if f.st.Gateway != w.gateway {
		return f.broken("it was made for the gateway %s, which is not this one", gateway.Quote(f.st.Gateway))
	}
	if f.st.Signer == statement.Machine {
		return w.proveMachine(f)
	}
	if len(f.st.By) > maxBy {
		return f.broken("it cites %d statements; at most %d are looked at", len(f.st.By), maxBy)
	}
	cited := make([]*fact, 0, len(f.st.By))
	for _, d := range f.st.By {
		c, err := w.open(d)
		if err != nil {
			return f.wrap("what it cites", err)
		}
		cited = append(cited, c)
	}
	if err := f.findAdmission(cited); err != nil {
		return err
	}
	if e, ok := f.body.(*statement.Enrol); ok {
		return w.proveEnrol(f, e, cited)
	}
	if len(f.s.Proofs) != 1 {
		return f.broken("it carries %d proofs instead of one", len(f.s.Proofs))
	}
	return w.proveTouch(f, f.s.Proofs[0], cited)
}

// proveMachine holds what root signed at the local socket to roots[].
func (w *walk) proveMachine(f *fact) error {
	if !ruleOf(f.st.Kind).machine {
		return f.broken("the machine's own key may not sign it: only %s may", ruleOf(f.st.Kind).who())
	}
	if len(f.s.Proofs) != 1 || len(f.st.By) != 0 {
		return f.broken("what the machine signs carries one proof and cites nothing")
	}
	for _, root := range w.roots {
		if f.s.Proofs[0].Key == statement.FormatRoot(root) {
			if err := f.s.VerifyEd25519(f.s.Proofs[0], root); err != nil {
				return f.wrap("the machine's signature", err)
			}
			return nil
		}
	}
	return f.broken("the machine key %s that signed it is not in roots[] of this node's configuration", gateway.Quote(f.s.Proofs[0].Key))
}

// findAdmission picks the one admission of the signer among what is cited.
func (f *fact) findAdmission(cited []*fact) error {
	for _, c := range cited {
		b, ok := c.body.(*statement.PersonAdmit)
		if !ok || b.Name != f.st.Signer {
			continue
		}
		if !f.admission.IsZero() && !f.admission.Equal(c.s.Digest) {
			return f.broken("it cites two admissions of its signer")
		}
		f.admission = c.s.Digest
		if !ruleOf(f.st.Kind).allows(f.body, b.Name, b.Vendor, b.Roles) {
			return f.broken("its signer was admitted as %s, and only %s may sign it", rolesOf(b), ruleOf(f.st.Kind).who())
		}
	}
	if f.admission.IsZero() {
		return f.broken("it cites no statement that admits its signer")
	}
	return nil
}

// proveTouch verifies a touch by a key of the signer whose enrolment is cited.
func (w *walk) proveTouch(f *fact, p statement.Proof, cited []*fact) error {
	if p.Kind == statement.SSHSIG {
		return w.proveSSHSIG(f, p, cited)
	}
	if p.Kind != statement.WebAuthn {
		return f.broken("it is proven by %s, where a touch is needed", gateway.Quote(string(p.Kind)))
	}
	if o, ok := f.body.(*statement.Open); ok && o.ByKey() {
		return f.broken("it was drawn up for an SSH security key and touched with another")
	}
	for _, c := range cited {
		e, ok := c.body.(*statement.Enrol)
		if !ok || e.Credential != p.Key {
			continue
		}
		if e.Person != f.st.Signer {
			return f.broken("the key that signed it is %s's", gateway.Quote(e.Person))
		}
		if _, err := f.s.VerifyWebAuthn(p, e.PublicKey, w.rp); err != nil {
			return f.wrap("the touch", err)
		}
		f.key, f.enrolment = e.Credential, c.s.Digest
		return nil
	}
	return f.broken("it cites no enrolment of the key that signed it")
}

// proveEnrol verifies both signatures of an enrolment: the new key's own, and
// that of what lets it in.
func (w *walk) proveEnrol(f *fact, e *statement.Enrol, cited []*fact) error {
	var own, other *statement.Proof
	for i, p := range f.s.Proofs {
		if p.Kind == statement.WebAuthn && p.Key == e.Credential {
			own = &f.s.Proofs[i]
		} else {
			other = &f.s.Proofs[i]
		}
	}
	if own == nil || other == nil || len(f.s.Proofs) != 2 {
		return f.broken("an enrolment is signed by the new key and by what lets it in, and by nothing else")
	}
	if _, err := f.s.VerifyWebAuthn(*own, e.PublicKey, w.rp); err != nil {
		return f.wrap("the new key's touch", err)
	}
	if e.Invitation == "" {
		if err := w.proveTouch(f, *other, cited); err != nil {
			return err
		}
		old, err := w.open(f.enrolment)
		if err != nil {
			return err
		}
		if o, ok := old.body.(*statement.Enrol); !ok || o.Epochs != e.Epochs {
			return f.broken("the key that lets it in was enrolled before a suspension or for another life of the person")
		}
		return nil
	}
	return w.proveInvited(f, e, *other, cited)
}

// proveInvited verifies that a signed invitation let the key in, in time.
func (w *walk) proveInvited(f *fact, e *statement.Enrol, p statement.Proof, cited []*fact) error {
	i, err := w.invitation(e.Invitation, cited)
	if err != nil {
		return f.wrap("the invitation that let it in", err)
	}
	inv, ok := i.body.(*statement.Invite)
	switch {
	case !ok || inv.ID != e.Invitation:
		return f.broken("the invitation that let it in is about %s", gateway.Quote(i.body.Subject()))
	case inv.Person != e.Person:
		return f.broken("it was let in by an invitation of %s", gateway.Quote(inv.Person))
	case inv.Epochs != e.Epochs:
		return f.broken("it was let in by an invitation from before a suspension")
	case f.st.At.After(inv.Expires):
		return f.broken("the invitation that let it in had expired")
	case i.st.At.After(f.st.At.Add(slack)):
		return f.broken("it is older than the invitation that let it in")
	}
	if err := f.s.VerifyEd25519(p, inv.PublicKey); err != nil {
		return f.wrap("the invitation's signature", err)
	}
	f.invite = i.s.Digest
	return nil
}

// invitation finds the invitation's statement: cited, or else through the
// invitation's row, which cannot mislead because the statement must name the
// same invitation and hold.
func (w *walk) invitation(id string, cited []*fact) (*fact, error) {
	for _, c := range cited {
		if b, ok := c.body.(*statement.Invite); ok && b.ID == id {
			return c, nil
		}
	}
	row, err := w.store.Invitation(w.ctx, id)
	if err != nil {
		return nil, absent(err, "invitation", id)
	}
	return w.open(row.Statement)
}

func rolesOf(b *statement.PersonAdmit) string {
	s := ""
	for i, r := range b.Roles {
		if i > 0 {
			s += ", "
		}
		s += string(r)
	}
	if b.Vendor != "" {
		return s + " of vendor " + b.Vendor
	}
	if s == "" {
		return "nothing"
	}
	return s
}
