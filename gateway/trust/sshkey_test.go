package trust_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

var openHere = statement.OpenNamespace("localhost")

// skOf adds a fresh SSH security key of the person.
func skOf(w *trusttest.World, person string) (*softkey.SSHKey, gateway.Digest) {
	w.T.Helper()
	k, err := softkey.NewSSHKey(ssh.KeyAlgoSKED25519)
	must(err)
	s := w.Do(person, &statement.SSHKeyAdd{Fingerprint: fingerprint(k), Key: k.Line(), Person: person, Label: "token", Epochs: w.Epochs(person)})
	return k, s.Digest
}

func fingerprint(k *softkey.SSHKey) string { return ssh.FingerprintSHA256(k.PublicKey()) }

// ticket is what the key would sign to open a session of the engineer.
func ticket(w *trusttest.World, k *softkey.SSHKey) *statement.Open {
	b, _ := bodies(w)[statement.KindOpen].(*statement.Open)
	b.Binding, b.Transport, b.Code = statement.BindLogin, fingerprint(k), ""
	return b
}

func signedBy(w *trusttest.World, k *softkey.SSHKey, s statement.Signed) statement.Signed {
	w.T.Helper()
	s, err := k.TouchSSH(s, openHere)
	must(err)
	return s
}

func TestSSHKeyOpensASession(t *testing.T) {
	w := trusttest.New(t)
	k, added := skOf(w, trusttest.Engineer)
	s := signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), added))
	for range 2 { // the second comes from what is remembered as proven
		c, err := w.Chain.CheckFresh(t.Context(), s)
		if err != nil || c.Signer.Name != trusttest.Engineer || c.SSHKey.Fingerprint != fingerprint(k) || c.Key.ID != "" {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	bad := s
	bad.Proofs = []statement.Proof{s.Proofs[0]}
	bad.Proofs[0].Signature = append([]byte("x"), bad.Proofs[0].Signature...)
	if _, err := w.Chain.Check(t.Context(), bad); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("another proof under a proven statement: %v", err)
	}
}

func TestSSHKeySignsNothingElse(t *testing.T) {
	w := trusttest.New(t)
	k, added := skOf(w, trusttest.Engineer)
	own := w.Key(trusttest.Engineer).Enrolment
	for kind, body := range bodies(w) {
		s := signedBy(w, k, w.Draft(trusttest.Engineer, body, added, own))
		if _, err := w.Chain.CheckFresh(t.Context(), s); !gateway.IsCode(err, gateway.CodeRefused) {
			t.Errorf("%s by an SSH key: %v", kind, err) // session.open too: it is bound to a connection
		}
	}
	inv, token, invited := w.Invite(trusttest.Admin, trusttest.Engineer)
	body, _ := w.NewKey(trusttest.Engineer)
	body.Invitation = inv.ID
	s := signedBy(w, k, w.Draft(trusttest.Engineer, body, invited.Digest, added).SignEd25519(token))
	if _, err := w.Chain.CheckFresh(t.Context(), s); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("an enrolment by an SSH key: %v", err)
	}
}

func TestSSHKeyThatMayNot(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed
		says string
	}{
		{"another person's key", func(w *trusttest.World, _ *softkey.SSHKey, _ gateway.Digest) statement.Signed {
			k, added := skOf(w, trusttest.Approver)
			return signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), added))
		}, `"ben"'s`},
		{"a key that was never added", func(w *trusttest.World, _ *softkey.SSHKey, added gateway.Digest) statement.Signed {
			k, err := softkey.NewSSHKey(ssh.KeyAlgoSKED25519)
			must(err)
			return signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), added))
		}, "cites no addition"},
		{"a key that is not cited", func(w *trusttest.World, k *softkey.SSHKey, _ gateway.Digest) statement.Signed {
			return signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), w.Key(trusttest.Engineer).Enrolment))
		}, "cites no addition"},
		{"drawn up for another key", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			other, more := skOf(w, trusttest.Engineer)
			return signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, other), added, more))
		}, "something else than the SSH key"},
		{"drawn up for a browser's login", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			b := ticket(w, k)
			b.Transport = "log_1"
			return signedBy(w, k, w.Draft(trusttest.Engineer, b, added))
		}, "something else than the SSH key"},
		{"touched in a browser", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			return w.Sign(trusttest.Engineer, ticket(w, k))
		}, "touched with another"},
		{"without verification", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			k.Flags = 1
			return signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), added))
		}, "did not verify its user"},
		{"for another gateway's namespace", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			s, err := k.TouchSSH(w.Draft(trusttest.Engineer, ticket(w, k), added), statement.OpenNamespace("evil.example"))
			must(err)
			return s
		}, "namespace"},
		{"a removed key", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			s := signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), added))
			w.Do(trusttest.Engineer, &statement.SSHKeyRemove{Fingerprint: fingerprint(k), Person: trusttest.Engineer, Label: "token"})
			return s
		}, "was removed"},
		{"a key removed long before", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			w.Do(trusttest.Engineer, &statement.SSHKeyRemove{Fingerprint: fingerprint(k), Person: trusttest.Engineer, Label: "token"})
			w.Advance(time.Hour)
			return signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), added))
		}, "had been removed"},
		{"a suspended vendor's", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			s := signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), added))
			w.Suspend(trusttest.Responder, ofVendor)
			return s
		}, "suspended"},
		{"a key from before a suspension", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			restored(w)
			return signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), added))
		}, "before a suspension"},
		{"a row that was given another key", func(w *trusttest.World, k *softkey.SSHKey, added gateway.Digest) statement.Signed {
			other, err := softkey.NewSSHKey(ssh.KeyAlgoSKED25519)
			must(err)
			set(w.Store.SSHKeys, fingerprint(k), func(row *gateway.SSHKey) { row.Key = other.Line() })
			return signedBy(w, k, w.Draft(trusttest.Engineer, ticket(w, k), added))
		}, "its key is not what was signed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trusttest.New(t)
			k, added := skOf(w, trusttest.Engineer)
			if _, err := w.Chain.Check(t.Context(), c.do(w, k, added)); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %q", err, c.says)
			}
		})
	}
}
