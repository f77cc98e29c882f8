package trust_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// newest asks for the key of the engineer that was enrolled last, however.
func newest(ctx context.Context, w *trusttest.World, c *trust.Chain) error {
	var last gateway.Authenticator
	for _, a := range w.Store.Authenticators {
		if a.Person == trusttest.Engineer && !a.Enrolled.Before(last.Enrolled) {
			last = a
		}
	}
	_, err := c.Authenticator(ctx, last.ID)
	return err
}

// restored suspends the vendor and restores it: epoch 3.
func restored(w *trusttest.World) {
	b, _ := w.Suspend(trusttest.Responder, ofVendor)
	w.Advance(time.Hour)
	w.Restore(ofVendor, b.ID, trusttest.Responder, trusttest.Approver)
	w.Advance(time.Hour)
}

func addSSH(w *trusttest.World) { w.AddSSHKey(trusttest.Engineer) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// enrol files an enrolment of a fresh key for the engineer, let in by an
// invitation key, whatever is behind it.
func enrol(w *trusttest.World, inv *statement.Invite, token ed25519.PrivateKey, by ...gateway.Digest) {
	body, c := w.NewKey(trusttest.Engineer)
	body.Invitation = inv.ID
	s := w.Draft(trusttest.Engineer, body, by...)
	w.Commit(w.Touch(&trusttest.Keyholder{Credential: c}, s.SignEd25519(token)))
}

var keyAttacks = []attack{
	{name: "key: public key replaced in the row", ask: newest, want: "its public key is not what was signed", edit: func(w *trusttest.World) {
		body, _ := w.NewKey("eve")
		set(w.Store.Authenticators, w.Key("eve").Credential.Text(), func(a *gateway.Authenticator) { a.PublicKey = body.PublicKey })
	}},
	{name: "key: given to another person in the row", ask: key(trusttest.Engineer), want: "its person is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Authenticators, w.Key("eve").Credential.Text(), func(a *gateway.Authenticator) { a.Person, a.Epochs = trusttest.Admin, gateway.Epochs{Person: 1} })
	}},
	{name: "key: names another key's enrolment", ask: key(trusttest.Engineer), want: "names a statement about", edit: func(w *trusttest.World) {
		set(w.Store.Authenticators, w.Key("eve").Credential.Text(), func(a *gateway.Authenticator) { a.Statement = w.Key(trusttest.Approver).Enrolment })
	}},
	{name: "key: copyable key shown as one that is not", ask: newest, want: "its backup flag is not what was signed", edit: func(w *trusttest.World) {
		set(w.Store.Authenticators, w.Key("eve").Credential.Text(), func(a *gateway.Authenticator) { a.BackupEligible = true })
	}},
	{name: "key: enrolled by itself alone", ask: newest, want: "by the new key and by what lets it in", edit: func(w *trusttest.World) {
		body, c := w.NewKey("eve")
		w.Commit(w.Touch(&trusttest.Keyholder{Credential: c}, w.Draft("eve", body)))
	}},
	{name: "key: enrolled by itself twice", ask: newest, want: "by the new key and by what lets it in", edit: func(w *trusttest.World) {
		body, c := w.NewKey("eve")
		k := &trusttest.Keyholder{Credential: c}
		w.Commit(w.Touch(k, w.Touch(k, w.Draft("eve", body))))
	}},
	{name: "key: let in by a key nobody enrolled", ask: newest, want: "cites no enrolment of the key that signed it", edit: func(w *trusttest.World) {
		body, c := w.NewKey("eve")
		_, other := w.NewKey("eve")
		w.Commit(w.Touch(&trusttest.Keyholder{Credential: other}, w.Touch(&trusttest.Keyholder{Credential: c}, w.Draft("eve", body, w.Key("eve").Enrolment))))
	}},
	{name: "key: let in by another person's key", ask: newest, want: `the key that signed it is "ben"'s`, edit: func(w *trusttest.World) {
		body, c := w.NewKey("eve")
		ben := w.Key(trusttest.Approver)
		w.Commit(w.Touch(ben, w.Touch(&trusttest.Keyholder{Credential: c}, w.Draft("eve", body, ben.Enrolment))))
	}},
	{name: "key: by an invitation that expired", ask: newest, want: "had expired", edit: func(w *trusttest.World) {
		inv, token, s := w.Invite(trusttest.Admin, "eve")
		w.Advance(25 * time.Hour)
		enrol(w, inv, token, s.Digest)
	}},
	{name: "key: by an invitation of another person", ask: newest, want: `by an invitation of "ben"`, edit: func(w *trusttest.World) {
		inv, token, s := w.Invite(trusttest.Admin, trusttest.Approver)
		enrol(w, inv, token, s.Digest)
	}},
	{name: "key: by an invitation with a key of the thief's", ask: newest, want: "the invitation's signature does not hold", edit: func(w *trusttest.World) {
		inv, _, s := w.Invite(trusttest.Admin, "eve")
		_, own, _ := ed25519.GenerateKey(rand.Reader)
		set(w.Store.Invitations, inv.ID, func(i *gateway.Invitation) { i.PublicKey, _ = own.Public().(ed25519.PublicKey) })
		enrol(w, inv, own, s.Digest)
	}},
	{name: "key: by an invitation of an approver's", ask: newest, want: "only admin", edit: func(w *trusttest.World) {
		inv, token, s := w.Invite(trusttest.Approver, "eve")
		enrol(w, inv, token, s.Digest)
	}},
	{name: "key: by an invitation that is a row alone", ask: newest, want: "is not on file", edit: func(w *trusttest.World) {
		inv, token, s := w.Invite(trusttest.Approver, "eve")
		delete(w.Store.Statements, s.Digest)
		enrol(w, inv, token)
	}},
	{name: "key: by an invitation from before a suspension", ask: newest, closed: true, want: "by an invitation from before a suspension", before: restored,
		edit: func(w *trusttest.World) {
			// The thief kept the link of an invitation and signs with it now.
			inv, token, s := w.Invite(trusttest.Admin, "eve")
			inv.Epochs = gateway.Epochs{Vendor: 1, Person: 1}
			enrol(w, inv, token, w.Do(trusttest.Admin, inv).Digest, s.Digest)
		}},
	{name: "key: let in by a key from before a suspension", ask: newest, closed: true, want: "was enrolled before a suspension", before: restored,
		edit: func(w *trusttest.World) { w.EnrolMore(trusttest.Engineer) }},
	{name: "ssh key: added by a key from before a suspension", ask: sshKey, want: "vendor acme of its signer was suspended or removed then", before: restored,
		edit: func(w *trusttest.World) { w.AddSSHKey(trusttest.Engineer) }},
	{name: "key: pinned to an older life than its vendor's", ask: key(trusttest.Engineer), closed: true, want: "is from before a suspension", before: restored,
		edit: func(w *trusttest.World) { w.Advance(time.Hour) }},
	{name: "key: from before a suspension, row brought up to date", ask: key(trusttest.Engineer), want: "its epochs is not what was signed",
		before: func(w *trusttest.World) { restored(w); w.Enrol(trusttest.Engineer) },
		edit: func(w *trusttest.World) {
			set(w.Store.Authenticators, w.Key("eve").Credential.Text(), func(a *gateway.Authenticator) { a.Epochs.Vendor = 5 })
		}},
	{name: "key: removal undone in the row", ask: key(trusttest.Engineer), closed: true, want: "forgotten a removal", floor: true,
		before: func(w *trusttest.World) {
			id := w.Key("eve").Credential.Text()
			w.Do(trusttest.Admin, &statement.KeyRemove{Credential: id, Person: "eve", Label: "key of eve"})
			must(w.Floor.Raise("key-removed:"+id, 1))
		},
		edit: func(w *trusttest.World) {
			set(w.Store.Authenticators, w.Key("eve").Credential.Text(), func(a *gateway.Authenticator) { a.Removed = time.Time{} })
		}},
	{name: "key: removal moved to a later day", ask: key(trusttest.Engineer), closed: true, want: "a later removal than this machine has seen", floor: true,
		before: func(w *trusttest.World) {
			id := w.Key("eve").Credential.Text()
			w.Do(trusttest.Admin, &statement.KeyRemove{Credential: id, Person: "eve", Label: "key of eve"})
			must(w.Floor.RaiseRemoved("key-removed:"+id, w.Store.Authenticators[id].Removed))
		},
		edit: func(w *trusttest.World) {
			set(w.Store.Authenticators, w.Key("eve").Credential.Text(), func(a *gateway.Authenticator) { a.Removed = a.Removed.Add(time.Hour) })
		}},
	{name: "ssh key: another key in the row", ask: sshKey, before: addSSH, want: "its key is not what was signed", edit: func(w *trusttest.World) {
		for fp := range w.Store.SSHKeys {
			set(w.Store.SSHKeys, fp, func(k *gateway.SSHKey) { k.Key = "ssh-ed25519 AAAA" })
		}
	}},
	{name: "ssh key: given to another person in the row", ask: sshKey, before: addSSH, want: "its person is not what was signed", edit: func(w *trusttest.World) {
		for fp := range w.Store.SSHKeys {
			set(w.Store.SSHKeys, fp, func(k *gateway.SSHKey) { k.Person = trusttest.Admin })
		}
	}},
	{name: "ssh key: filed under another fingerprint", ask: sshKey, before: addSSH, want: "names a statement about", edit: func(w *trusttest.World) {
		for fp, k := range w.Store.SSHKeys {
			delete(w.Store.SSHKeys, fp)
			w.Store.SSHKeys["SHA256:mallory"] = k
			return
		}
	}},
	{name: "ssh key: added for somebody by somebody else", ask: sshKey, want: "only the person whom it is about may sign it", edit: func(w *trusttest.World) {
		b, s := w.AddSSHKey(trusttest.Engineer)
		delete(w.Store.Statements, s.Digest)
		b.Person, b.Epochs = trusttest.Approver, w.Epochs(trusttest.Approver)
		w.Do(trusttest.Engineer, b)
	}},
	{name: "ssh key: removal undone in the row", ask: sshKey, closed: true, want: "forgotten a removal", floor: true,
		before: func(w *trusttest.World) {
			b, _ := w.AddSSHKey(trusttest.Engineer)
			w.Do(trusttest.Engineer, &statement.SSHKeyRemove{Fingerprint: b.Fingerprint, Person: b.Person, Label: b.Label})
			must(w.Floor.Raise("sshkey-removed:"+b.Fingerprint, 1))
		},
		edit: func(w *trusttest.World) {
			for fp := range w.Store.SSHKeys {
				set(w.Store.SSHKeys, fp, func(k *gateway.SSHKey) { k.Removed = time.Time{} })
			}
		}},
	{name: "invitation: another key in the row", ask: invitation, want: "its public key is not what was signed", edit: func(w *trusttest.World) {
		for id := range w.Store.Invitations {
			set(w.Store.Invitations, id, func(i *gateway.Invitation) { i.PublicKey = make([]byte, ed25519.PublicKeySize) })
		}
	}},
	{name: "invitation: end moved in the row", ask: invitation, want: "its end is not what was signed", edit: func(w *trusttest.World) {
		for id := range w.Store.Invitations {
			set(w.Store.Invitations, id, func(i *gateway.Invitation) { i.Expires = i.Expires.Add(time.Hour) })
		}
	}},
}
