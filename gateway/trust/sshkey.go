package trust

import (
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// proveSSHSIG verifies a touch by an SSH security key of the signer whose
// addition is cited. The opening of a session must have been drawn up for that
// key.
func (w *walk) proveSSHSIG(f *fact, p statement.Proof, cited []*fact) error {
	if !ruleOf(f.st.Kind).sshKey {
		return f.broken("it is proven by an SSH key, which may open a session or sign an order, and nothing else")
	}
	namespace := statement.OrderNamespace(w.rp.ID)
	if o, ok := f.body.(*statement.Open); ok {
		namespace = statement.OpenNamespace(w.rp.ID)
		if !o.ByKey() || o.Transport != p.Key {
			return f.broken("it was drawn up for something else than the SSH key that signed it")
		}
	}
	for _, c := range cited {
		k, ok := c.body.(*statement.SSHKeyAdd)
		if !ok || k.Fingerprint != p.Key {
			continue
		}
		if k.Person != f.st.Signer {
			return f.broken("the SSH key that signed it is %s's", gateway.Quote(k.Person))
		}
		key, err := statement.ParseSSHKey(k.Key)
		if err != nil {
			return f.wrap("the SSH key that signed it", err)
		}
		if _, err := f.s.VerifySSHSIG(p, key, namespace); err != nil {
			return f.wrap("the touch", err)
		}
		f.sshKey, f.enrolment = k.Fingerprint, c.s.Digest
		return nil
	}
	return f.broken("it cites no addition of the SSH key that signed it")
}

// letInSSH is letIn for a statement that an SSH security key signed.
func (w *walk) letInSSH(f *fact) (gateway.Epochs, error) {
	row, err := w.sshKey(f.sshKey)
	if err != nil {
		return gateway.Epochs{}, f.wrap("the SSH key that signed it", absent(err, "SSH key", f.sshKey))
	}
	switch {
	case !row.Statement.Equal(f.enrolment):
		return gateway.Epochs{}, f.broken("the row of the SSH key that signed it names another statement")
	case !row.Removed.IsZero() && f.st.At.After(row.Removed.Add(slack)):
		return gateway.Epochs{}, f.broken("the SSH key that signed it had been removed")
	}
	return row.Epochs, nil
}

// usableSSH holds an SSH key to the present.
func (w *walk) usableSSH(fingerprint string, epochs gateway.Epochs) (gateway.SSHKey, error) {
	row, err := w.sshKey(fingerprint)
	switch {
	case err != nil:
		return gateway.SSHKey{}, absent(err, "SSH key", fingerprint)
	case !row.Removed.IsZero():
		return gateway.SSHKey{}, removedSSH(row)
	case row.Epochs != epochs:
		return gateway.SSHKey{}, stale("SSH key " + gateway.Quote(row.Label))
	}
	return row, nil
}

// sshKey reads an SSH key's row, once, and holds it to the statement that
// added it. gateway.ErrNotFound if there is no row.
func (w *walk) sshKey(fingerprint string) (gateway.SSHKey, error) {
	if k, ok := w.sshKeys[fingerprint]; ok {
		return k, nil
	}
	row, err := w.store.SSHKey(w.ctx, fingerprint)
	if err != nil {
		return gateway.SSHKey{}, notFoundOr(err)
	}
	f, err := w.need(row.Statement)
	if err != nil {
		return gateway.SSHKey{}, err
	}
	b, ok := f.body.(*statement.SSHKeyAdd)
	if !ok || b.Fingerprint != fingerprint {
		return gateway.SSHKey{}, broken("the row of SSH key %s names a statement about %s", gateway.Quote(row.Label), gateway.Quote(f.body.Subject()))
	}
	if field := differs(
		diff{"fingerprint", row.Fingerprint == b.Fingerprint}, diff{"person", row.Person == b.Person}, diff{"label", row.Label == b.Label},
		diff{"key", row.Key == b.Key}, diff{"epochs", row.Epochs == b.Epochs},
	); field != "" {
		return gateway.SSHKey{}, broken("the row of SSH key %s was changed: its %s is not what was signed", gateway.Quote(row.Label), field)
	}
	if row.Removed, err = w.floor.removed(sshKeyRemoved+fingerprint, row.Removed); err != nil {
		return gateway.SSHKey{}, err
	}
	if row.Attested = nil; b.Attestation != nil {
		proven := b.Attestation.SSHAttested
		row.Attested = &proven
	}
	w.sshKeys[fingerprint] = row
	return row, nil
}

func removedSSH(row gateway.SSHKey) error {
	return gateway.Refused(Rule, "use another key, or add one anew", "SSH key %s was removed", gateway.Quote(row.Label))
}
