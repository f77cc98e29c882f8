package trust_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// bodies is one statement of each kind, about the engineer where it is about
// a person.
func bodies(w *trusttest.World) map[statement.Kind]statement.Body {
	id, line := w.Key("eve").Credential.Text(), trusttest.SSHKeyLine(w.T)
	now := gateway.Instant(w.Now())
	ask := gateway.DigestOf([]byte("ask"))
	shell := gateway.Abilities{Shell: true}
	return map[statement.Kind]statement.Body{
		statement.KindVendor:    &statement.VendorAdmit{Name: "beta", Title: "Beta", Version: 1},
		statement.KindPerson:    w.Person("zoe", "", gateway.Auditor),
		statement.KindTarget:    redefined(w, "127.0.0.1:22"),
		statement.KindInvite:    &statement.Invite{ID: gateway.NewID("inv", now), Person: "eve", PublicKey: w.Root(), Epochs: w.Epochs("eve"), Expires: now.Add(time.Hour)},
		statement.KindKeyRemove: &statement.KeyRemove{Credential: id, Person: "eve", Label: "key"},
		statement.KindSSHKey:    &statement.SSHKeyAdd{Fingerprint: trusttest.Fingerprint(w.T, line), Key: line, Person: "eve", Label: "laptop", Epochs: w.Epochs("eve")},
		statement.KindSSHRemove: &statement.SSHKeyRemove{Fingerprint: "SHA256:x", Person: "eve", Label: "laptop"},
		statement.KindApprove: &statement.Approve{Request: gateway.NewID("req", now), Digest: ask, Person: "eve", Vendor: "acme", Target: "plc-1", Account: "ops",
			Seconds: 60, Lapse: now, Abilities: shell, Reason: "firmware"},
		statement.KindOpen: &statement.Open{Grant: gateway.NewID("grt", now), Request: ask, Person: "eve", Vendor: "acme", Target: "plc-1", Account: "ops",
			Abilities: shell, From: now, To: now.Add(time.Hour), Binding: statement.BindSSH, Transport: "00ff", Source: "192.0.2.1:1", Code: "K7-4Q2"},
		statement.KindSuspend: &statement.Suspend{ID: gateway.NewID("sus", now), Scope: ofVendor, Epoch: 2, Reason: "breach"},
		statement.KindServiceOpen: &statement.ServiceOpen{Grant: gateway.NewID("grt", now), Request: ask, Person: "eve", Vendor: "acme", Target: "plc-1", Account: "ops",
			Abilities: shell, From: now, To: now.Add(time.Hour), Proof: statement.ByToken, Key: "sha256:" + strings.Repeat("0", 64), Source: "192.0.2.1:1"},
		statement.KindRestore: &statement.Restore{Suspension: gateway.NewID("sus", now), Scope: ofVendor, Epoch: 3, Report: ask, Reason: "clean"},
	}
}

func TestWhoMaySignWhat(t *testing.T) {
	w := trusttest.New(t)
	w.Admit("otto", "acme", gateway.Engineer)
	w.Enrol("otto")
	w.Admit("rita", "", gateway.Reviewer)
	w.Enrol("rita")
	const machine = statement.Machine
	may := map[statement.Kind][]string{
		statement.KindVendor:      {machine, "ada"},
		statement.KindPerson:      {machine, "ada"},
		statement.KindTarget:      {machine, "ada"},
		statement.KindInvite:      {machine, "ada"},
		statement.KindKeyRemove:   {machine, "ada", "eve"},
		statement.KindSSHKey:      {"eve"},
		statement.KindSSHRemove:   {machine, "ada", "eve"},
		statement.KindApprove:     {"ada", "ben", "rosa", "rita"},
		statement.KindOpen:        {"eve"},
		statement.KindServiceOpen: {machine},
		statement.KindSuspend:     {machine, "ada", "rosa"},
		statement.KindRestore:     {machine, "ada", "ben", "rosa"},
	}
	for kind, body := range bodies(w) {
		for _, who := range []string{machine, "ada", "ben", "rosa", "rita", "eve", "otto"} {
			c, err := w.Chain.CheckFresh(t.Context(), w.Sign(who, body))
			allowed := false
			for _, n := range may[kind] {
				allowed = allowed || n == who
			}
			switch {
			case allowed && err != nil:
				t.Errorf("%s by %s: %v", kind, who, err)
			case allowed && (c.Signer.Name != who || c.Body.Kind() != kind || (who != machine && c.Key.Person != who)):
				t.Errorf("%s by %s: %+v", kind, who, c)
			case !allowed && (!gateway.IsCode(err, gateway.CodeRefused) || gateway.AsError(err).Rule != trust.Rule):
				t.Errorf("%s by %s: %v", kind, who, err)
			}
		}
	}
}

// A statement that was signed rightly falls with what its signer is now.
func TestCheckAsksWhatTheSignerIsNow(t *testing.T) {
	for _, c := range []struct {
		name, want string
		then       func(w *trusttest.World)
	}{
		{"role taken", "has the role no longer", func(w *trusttest.World) { w.Admit(trusttest.Approver, "", gateway.Auditor) }},
		{"person suspended", "person ben is suspended", func(w *trusttest.World) {
			w.Suspend(trusttest.Admin, gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Approver})
		}},
		{"person restored under a new epoch", "is from before a suspension", func(w *trusttest.World) {
			s := gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Approver}
			b, _ := w.Suspend(trusttest.Admin, s)
			w.Restore(s, b.ID, trusttest.Admin, trusttest.Second)
		}},
		{"person removed", "person ben is removed", func(w *trusttest.World) {
			b := w.Person(trusttest.Approver, "", gateway.Approver)
			b.Removed = true
			w.Do(trusttest.Admin, b)
		}},
		{"key removed", "was removed", func(w *trusttest.World) {
			w.Do(trusttest.Admin, &statement.KeyRemove{Credential: w.Key(trusttest.Approver).Credential.Text(), Person: trusttest.Approver, Label: "key"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trusttest.New(t)
			s := w.Sign(trusttest.Approver, bodies(w)[statement.KindRestore])
			if _, err := w.Chain.Check(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			w.Advance(time.Second)
			c.then(w)
			if _, err := w.Chain.Check(t.Context(), s); !gateway.IsCode(err, gateway.CodeRefused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What an administrator signed while he was one goes on holding after he left.
func TestWhatWasSignedRightlyStaysTrue(t *testing.T) {
	w := trusttest.New(t)
	w.Advance(time.Hour)
	w.Suspend(trusttest.Responder, gateway.Scope{Kind: gateway.ScopePerson, Name: trusttest.Admin})
	w.Do(statement.Machine, &statement.KeyRemove{Credential: w.Key(trusttest.Admin).Credential.Text(), Person: trusttest.Admin, Label: "key"})
	b := w.Person(trusttest.Admin, "", gateway.Admin)
	b.Removed = true
	w.Do(statement.Machine, b)
	w.Advance(time.Hour)
	if x, err := w.Cold(w.Floor).Target(t.Context(), trusttest.Target); err != nil || x.Address != "127.0.0.1:2200" {
		t.Errorf("target: %+v, %v", x, err)
	}
}

func TestRestorationIsANewLife(t *testing.T) {
	w := trusttest.New(t)
	stand := func(state gateway.State, epoch uint64) {
		t.Helper()
		v, err := w.Cold(w.Floor).Vendor(t.Context(), trusttest.Vendor)
		if err != nil || v.State != state || v.Epoch != epoch {
			t.Fatalf("vendor is %s at %d, %v; want %s at %d", v.State, v.Epoch, err, state, epoch)
		}
	}
	engineer := func(holds bool) {
		t.Helper()
		if _, err := w.Chain.Epochs(t.Context(), trusttest.Engineer); (err == nil) != holds {
			t.Fatalf("epochs of the engineer: %v", err)
		}
	}
	stand(gateway.Active, 1)
	w.Suspend(trusttest.Responder, ofVendor)
	stand(gateway.Suspended, 2)
	engineer(false)
	b, _ := w.Suspend(trusttest.Admin, ofVendor)
	stand(gateway.Suspended, 3)
	w.Do(trusttest.Approver, w.Restoration(ofVendor, b.ID))
	stand(gateway.Restoring, 3)
	engineer(false)
	b, _ = w.Suspend(trusttest.Responder, ofVendor) // found worse in between: the first signature is void
	stand(gateway.Suspended, 4)
	w.Restore(ofVendor, b.ID, statement.Machine, trusttest.Approver)
	stand(gateway.Active, 5)
	engineer(true)
	if _, err := w.Chain.Authenticator(t.Context(), w.Key("eve").Credential.Text()); err == nil {
		t.Error("a key from before the suspension is good again")
	}
	w.Enrol("eve")
	if k, err := w.Chain.Authenticator(t.Context(), w.Key("eve").Credential.Text()); err != nil || k.Epochs.Vendor != 5 {
		t.Errorf("the new key: %+v, %v", k, err)
	}
}

func TestFreshIsSixtySeconds(t *testing.T) {
	w := trusttest.New(t)
	s := w.Sign(trusttest.Admin, redefined(w, "127.0.0.1:22"))
	for _, c := range []struct {
		step time.Duration
		ok   bool
	}{{0, true}, {statement.Fresh, true}, {time.Microsecond, false}, {-statement.Fresh - 2*time.Second - time.Microsecond, true}, {-time.Microsecond, false}} {
		w.Advance(c.step)
		if _, err := w.Chain.CheckFresh(t.Context(), s); (err == nil) != c.ok {
			t.Errorf("at %s: %v", w.Now(), err)
		}
	}
}

// an outage is no yes, and no forgery.
func TestAStoreThatDoesNotAnswerIsAnOutage(t *testing.T) {
	w := trusttest.New(t)
	s := w.Sign(trusttest.Admin, redefined(w, "127.0.0.1:22"))
	w.Store.Down = errors.New("disk on fire")
	if _, err := w.Chain.Vendor(t.Context(), trusttest.Vendor); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("vendor: %v", err)
	}
	if _, err := w.Chain.Check(t.Context(), s); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("check: %v", err)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	w := trusttest.New(t)
	w.Chain = w.Cold(w.Floor)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := w.Chain.Target(t.Context(), trusttest.Target); err != nil {
				t.Error(err)
			}
			if _, err := w.Chain.Authenticator(t.Context(), w.Key("eve").Credential.Text()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func BenchmarkCheckWarm(b *testing.B) {
	w := trusttest.New(b)
	s := w.Sign(trusttest.Engineer, bodies(w)[statement.KindOpen])
	for b.Loop() {
		if _, err := w.Chain.CheckFresh(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}
