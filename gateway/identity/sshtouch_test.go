package identity_test

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

const laptop = "192.0.2.7:4711"

// token adds an SSH security key of the engineer's.
func (w *world) tokenOf(person string) *softkey.SSHKey {
	w.t.Helper()
	k, err := softkey.NewSSHKey(ssh.KeyAlgoSKECDSA256)
	if err != nil {
		w.t.Fatal(err)
	}
	login := w.enrol(person, softkey.New(trusttest.URL))
	body, err := w.svc.DraftSSHKey(w.t.Context(), w.person(person), k.Line(), "token")
	if err != nil {
		w.t.Fatal(err)
	}
	signed, err := w.touch(login, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.svc.CommitSSHKey(w.t.Context(), signed); err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) beginSSH(k *softkey.SSHKey) identity.SSHChallenge {
	w.t.Helper()
	fp := ssh.FingerprintSHA256(k.PublicKey())
	p, row, err := w.svc.SSHSigner(w.t.Context(), fp, laptop)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := w.svc.DraftSSH(w.t.Context(), p, row, laptop, &statement.Open{
		Grant: gateway.NewID("grt", w.Now()), Request: gateway.DigestOf([]byte("ask")), Person: p.Name, Vendor: p.Vendor, Target: "plc-1", Account: "ops",
		Abilities: gateway.Abilities{Shell: true}, From: gateway.Instant(w.Now()), To: gateway.Instant(w.Now().Add(time.Hour)), Binding: statement.BindLogin, Transport: fp, Source: laptop,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) sigOf(k *softkey.SSHKey, c identity.SSHChallenge) []byte {
	w.t.Helper()
	return w.must(k.SSHSIG(c.Statement, c.Namespace))
}

func TestSSHTouchIsTakenOnceAndCounted(t *testing.T) {
	w := newWorld(t)
	k := w.tokenOf(engineer)
	k.Counter = 6
	c := w.beginSSH(k)
	if c.Namespace != "portcullis-open@localhost" {
		t.Errorf("namespace %q", c.Namespace)
	}
	sig := w.sigOf(k, c)
	signed, err := w.svc.SignSSH(t.Context(), c.ID, sig, laptop)
	if err != nil {
		t.Fatal(err)
	}
	if checked, err := w.chain.CheckFresh(t.Context(), signed); err != nil || checked.SSHKey.Counter != 7 || checked.Signer.Name != engineer {
		t.Fatalf("%+v, %v", checked, err)
	}
	_, err = w.svc.SignSSH(t.Context(), c.ID, sig, laptop)
	refused(t, err, "signed before")

	again := w.beginSSH(k)
	_, err = w.svc.SignSSH(t.Context(), again.ID, sig, laptop)
	w.refusedEvent(err, audit.TouchRefused, "this very statement")
	if e := w.last(); e.Actor != "gateway" || e.Person != engineer {
		t.Errorf("who did not prove to hold the key is the actor of %+v", e)
	}

	k.Counter = 6
	back := w.beginSSH(k)
	_, err = w.svc.SignSSH(t.Context(), back.ID, w.sigOf(k, back), laptop)
	w.refusedEvent(err, audit.TouchRefused, "counter stands at 7 and was 7")

	elsewhere := w.beginSSH(k)
	_, err = w.svc.SignSSH(t.Context(), elsewhere.ID, w.sigOf(k, elsewhere), "198.51.100.9:22")
	w.refusedEvent(err, audit.TouchRefused, "another address")

	late := w.beginSSH(k)
	w.Advance(statement.Fresh + time.Second)
	_, err = w.svc.SignSSH(t.Context(), late.ID, w.sigOf(k, late), laptop)
	refused(t, err, "older than")
}

// Of two touches that show the same count, made by a key and its copy, one is
// taken.
func TestSSHTouchOfTheSameCount(t *testing.T) {
	w := newWorld(t)
	k := w.tokenOf(engineer)
	var ids []string
	var sigs [][]byte
	for range 8 {
		c := w.beginSSH(k)
		k.Counter = 40
		ids, sigs = append(ids, c.ID), append(sigs, w.sigOf(k, c))
	}
	var wg sync.WaitGroup
	won := make(chan struct{}, len(ids))
	for i := range ids {
		wg.Go(func() {
			if _, err := w.svc.SignSSH(t.Context(), ids[i], sigs[i], laptop); err == nil {
				won <- struct{}{}
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d touches of one count were taken", len(won))
	}
}

// V-28: a signature without presence, or without verification, is no touch.
func TestSSHTouchThatDoesNotHold(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, k *softkey.SSHKey, c identity.SSHChallenge) []byte
		says string
	}{
		{"no presence", func(w *world, k *softkey.SSHKey, c identity.SSHChallenge) []byte {
			k.Flags = 4
			return w.sigOf(k, c)
		}, "not touched"},
		{"no verification", func(w *world, k *softkey.SSHKey, c identity.SSHChallenge) []byte {
			k.Flags = 1
			return w.sigOf(k, c)
		}, "did not verify its user"},
		{"another namespace", func(w *world, k *softkey.SSHKey, c identity.SSHChallenge) []byte {
			c.Namespace = "file"
			return w.sigOf(k, c)
		}, "namespace"},
		{"another person's key", func(w *world, _ *softkey.SSHKey, c identity.SSHChallenge) []byte {
			return w.sigOf(w.tokenOf(other), c)
		}, "by another key"},
		{"key removed meanwhile", func(w *world, k *softkey.SSHKey, c identity.SSHChallenge) []byte {
			body, err := w.svc.DraftSSHKeyRemove(w.t.Context(), machine, ssh.FingerprintSHA256(k.PublicKey()))
			if err != nil {
				w.t.Fatal(err)
			}
			if err := w.svc.CommitSSHKeyRemove(w.t.Context(), w.Sign(statement.Machine, body)); err != nil {
				w.t.Fatal(err)
			}
			return w.sigOf(k, c)
		}, "was removed"},
		{"vendor suspended meanwhile", func(w *world, k *softkey.SSHKey, c identity.SSHChallenge) []byte {
			w.suspend(gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor})
			return w.sigOf(k, c)
		}, "suspended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			k := w.tokenOf(engineer)
			begun := w.beginSSH(k)
			_, err := w.svc.SignSSH(t.Context(), begun.ID, c.do(w, k, begun), laptop)
			w.refusedEvent(err, audit.TouchRefused, c.says)
			if row, err := w.store.SSHKey(t.Context(), ssh.FingerprintSHA256(k.PublicKey())); err != nil || row.Counter != 0 {
				t.Errorf("a refused touch moved the counter to %d: %v", row.Counter, err)
			}
		})
	}
}

func TestSSHSignerRefuses(t *testing.T) {
	w := newWorld(t)
	login := w.enrol(engineer, softkey.New(trusttest.URL))
	body := sshAdd(t, w, engineer)
	signed, err := w.touch(login, body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.svc.CommitSSHKey(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.svc.SSHSigner(t.Context(), body.Fingerprint, laptop)
	refused(t, err, "does not live in a FIDO2 key")
	_, _, err = w.svc.SSHSigner(t.Context(), "SHA256:nobody", laptop)
	if !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("unknown: %v", err)
	}
}
