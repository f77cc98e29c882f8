package killswitch_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// flaky is the real store behind a switch.
type flaky struct {
	killswitch.Store
	killswitch.OrderStore
	down *atomic.Bool
}

var errGone = gateway.Unavailable("store", errors.New("gone"))

func (f flaky) Update(ctx context.Context, do func(killswitch.Tx) error) error {
	if f.down.Load() {
		return errGone
	}
	return f.Store.Update(ctx, do)
}

func (f flaky) Orders(ctx context.Context) ([]gateway.SignedOrder, error) {
	if f.down.Load() {
		return nil, errGone
	}
	return f.OrderStore.Orders(ctx)
}

// box is a node with all that comes out of band, over the real store, chain
// and registry.
type box struct {
	*plant
	o    *killswitch.OutOfBand
	down atomic.Bool
	data string
}

func newBox(t *testing.T) *box {
	t.Helper()
	b := &box{plant: newPlant(t), data: t.TempDir()}
	b.start()
	return b
}

// start makes the node anew, as after a restart.
func (b *box) start() {
	b.t.Helper()
	floor, err := trust.OpenFloor(filepath.Join(b.data, "floor"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = floor.Close() })
	pub, _ := b.key.Public().(ed25519.PublicKey)
	chain := trust.New(trust.Config{Store: b.db.Trust(), Roots: []ed25519.PublicKey{pub}, Gateway: "http://localhost:8080", Floor: floor})
	store := flaky{b.db.KillSwitch(), b.db.OutOfBand(), &b.down}
	if b.m, err = session.New(session.Config{Store: steps{b.db.Session(), b.plant}, Access: b.plant, Recorder: b.plant, Node: "node-1"}); err != nil {
		b.t.Fatal(err)
	}
	if b.k, err = killswitch.New(killswitch.Config{
		Store: store, Statements: b.db.Trust(), Chain: chain, Sessions: b.m, Bus: cluster.NewLocal(time.Second, nil), Floor: floor, Node: "node-1",
	}); err != nil {
		b.t.Fatal(err)
	}
	if b.o, err = killswitch.NewOutOfBand(killswitch.OutOfBandConfig{
		Gate: b.k, Orders: store, Chain: chain, Bars: b.m, Floor: floor, Data: b.data,
		Sign: func(body statement.Body) (statement.Signed, error) { return b.sign(body), nil },
	}); err != nil {
		b.t.Fatal(err)
	}
}

// order is one of the machine's.
func (b *box) order() statement.Signed {
	b.t.Helper()
	body, err := b.o.OrderHere(acme, gateway.ModeCut, 0, "breach news")
	if err != nil {
		b.t.Fatal(err)
	}
	return b.sign(body)
}

// open has ana open a session.
func (b *box) open() (*session.Live, error) {
	b.grantEpoch.Store(b.epoch())
	b.step.Store(0)
	b.at = -1
	now := gateway.Instant(time.Now())
	touch := b.sign(&statement.Open{
		Grant: grantID, Request: gateway.DigestOf([]byte("ask")), Person: "ana", Vendor: "acme", Target: "pump-7", Account: "root",
		Abilities: gateway.Abilities{Shell: true}, From: now, To: now.Add(time.Hour), Binding: statement.BindSSH, Transport: "aa",
	})
	return b.m.Open(b.t.Context(), session.Opening{Touch: touch, Person: "ana", Grant: grantID, Protocol: gateway.KindSSH, Transport: "aa", Source: "192.0.2.1:5"})
}

func TestOrderIsUsedOnce(t *testing.T) {
	b := newBox(t)
	s := b.order()
	ids := make([]string, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			sus, err := b.o.Submit(t.Context(), s, killswitch.ViaHTTP)
			if err != nil {
				t.Errorf("hand %d: %v", i, err)
			}
			ids[i] = sus.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("one order became %v", ids)
		}
	}
	if b.epoch() != 2 {
		t.Errorf("epoch %d", b.epoch())
	}
	sus, err := b.o.Suspension(t.Context(), orderID(t, s))
	if err != nil || sus.ID != ids[0] || sus.By != statement.Machine || sus.Report == nil || sus.Report.Verdict != gateway.Pass {
		t.Errorf("%+v, %v", sus, err)
	}
	forged := s
	forged.Proofs = []statement.Proof{s.Proofs[0]}
	forged.Proofs[0].Signature = make([]byte, 64)
	if _, err := b.o.Submit(t.Context(), forged, killswitch.ViaHTTP); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("another signature under it: %v", err)
	}
	b.letIn()
	if again, err := b.o.Submit(t.Context(), s, killswitch.ViaSocket); err != nil || again.ID != ids[0] || b.epoch() != 3 {
		t.Errorf("after the restoration: %+v, %v, epoch %d", again.ID, err, b.epoch())
	}
}

func orderID(t *testing.T, s statement.Signed) string {
	t.Helper()
	_, body, err := s.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return body.(*statement.Order).ID
}

func TestOrderWithdrawn(t *testing.T) {
	b := newBox(t)
	s := b.order()
	row, err := b.o.FileOrder(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.o.WithdrawOrder(t.Context(), "olga", row.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.o.Submit(t.Context(), s, killswitch.ViaSocket); !gateway.IsCode(err, gateway.CodeRefused) || !strings.Contains(err.Error(), "withdrawn by olga") || b.epoch() != 1 {
		t.Errorf("%v, epoch %d", err, b.epoch())
	}
	if _, err := b.o.WithdrawOrder(t.Context(), "olga", row.ID); !gateway.IsCode(err, gateway.CodeConflict) {
		t.Errorf("twice: %v", err)
	}
}

// The store is away, root closes this node, the gateway is restarted, and the
// store comes back: nobody got in between, and all nodes are told.
func TestOutboxOverARestart(t *testing.T) {
	b := newBox(t)
	l, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	b.down.Store(true)
	s := b.order()
	sus, err := b.o.Submit(t.Context(), s, killswitch.ViaSocket)
	if err != nil || sus.Report.Verdict != gateway.Pending || len(sus.Report.Nodes) != 1 || len(sus.Report.Nodes[0].Sessions) != 1 || !sus.Report.Nodes[0].Sessions[0].Closed {
		t.Fatalf("%+v, %v", sus.Report, err)
	}
	<-l.Done()
	if _, err := b.open(); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("a new session on the closed node: %v", err)
	}
	file := filepath.Join(b.data, "outbox", orderID(t, s)+".order")
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	b.start()
	if err := b.o.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.open(); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("a new session after the restart: %v", err)
	}
	b.down.Store(false)
	b.start()
	if err := b.o.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.epoch() != 2 {
		t.Fatalf("epoch %d when the store is back", b.epoch())
	}
	sus, err = b.o.Suspension(t.Context(), orderID(t, s))
	if err != nil || !strings.HasPrefix(sus.ID, "sus_") || sus.Report.Verdict != gateway.Pass || !strings.Contains(sus.Report.Note, "closed it already at") {
		t.Errorf("%+v, %v", sus, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still in the outbox: %v", err)
	}
	b.letIn()
	if l, err := b.open(); err != nil {
		t.Errorf("after the restoration: %v", err)
	} else {
		l.End(gateway.EndByStaff, "olga", "")
		<-l.Done()
	}
}

// What nobody can look up is kept and closes nothing, and a stranger's is not
// kept at all.
func TestOutboxKeepsForLater(t *testing.T) {
	b := newBox(t)
	b.down.Store(true)
	if _, err := b.o.Submit(t.Context(), b.order(), killswitch.ViaHTTP); !killswitch.Away(err) {
		t.Errorf("by http: %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(b.data, "outbox", "*.order")); len(files) != 0 {
		t.Errorf("a stranger's is kept: %v", files)
	}
}

func TestOutboxThatDoesNotRead(t *testing.T) {
	b := newBox(t)
	path := filepath.Join(b.data, "outbox", gateway.NewID("ord", time.Now())+".order")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.o.Recover(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

func TestFolderOfOrders(t *testing.T) {
	b := newBox(t)
	dir := filepath.Join(b.data, "orders")
	good, err := statement.EncodeFile(b.order())
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Minute)
	for name, raw := range map[string][]byte{"good.json": good, "bad.json": good[:len(good)-9], "half.json": good[:20], ".hidden": good} {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if name != "half.json" {
			if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.o.Run(ctx) }()
	for _, want := range []string{"done/good.json", "done/good.json.why", "refused/bad.json", "refused/bad.json.why", "refused/link.json.why", "half.json", ".hidden"} {
		await(t, filepath.Join(dir, want))
	}
	stop()
	if err := <-done; err != nil || b.epoch() != 2 {
		t.Errorf("%v, epoch %d", err, b.epoch())
	}
	why, _ := os.ReadFile(filepath.Join(dir, "done/good.json.why"))
	if !strings.Contains(string(why), "carried out as suspension sus_") {
		t.Errorf("why: %s", why)
	}
}

// await waits for a file of another goroutine's.
func await(t *testing.T, path string) {
	t.Helper()
	end, tick := time.After(10*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Lstat(path); err == nil {
			return
		}
		select {
		case <-end:
			t.Fatalf("%s does not come", path)
		case <-tick.C:
		}
	}
}

func TestTokens(t *testing.T) {
	b := newBox(t)
	ctx := t.Context()
	issue := func(scope gateway.Scope) (gateway.Token, string) {
		t.Helper()
		body, secret, err := b.o.DraftToken(ctx, "soar", scope, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := b.o.CommitToken(ctx, b.sign(body))
		if err != nil {
			t.Fatal(err)
		}
		return tok, secret
	}
	mine, secret := issue(acme)
	other, _ := issue(gateway.Scope{})
	tok, err := b.o.ByToken(ctx, secret)
	if err != nil || tok.ID != mine.ID {
		t.Fatalf("%+v, %v", tok, err)
	}
	for _, bad := range []string{"", secret + "x", secret[:len(secret)-1] + "!", strings.ToUpper(secret), killswitch.TokenPrefix} {
		if _, err := b.o.ByToken(ctx, bad); !gateway.IsCode(err, gateway.CodeSignIn) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := b.o.SuspendByToken(ctx, tok, gateway.Scope{Kind: gateway.ScopePerson, Name: "ana"}, gateway.Closing{}, "r"); !gateway.IsCode(err, gateway.CodeRefused) {
		t.Errorf("another scope: %v", err)
	}
	sus, err := b.o.SuspendByToken(ctx, tok, acme, gateway.Closing{}, "alert 4711")
	if err != nil || sus.By != "token soar" || sus.Report.Verdict != gateway.Pass || b.epoch() != 2 {
		t.Fatalf("%+v, %v", sus, err)
	}
	if got, err := b.o.OfToken(ctx, tok, sus.ID); err != nil || got.ID != sus.ID {
		t.Errorf("its own: %v", err)
	}
	if _, err := b.o.OfToken(ctx, other, sus.ID); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("another token's: %v", err)
	}
	if _, err := b.o.RemoveToken(ctx, "olga", mine.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.o.ByToken(ctx, secret); !gateway.IsCode(err, gateway.CodeSignIn) {
		t.Errorf("removed: %v", err)
	}
}
