package identity_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// certWorld is a world that issues SSH certificates under one grant.
type certWorld struct {
	*world
	seal  *certs.Authority
	ca    ssh.Signer // the login authority's own key, as its thief has it
	grant gateway.Grant
	no    error // what the grant is refused with
	login string
}

// Longest and Standing implement identity.Windows.
func (w *certWorld) Longest(context.Context, gateway.Person) (gateway.Grant, error) {
	return w.grant, w.no
}

func (w *certWorld) Standing(_ context.Context, p gateway.Person, id string) (gateway.Grant, error) {
	if id != w.grant.ID || p.Name != w.grant.Person {
		return gateway.Grant{}, gateway.NotFound("grant", id)
	}
	return w.grant, w.no
}

func newCertWorld(t *testing.T) *certWorld {
	t.Helper()
	w := &certWorld{world: newWorld(t)}
	files, err := certs.OpenFiles(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if w.seal, err = certs.New(files, w.Now); err != nil {
		t.Fatal(err)
	}
	key, err := files.Key("ssh-login-ca")
	if err != nil {
		t.Fatal(err)
	}
	if w.ca, err = ssh.NewSignerFromKey(key); err != nil {
		t.Fatal(err)
	}
	w.grant = gateway.Grant{ID: gateway.NewID("grt", w.Now()), Person: engineer, From: w.Now(), To: gateway.Instant(w.Now().Add(24 * time.Hour))}
	w.svc, err = identity.New(identity.Config{
		Store: w.store, Chain: w.chain, Floor: w.Floor, RP: trusttest.RP, Gateway: trusttest.URL, Now: w.Now, Seal: w.seal, Windows: w,
		Policy: identity.PolicyFunc(func(gateway.Person, identity.EnrolFacts) *gateway.Error { return nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.login = w.enrol(engineer, softkey.New(trusttest.URL))
	return w
}

func freshKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (w *certWorld) begin(key ssh.PublicKey) identity.TerminalBegun {
	w.t.Helper()
	b, err := w.svc.BeginSSHCertificate(w.t.Context(), string(ssh.MarshalAuthorizedKey(key)), "ana's laptop", laptop)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// signed has the engineer touch for the terminal behind a link.
func (w *certWorld) signed(link string) statement.Signed {
	w.t.Helper()
	body, err := w.svc.DraftSSHCertificate(w.t.Context(), w.person(engineer), link)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := w.touch(w.login, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// certificate goes the whole way and returns what the terminal is handed.
func (w *certWorld) certificate() (*ssh.Certificate, gateway.SSHCertificate) {
	w.t.Helper()
	b := w.begin(freshKey(w.t))
	c, err := w.svc.CommitSSHCertificate(w.t.Context(), w.signed(b.Link))
	if err != nil {
		w.t.Fatal(err)
	}
	got, done, err := w.svc.AwaitSSHCertificate(w.t.Context(), b.Ticket)
	if err != nil || !done || got.Certificate.Fingerprint != c.Fingerprint {
		w.t.Fatalf("%+v %t %v", got, done, err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(got.Line))
	if err != nil {
		w.t.Fatal(err)
	}
	return key.(*ssh.Certificate), c
}

func TestCertificateSaysWhoForTheWindow(t *testing.T) {
	w := newCertWorld(t)
	w.grant.To = gateway.Instant(w.Now().Add(3 * time.Hour))
	cert, c := w.certificate()
	if c.To != w.grant.To || c.Grant != w.grant.ID || time.Unix(int64(cert.ValidBefore), 0).After(w.grant.To) || len(cert.Extensions) != 0 {
		t.Errorf("%+v outlasts the window to %s", c, w.grant.To)
	}
	if e := w.last(); e.Name != audit.SSHCertIssued || e.Person != engineer || e.Statement != c.Statement || e.Grant != w.grant.ID {
		t.Errorf("%+v", e)
	}
	who, k, err := w.svc.Owner(t.Context(), cert)
	if err != nil || who.Name != engineer || k.Person != engineer || k.Statement != c.Statement {
		t.Fatalf("%+v %+v %v", who, k, err)
	}
	_, _, err = w.svc.Owner(t.Context(), cert.Key)
	refused(t, err, "not known here")
	if list, err := w.svc.SSHCertificates(t.Context(), engineer); err != nil || len(list) != 1 || list[0].Fingerprint != c.Fingerprint {
		t.Errorf("%+v, %v", list, err)
	}
	w.Advance(3 * time.Hour)
	who, k, err = w.svc.Owner(t.Context(), cert)
	refused(t, err, "ended at")
	if who.Name != "" || k.Person != engineer {
		t.Errorf("its holder is not told why: %+v %+v", who, k)
	}
}

func TestCertificateLastsAWorkingDayAtMost(t *testing.T) {
	w := newCertWorld(t)
	_, c := w.certificate()
	if c.To.Sub(c.From) != statement.MaxCertificate {
		t.Errorf("it lasts %s", c.To.Sub(c.From))
	}
}

// A certificate that was good is not any more after each of these.
func TestCertificateThatIsOver(t *testing.T) {
	acme := gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor}
	for _, tc := range []struct {
		name, says string
		do         func(w *certWorld, c gateway.SSHCertificate)
	}{
		{"the vendor is suspended", "suspended", func(w *certWorld, _ gateway.SSHCertificate) { w.suspend(acme) }},
		{"and restored", "before a suspension", func(w *certWorld, _ gateway.SSHCertificate) { w.suspendAndRestore(acme) }},
		{"the person is suspended", "suspended", func(w *certWorld, _ gateway.SSHCertificate) {
			w.suspend(gateway.Scope{Kind: gateway.ScopePerson, Name: engineer})
		}},
		{"the person is removed", "removed", func(w *certWorld, _ gateway.SSHCertificate) {
			p := w.Person(engineer, vendor, gateway.Engineer)
			p.Removed = true
			w.do(statement.Machine, p)
		}},
		{"the key that touched is removed", "was removed", func(w *certWorld, _ gateway.SSHCertificate) {
			keys, _, err := w.svc.Keys(w.t.Context(), engineer)
			if err != nil {
				w.t.Fatal(err)
			}
			w.Advance(2 * time.Minute)
			if err := w.svc.CommitKeyRemove(w.t.Context(), w.Sign(statement.Machine, &statement.KeyRemove{Credential: keys[0].ID, Person: engineer, Label: keys[0].Label})); err != nil {
				w.t.Fatal(err)
			}
		}},
		{"the grant is taken back", "closed", func(w *certWorld, _ gateway.SSHCertificate) {
			w.no = gateway.Refused("revoked", "-", "your grant was closed")
		}},
		{"the window turns out shorter", "outlasts the window", func(w *certWorld, c gateway.SSHCertificate) { w.grant.To = c.To.Add(-time.Hour) }},
		{"it was revoked", "was revoked", func(w *certWorld, c gateway.SSHCertificate) { w.revoke(c) }},
		{"it was revoked and the database put back", "was revoked", func(w *certWorld, c gateway.SSHCertificate) {
			w.revoke(c)
			w.edit("UPDATE ssh_certificates SET removed = 0 WHERE fingerprint = ?", c.Fingerprint)
		}},
		{"its row was deleted", "not on file", func(w *certWorld, c gateway.SSHCertificate) {
			w.edit("DELETE FROM ssh_certificates WHERE fingerprint = ?", c.Fingerprint)
		}},
		{"its row is of another statement", "not on file", func(w *certWorld, c gateway.SSHCertificate) {
			w.edit("UPDATE ssh_certificates SET statement = ? WHERE fingerprint = ?", gateway.DigestOf([]byte("x")).String(), c.Fingerprint)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newCertWorld(t)
			w.t = t
			cert, c := w.certificate()
			tc.do(w, c)
			_, k, err := w.svc.Owner(t.Context(), cert)
			refused(t, err, tc.says)
			if k.Person != engineer {
				t.Errorf("its holder is not told why")
			}
		})
	}
}

func (w *certWorld) revoke(c gateway.SSHCertificate) {
	w.t.Helper()
	if err := w.svc.RevokeSSHCertificate(w.t.Context(), w.person(engineer), c.Fingerprint, laptop); err != nil {
		w.t.Fatal(err)
	}
}

// V-01, V-07: whoever has the authority's key, or shows a certificate of another one, gets
// no further than a signed statement lets him.
func TestCertificateThatNobodySignedFor(t *testing.T) {
	w := newCertWorld(t)
	good, c := w.certificate()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	thief, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	opens, err := w.seal.User("root", c.KeyID(), w.Now(), w.Now().Add(time.Hour), certs.Permits{PTY: true})
	if err != nil {
		t.Fatal(err)
	}
	enrolment, _, err := w.svc.Keys(t.Context(), engineer)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		cert func(c *ssh.Certificate) ssh.Signer // nil: it is not signed again
	}{
		{"of the authority that targets trust", func(c *ssh.Certificate) ssh.Signer { *c = *opens.Certificate; return nil }},
		{"of an authority of his own", func(*ssh.Certificate) ssh.Signer { return thief }},
		{"with the thief's key in it", func(c *ssh.Certificate) ssh.Signer { c.Key = thief.PublicKey(); return w.ca }},
		{"for another person", func(c *ssh.Certificate) ssh.Signer { c.ValidPrincipals = []string{other}; return w.ca }},
		{"for everybody", func(c *ssh.Certificate) ssh.Signer { c.ValidPrincipals = nil; return w.ca }},
		{"for longer", func(c *ssh.Certificate) ssh.Signer { c.ValidBefore++; return w.ca }},
		{"for ever", func(c *ssh.Certificate) ssh.Signer { c.ValidBefore = ssh.CertTimeInfinity; return w.ca }},
		{"without touch", func(c *ssh.Certificate) ssh.Signer {
			c.Extensions = map[string]string{"no-touch-required": ""}
			return w.ca
		}},
		{"with an option that nobody knows", func(c *ssh.Certificate) ssh.Signer {
			c.CriticalOptions = map[string]string{"force-command": "id"}
			return w.ca
		}},
		{"as a host", func(c *ssh.Certificate) ssh.Signer { c.CertType = ssh.HostCert; return w.ca }},
		{"signed by a certificate of the authority's", func(c *ssh.Certificate) ssh.Signer { // nested
			by := &ssh.Certificate{Key: w.ca.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
			if err := by.SignCert(rand.Reader, w.ca); err != nil {
				t.Fatal(err)
			}
			c.SignatureKey, c.Signature = by, nil
			text := c.Marshal()
			sig, err := w.ca.Sign(rand.Reader, text[:len(text)-4]) // all but the signature, which is empty
			if err != nil {
				t.Fatal(err)
			}
			c.Signature = sig
			return nil
		}},
		{"of no beginning and no end", func(c *ssh.Certificate) ssh.Signer { c.ValidAfter, c.ValidBefore = 0, 0; return w.ca }},
		{"for a person by a pattern", func(c *ssh.Certificate) ssh.Signer { c.ValidPrincipals = []string{"*"}; return w.ca }},
		{"naming no statement", func(c *ssh.Certificate) ssh.Signer { c.KeyId = "ana"; return w.ca }},
		{"naming a statement that is not there", func(c *ssh.Certificate) ssh.Signer {
			c.KeyId = gateway.SSHCertificate{Statement: gateway.DigestOf([]byte("x"))}.KeyID()
			return w.ca
		}},
		{"naming a statement about something else", func(c *ssh.Certificate) ssh.Signer {
			c.KeyId = gateway.SSHCertificate{Statement: enrolment[0].Statement}.KeyID()
			return w.ca
		}},
		{"with its signature changed", func(c *ssh.Certificate) ssh.Signer {
			sig := *c.Signature
			sig.Blob = append([]byte(nil), sig.Blob...)
			sig.Blob[7] ^= 1
			c.Signature = &sig
			return nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			forged := *good
			if by := tc.cert(&forged); by != nil {
				if err := forged.SignCert(rand.Reader, by); err != nil {
					t.Fatal(err)
				}
			}
			who, k, err := w.svc.Owner(t.Context(), &forged)
			refused(t, err, "")
			if who.Name != "" || k.Person != "" {
				t.Errorf("taken for %+v %+v", who, k)
			}
		})
	}
	if _, _, err := w.svc.Owner(t.Context(), good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestCertificateIsIssuedOnceToTheTerminalThatAsked(t *testing.T) {
	w := newCertWorld(t)
	key := freshKey(t)
	b := w.begin(key)
	if _, err := w.svc.BeginSSHCertificate(t.Context(), string(ssh.MarshalAuthorizedKey(key)), "", laptop); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("a second terminal with the same key: %v", err)
	}
	soon, cancel := context.WithCancel(t.Context())
	cancel()
	if _, done, err := w.svc.AwaitSSHCertificate(soon, b.Ticket); done || err != nil {
		t.Errorf("answered before the touch: %t %v", done, err)
	}
	_, _, err := w.svc.AwaitSSHCertificate(t.Context(), b.Link)
	refused(t, err, "nobody touched") // the link is not the ticket
	signed := w.signed(b.Link)
	if _, err := w.svc.CommitSSHCertificate(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	if _, err := w.svc.CommitSSHCertificate(t.Context(), signed); err == nil {
		t.Error("the same touch was taken twice")
	}
	if _, err := w.svc.SSHTerminal(b.Link); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("the link leads on: %v", err)
	}
	if _, err := w.svc.BeginSSHCertificate(t.Context(), string(ssh.MarshalAuthorizedKey(key)), "", laptop); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("a key certified before: %v", err)
	}

	gone := w.begin(freshKey(t))
	late := w.signed(gone.Link)
	if err := w.svc.RefuseSSHTerminal(gone.Link); err != nil {
		t.Fatal(err)
	}
	if _, err := w.svc.CommitSSHCertificate(t.Context(), late); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("after it was refused: %v", err)
	}
	_, done, err := w.svc.AwaitSSHCertificate(t.Context(), gone.Ticket)
	if refused(t, err, "refused in the browser"); !done {
		t.Error("the terminal waits on")
	}
}

func TestCertificateIsNotDrawnUp(t *testing.T) {
	for _, tc := range []struct {
		name, says string
		do         func(w *certWorld)
	}{
		{"without an open window", "none of your grants", func(w *certWorld) { w.no = gateway.Refused("no-grant", "ask", "none of your grants is open") }},
		{"for a terminal outside the vendor's networks", "may not connect from", func(w *certWorld) {
			w.do(statement.Machine, &statement.VendorAdmit{Name: vendor, Title: "Acme", Networks: prefixes("198.51.100.0/24"), Version: 2, Previous: w.vendorStatement()})
		}},
		{"after its time", "no terminal waits", func(w *certWorld) { w.Advance(identity.TerminalTime) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newCertWorld(t)
			w.t = t
			b := w.begin(freshKey(t))
			tc.do(w)
			_, err := w.svc.DraftSSHCertificate(t.Context(), w.person(engineer), b.Link)
			refused(t, err, tc.says)
		})
	}
}

func TestCertificateIsBoundToTheVendorsNetworks(t *testing.T) {
	w := newCertWorld(t)
	w.do(statement.Machine, &statement.VendorAdmit{Name: vendor, Title: "Acme", Networks: prefixes("192.0.2.0/24", "2001:db8::/32"), Version: 2, Previous: w.vendorStatement()})
	cert, _ := w.certificate()
	if got := cert.CriticalOptions["source-address"]; got != "192.0.2.0/24,2001:db8::/32" {
		t.Errorf("source-address %q", got)
	}
	if _, _, err := w.svc.Owner(t.Context(), cert); err != nil {
		t.Error(err)
	}
}

func TestTerminalsAreBounded(t *testing.T) {
	w := newCertWorld(t)
	for range 8 {
		w.begin(freshKey(t))
	}
	line := string(ssh.MarshalAuthorizedKey(freshKey(t)))
	if _, err := w.svc.BeginSSHCertificate(t.Context(), line, "", laptop); !gateway.IsCode(err, gateway.CodeTooMany) {
		t.Errorf("the ninth of one address: %v", err)
	}
	if _, err := w.svc.BeginSSHCertificate(t.Context(), line, "", "198.51.100.9:1"); err != nil {
		t.Errorf("another address: %v", err)
	}
	w.Advance(identity.TerminalTime)
	w.begin(freshKey(t))
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func (w *certWorld) vendorStatement() gateway.Digest {
	w.t.Helper()
	v, err := w.chain.Vendor(w.t.Context(), vendor)
	if err != nil {
		w.t.Fatal(err)
	}
	return v.Statement
}
