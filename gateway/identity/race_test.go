package identity_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

// atOnce runs f n times at one moment and counts how often it held.
func atOnce(n int, f func(i int) error) int {
	var held atomic.Int32
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			if f(i) == nil {
				held.Add(1)
			}
		})
	}
	close(start)
	all.Wait()
	return int(held.Load())
}

func TestOneLoginAnswerMakesOneLogin(t *testing.T) {
	w := newWorld(t)
	k := softkey.New(trusttest.URL)
	k.CounterFixed = true // so that the counter does not tell the replays
	w.enrol(engineer, k)
	begun, err := w.svc.BeginLogin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer := w.must(k.Get(begun.Options))
	n := atOnce(20, func(int) error {
		_, _, err := w.svc.FinishLogin(t.Context(), begun.ID, answer, browser)
		return err
	})
	if n != 1 || w.logins(engineer) != 2 { // one by the invitation
		t.Fatalf("one answer made %d logins; %d are there", n, w.logins(engineer))
	}
}

func TestOneInvitationEnrolsOneKey(t *testing.T) {
	w := newWorld(t)
	token := w.invite(engineer)
	const browsers = 4
	var ids [browsers]string
	var answers [browsers][]byte
	for i := range browsers {
		k := softkey.New(trusttest.URL)
		begun, err := w.svc.BeginEnrol(t.Context(), identity.Enroller{Token: token}, "blue key")
		if err != nil {
			t.Fatal(err)
		}
		made, err := w.svc.EnrolCreated(t.Context(), begun.ID, w.must(k.Create(begun.Options)))
		if err != nil {
			t.Fatal(err)
		}
		ids[i], answers[i] = made.ID, w.must(k.Get(made.Options))
	}
	n := atOnce(browsers, func(i int) error {
		_, _, err := w.svc.FinishEnrol(t.Context(), ids[i], browser, answers[i])
		return err
	})
	keys, _, err := w.svc.Keys(t.Context(), engineer)
	if n != 1 || err != nil || len(keys) != 1 || w.logins(engineer) != 1 {
		t.Fatalf("%d enrolments held, %d keys, %d logins, %v", n, len(keys), w.logins(engineer), err)
	}
}

// A copy of a key counts on its own: of two touches with one counter, one is
// refused.
func TestCopyOfAKeyIsNoticed(t *testing.T) {
	w := newWorld(t)
	l, p := w.session(w.enrol(engineer, softkey.New(trusttest.URL)))
	k := w.keys[engineer]
	const touches = 6
	var made [touches]identity.Challenge
	var answers [touches][]byte
	at := k.Counter
	for i := range touches {
		c, err := w.svc.Draft(t.Context(), l, p, sshAdd(t, w, engineer))
		if err != nil {
			t.Fatal(err)
		}
		k.Counter = at
		made[i], answers[i] = c, w.must(k.Get(c.Options))
	}
	n := atOnce(touches, func(i int) error {
		_, err := w.svc.Sign(t.Context(), l, made[i].ID, answers[i])
		return err
	})
	if n != 1 {
		t.Fatalf("%d touches with one counter held", n)
	}
}

// Whoever reads the database can neither sign in nor enrol.
func TestDatabaseHoldsNoSecret(t *testing.T) {
	w := newWorld(t)
	invitation := w.invite(other)
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	files, err := filepath.Glob(w.path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{token, invitation} {
			if bytes.Contains(raw, []byte(secret)) || bytes.Contains(raw, unbase64(t, secret)) {
				t.Fatalf("%s holds a secret", filepath.Base(f))
			}
		}
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
