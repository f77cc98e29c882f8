package identity_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

func TestSSHKeySaysWhoConnects(t *testing.T) {
	w := newWorld(t)
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	body := sshAdd(t, w, engineer)
	key, err := statement.ParseSSHKey(body.Key)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.svc.Owner(t.Context(), key)
	refused(t, err, "not known here")
	signed, err := w.touch(token, body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.svc.CommitSSHKey(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	p, k, err := w.svc.Owner(t.Context(), key)
	if err != nil || p.Name != engineer || k.Label != "laptop" {
		t.Fatalf("owner = %s, %+v, %v", p.Name, k, err)
	}
	if e := w.last(); e.Name != audit.SSHKeyAdded || e.Statement != signed.Digest {
		t.Fatalf("event = %+v", e)
	}
	_, err = w.svc.CommitSSHKey(t.Context(), signed)
	refused(t, err, "only once")

	// The key says who one person is for ever: nobody adds it again.
	_, err = w.svc.DraftSSHKey(t.Context(), w.person(other), body.Key, "mine")
	refused(t, err, "added before")
	w.enrol(other, softkey.New(trusttest.URL))
	_, err = w.svc.DraftSSHKeyRemove(t.Context(), w.person(other), body.Fingerprint)
	refused(t, err, "no SSH key")

	w.Advance(time.Second)
	gone, err := w.svc.DraftSSHKeyRemove(t.Context(), p, body.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	if signed, err = w.touch(token, gone); err != nil {
		t.Fatal(err)
	}
	if err := w.svc.CommitSSHKeyRemove(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.svc.Owner(t.Context(), key)
	refused(t, err, "removed")
	if w.Floor.At("sshkey-removed:"+body.Fingerprint) == 0 {
		t.Fatal("the floor does not remember the removal")
	}
	// Put back in the database, it stays out.
	w.edit("UPDATE ssh_keys SET removed = 0")
	if _, _, err = w.svc.Owner(t.Context(), key); err == nil {
		t.Fatal("a removed key came back with the database")
	}
}

func TestSSHKeyThatIsNotTaken(t *testing.T) {
	w := newWorld(t)
	eve := w.person(engineer)
	line := trusttest.SSHKeyLine(t)
	for _, c := range []struct{ name, line, label, says string }{
		{"options", `command="id" ` + line, "laptop", "not one public key"},
		{"two keys", line + "\n" + trusttest.SSHKeyLine(t), "laptop", "not one public key"},
		{"garbage", "ssh-ed25519 AAAA", "laptop", "not one public key"},
		{"empty label", line, " ", "label"},
		{"bidi label", line, "lap\u202etop", "U+202E"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.svc.DraftSSHKey(t.Context(), eve, c.line, c.label)
			refused(t, err, c.says)
		})
	}
}

// V-01: a certificate that somebody made himself says nobody.
func TestSSHCertificateIsNobody(t *testing.T) {
	w := newWorld(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert}
	if err := cert.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.svc.Owner(t.Context(), cert)
	refused(t, err, "not known here")
}

// Somebody who may remove his own key cannot remove another's by naming
// himself as its owner.
func TestRemovalNamesTheRightOwner(t *testing.T) {
	w := newWorld(t)
	w.enrol(engineer, softkey.New(trusttest.URL))
	token := w.enrol(other, softkey.New(trusttest.URL))
	lie := &statement.KeyRemove{Credential: w.keys[engineer].Last().Text(), Person: other, Label: "blue key"}
	signed, err := w.touch(token, lie)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, w.svc.CommitKeyRemove(t.Context(), signed), "no key")
	honest := &statement.KeyRemove{Credential: lie.Credential, Person: engineer, Label: "blue key"}
	w.Advance(time.Second)
	if signed, err = w.touch(token, honest); err != nil {
		t.Fatal(err)
	}
	refused(t, w.svc.CommitKeyRemove(t.Context(), signed), "only")
	if _, _, err := w.login(engineer); err != nil {
		t.Fatal(err)
	}
}

func TestRemovedKeyEndsTheLogins(t *testing.T) {
	w := newWorld(t)
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	gone, err := w.svc.DraftKeyRemove(t.Context(), machine, w.keys[engineer].Last().Text())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.CommitKeyRemove(t.Context(), w.Sign(statement.Machine, gone)); err != nil {
		t.Fatal(err)
	}
	if e := w.last(); e.Name != audit.KeyRemoved || e.Actor != statement.Machine || e.Vendor != vendor {
		t.Fatalf("event = %+v", e)
	}
	_, _, err = w.svc.ByToken(t.Context(), token, browser)
	refused(t, err, "ended")
	_, _, err = w.login(engineer)
	refused(t, err, "removed")
	_, err = w.svc.DraftKeyRemove(t.Context(), machine, gone.Credential)
	refused(t, err, "removed before")
	w.enrol(engineer, softkey.New(trusttest.URL))
}

func TestKeyBeforeASuspensionIsNobodysKey(t *testing.T) {
	w := newWorld(t)
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	body := sshAdd(t, w, engineer)
	signed, err := w.touch(token, body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.svc.CommitSSHKey(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	scope := gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor}
	id := w.suspend(scope)
	key, err := statement.ParseSSHKey(body.Key)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.svc.Owner(t.Context(), key)
	refused(t, err, "suspended")
	w.Enrol(admin)
	w.Restore(scope, id, admin, statement.Machine)
	w.mirror()
	_, _, err = w.svc.Owner(t.Context(), key)
	refused(t, err, "before a suspension")
}
