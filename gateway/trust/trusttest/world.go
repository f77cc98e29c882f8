package trusttest

import (
	"crypto/ed25519"
	"crypto/rand"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// URL is the world's gateway.
const URL = "http://localhost:8080"

// RP is the world's relying party.
var RP = statement.RelyingParty{ID: "localhost", Origins: []string{URL}}

// The people of the world. Everybody has one enrolled key.
const (
	Admin     = "ada"  // admin
	Approver  = "ben"  // approver
	Second    = "cleo" // approver
	Responder = "rosa" // responder
	Engineer  = "eve"  // engineer of Vendor
	Vendor    = "acme"
	Target    = "plc-1"
)

// World is a set of facts with everything that is needed to make more.
type World struct {
	Store   *Store
	Floor   *trust.Floor
	Chain   *trust.Chain
	Machine statement.MachineKey
	// Log is every statement that was committed, oldest first, for a test
	// that fills a store of its own.
	Log []statement.Signed
	T   testing.TB

	soft *softkey.Key
	mu   sync.Mutex
	now  time.Time
	keys map[string]*Keyholder
}

// Keyholder is a person's enrolled credential.
type Keyholder struct {
	Credential *softkey.Credential
	Enrolment  gateway.Digest
}

// New makes the world at 2026-03-02 08:00 UTC.
func New(t testing.TB) *World {
	t.Helper()
	w := Empty(t)
	w.Do(statement.Machine, &statement.VendorAdmit{Name: Vendor, Title: "Acme Relays", Contact: "noc@acme.example", Version: 1})
	w.Admit(Admin, "", gateway.Admin)
	w.Enrol(Admin)
	w.Admit(Approver, "", gateway.Approver)
	w.Admit(Second, "", gateway.Approver)
	w.Admit(Responder, "", gateway.Responder)
	w.Admit(Engineer, Vendor, gateway.Engineer)
	for _, p := range []string{Approver, Second, Responder, Engineer} {
		w.Enrol(p)
	}
	w.Do(Admin, &statement.TargetDefine{
		Name: Target, Title: "Relay 1", Kind_: gateway.KindSSH, Address: "127.0.0.1:2200", Zone: "yard", Impact: gateway.Medium, Owner: Approver,
		Vendors: []string{Vendor}, HostKeys: []string{SSHKeyLine(t)}, Accounts: []gateway.Account{{Name: "ops", Login: "ops", Proof: gateway.ProofCertificate}}, Version: 1,
	})
	return w
}

// Empty makes a world with a machine key and nobody in it.
func Empty(t testing.TB) *World {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{
		Store: NewStore(), Machine: statement.MachineKey{Private: private, Gateway: URL}, T: t, soft: softkey.New(URL),
		now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), keys: make(map[string]*Keyholder),
	}
	if w.Floor, err = trust.OpenFloor(filepath.Join(t.TempDir(), "floor")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Floor.Close() })
	w.Chain = w.Cold(w.Floor)
	return w
}

// Root is the world's only root.
func (w *World) Root() ed25519.PublicKey {
	pub, _ := w.Machine.Private.Public().(ed25519.PublicKey)
	return pub
}

// Cold returns a chain over the world's store that remembers nothing yet, as
// after a restart.
func (w *World) Cold(floor *trust.Floor) *trust.Chain {
	return trust.New(trust.Config{Store: w.Store, Roots: []ed25519.PublicKey{w.Root()}, RP: RP, Gateway: URL, Floor: floor, Now: w.Now})
}

// Now is the world's clock.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Advance moves the clock.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Key is the person's present key.
func (w *World) Key(person string) *Keyholder {
	w.T.Helper()
	k := w.keys[person]
	if k == nil {
		w.T.Fatalf("%s has no key", person)
	}
	return k
}

// Draft draws a statement up for the person, with what entitles him.
func (w *World) Draft(who string, body statement.Body, by ...gateway.Digest) statement.Signed {
	w.T.Helper()
	if who != statement.Machine {
		by = append([]gateway.Digest{w.Store.People[who].Statement}, by...)
	}
	st, err := statement.Draft(URL, who, w.Now(), by, body)
	if err != nil {
		w.T.Fatalf("draft: %v", err)
	}
	s, err := statement.Seal(st)
	if err != nil {
		w.T.Fatalf("seal: %v", err)
	}
	return s
}

// Sign has the person (or statement.Machine) sign a body, without committing.
func (w *World) Sign(who string, body statement.Body) statement.Signed {
	w.T.Helper()
	if who == statement.Machine {
		return w.Draft(who, body).SignEd25519(w.Machine.Private)
	}
	k := w.Key(who)
	return w.Touch(k, w.Draft(who, body, k.Enrolment))
}

// Touch adds the touch of a key.
func (w *World) Touch(k *Keyholder, s statement.Signed) statement.Signed {
	w.T.Helper()
	s, err := w.soft.Touch(k.Credential, s)
	if err != nil {
		w.T.Fatalf("touch: %v", err)
	}
	return s
}

// Do signs and commits, and lets a second pass.
func (w *World) Do(who string, body statement.Body) statement.Signed {
	w.T.Helper()
	s := w.Sign(who, body)
	w.Commit(s)
	w.Advance(time.Second)
	return s
}

// SSHKeyLine returns a fresh Ed25519 public key as a .pub file holds it.
func SSHKeyLine(t testing.TB) string {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	line := ssh.MarshalAuthorizedKey(key)
	return string(line[:len(line)-1])
}

// Fingerprint is the fingerprint of such a line.
func Fingerprint(t testing.TB, line string) string {
	t.Helper()
	key, err := statement.ParseSSHKey(line)
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(key)
}
