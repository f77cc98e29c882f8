package killswitch_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/storetest"
)

const grantID = "grt_0000000000000000000000000z"

// plant is the real store, the real registry and the real gate.
type plant struct {
	t   *testing.T
	db  *store.DB
	m   *session.Manager
	k   *killswitch.Service
	key ed25519.PrivateKey

	grantEpoch atomic.Uint64 // of the vendor, when the grant was made
	step       atomic.Int32  // transactions that the opening has begun
	at         int32         // the suspension starts beside this one
	now        chan struct{} // closed then
}

// steps lets the suspension start beside a chosen transaction of the opening.
type steps struct {
	session.Store
	p *plant
}

func (s steps) Update(ctx context.Context, f func(session.Tx) error) error {
	if s.p.step.Add(1) == s.p.at {
		close(s.p.now)
	}
	return s.Store.Update(ctx, f)
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	w := newWorld(t)
	p := &plant{t: t, db: storetest.Open(t), key: w.key}
	err := p.db.Directory().Update(t.Context(), func(tx directory.Tx) error {
		return errors.Join(
			tx.PutVendor(gateway.Vendor{Name: "acme", Title: "Acme", State: gateway.Active, Epoch: 1, Version: 1}),
			tx.PutPerson(gateway.Person{Name: "ana", Title: "Ana", Vendor: "acme", Roles: []gateway.Role{gateway.Engineer}, State: gateway.Active, Epoch: 1, Version: 1}))
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.m, err = session.New(session.Config{Store: steps{p.db.Session(), p}, Access: p, Recorder: p, Node: "node-1"}); err != nil {
		t.Fatal(err)
	}
	p.k, err = killswitch.New(killswitch.Config{
		Store: p.db.KillSwitch(), Statements: p.db.Trust(), Chain: w.chain, Sessions: p.m, Bus: cluster.NewLocal(time.Second, nil), Floor: w.floor, Node: "node-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *plant) epoch() uint64 {
	p.t.Helper()
	v, err := p.db.KillSwitch().Standings(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return v[acme].Epoch
}

// letIn begins a new epoch by hand, as a restoration would.
func (p *plant) letIn() {
	p.t.Helper()
	at := p.epoch()
	err := p.db.KillSwitch().Update(p.t.Context(), func(tx killswitch.Tx) error {
		return tx.SetStanding(acme, at, killswitch.Standing{State: gateway.Active, Epoch: at + 1}, time.Now())
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) sign(b statement.Body) statement.Signed {
	p.t.Helper()
	s, err := statement.MachineKey{Private: p.key, Gateway: "http://localhost:8080"}.Sign(time.Now(), b)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// The plant plays access.
func (p *plant) Entitle(_ context.Context, _ string, touch statement.Signed) (session.Entitlement, error) {
	_, b, err := touch.Parse()
	if err != nil {
		return session.Entitlement{}, err
	}
	open := b.(*statement.Open)
	return session.Entitlement{
		Grant:  gateway.Grant{ID: grantID, Person: "ana", Vendor: "acme", Epochs: gateway.Epochs{Vendor: p.grantEpoch.Load(), Person: 1}},
		Target: gateway.Target{Name: "pump-7", Kind: gateway.KindSSH}, Account: gateway.Account{Name: "root"},
		Person: gateway.Person{Name: "ana", Vendor: "acme"}, Vendor: gateway.Vendor{Name: "acme"},
		Abilities: open.Abilities, From: open.From, To: open.To,
	}, nil
}

func (p *plant) Credential(context.Context, session.Entitlement, string) (session.Credential, error) {
	return session.Credential{}, nil
}

func (p *plant) Start(context.Context, recording.Meta) (session.Recorder, error) { return tape{}, nil }

// tape records nothing: this test is about who gets in.
type tape struct{}

func (tape) Channel(uint32, gateway.Channel) (session.Track, error) {
	return nil, errors.New("no channels here")
}
func (tape) Failed() context.Context                          { return context.Background() }
func (tape) Note(string) error                                { return nil }
func (tape) Seal(gateway.EndReason) (recording.Sealed, error) { return recording.Sealed{}, nil }

// Suspending, on the real store, before, beside each transaction of, and after
// an opening: refused, or swept; never live afterwards. The session room's own
// test does it 200 times in memory.
func TestSuspendAgainstOpening(t *testing.T) {
	const rounds = 50
	p := newPlant(t)
	refused, swept := 0, 0
	for round := range int32(rounds) {
		p.grantEpoch.Store(p.epoch())
		p.step.Store(0)
		p.at, p.now = round%5-1, make(chan struct{}) // -1: before the opening, 0: after it
		now := gateway.Instant(time.Now())
		touch := p.sign(&statement.Open{
			Grant: grantID, Request: gateway.DigestOf([]byte("ask")), Person: "ana", Vendor: "acme", Target: "pump-7", Account: "root",
			Abilities: gateway.Abilities{Shell: true}, From: now, To: now.Add(time.Hour), Binding: statement.BindSSH, Transport: "aa",
		})
		draft, err := p.k.DraftSuspend(t.Context(), gateway.Person{}, acme, gateway.Closing{}, "race")
		if err != nil {
			t.Fatal(err)
		}
		order := p.sign(draft)
		var l *session.Live
		var opening error
		var wg sync.WaitGroup
		suspended := make(chan struct{})
		wg.Go(func() {
			if p.at < 0 {
				close(p.now)
				<-suspended
			}
			l, opening = p.m.Open(t.Context(), session.Opening{Touch: touch, Person: "ana", Grant: grantID, Protocol: gateway.KindSSH, Transport: "aa", Source: "192.0.2.1:5"})
			if p.at == 0 {
				close(p.now)
			}
		})
		wg.Go(func() {
			defer close(suspended)
			<-p.now
			if sus, err := p.k.Suspend(t.Context(), order); err != nil || sus.Report.Verdict != gateway.Pass {
				t.Errorf("suspend: %v, %+v", err, sus.Report)
			}
		})
		wg.Wait()
		if opening == nil {
			swept++
			<-l.Done() // never comes if it slipped through
		} else {
			refused++
			if !gateway.IsCode(opening, gateway.CodeRefused) {
				t.Fatalf("opening: %v", opening)
			}
		}
		if n := len(p.m.Live()); n != 0 {
			t.Fatalf("%d live after the report", n)
		}
		p.letIn()
	}
	t.Logf("refused %d, swept %d", refused, swept)
	if refused < rounds/5 || swept < rounds/5 {
		t.Error("one that came first did not count")
	}
}
