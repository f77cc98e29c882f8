package storetest

import (
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/store"
)

// signedOrders are used once, or withdrawn once, and read back as written.
func signedOrders(t *testing.T, db *store.DB) {
	ctx := t.Context()
	update := func(f func(killswitchTx) error) error { return db.KillSwitch().Update(ctx, f) }
	row := func(i int) gateway.SignedOrder {
		id := gateway.NewID("ord", began.Add(time.Duration(i)*time.Second))
		return gateway.SignedOrder{
			ID: id, Statement: mark(id), Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Mode: gateway.ModeFreeze, Reason: "breach", Signer: "rosa",
			From: began, To: began.Add(time.Hour), Made: began,
		}
	}
	a, b := row(1), row(2)
	for _, o := range []gateway.SignedOrder{a, b} {
		ok(t, update(func(tx killswitchTx) error { return tx.PutOrder(o) }))
	}
	want(t, "an order put twice", update(func(tx killswitchTx) error { return tx.PutOrder(a) }), gateway.ErrUsed)
	got, err := db.OutOfBand().Order(ctx, a.ID)
	ok(t, err)
	same(t, "order", got, a)

	used := make([]error, 20)
	together(len(used), func(i int) {
		used[i] = update(func(tx killswitchTx) error { return tx.UseOrder(a.Statement, "sus_1", began) })
	})
	n := 0
	for _, err := range used {
		if err == nil {
			n++
		} else {
			want(t, "an order used again", err, gateway.ErrUsed)
		}
	}
	same(t, "hands that used it", n, 1)
	want(t, "withdrawn after its use", update(func(tx killswitchTx) error { return tx.WithdrawOrder(a.ID, "olga", began) }), gateway.ErrUsed)
	ok(t, update(func(tx killswitchTx) error { return tx.WithdrawOrder(b.ID, "olga", began) }))
	want(t, "used after it was withdrawn", update(func(tx killswitchTx) error { return tx.UseOrder(b.Statement, "sus_2", began) }), gateway.ErrUsed)
	want(t, "no such order", update(func(tx killswitchTx) error { return tx.UseOrder(mark("none"), "sus_2", began) }), gateway.ErrNotFound)

	a.Used, a.Suspension = began, "sus_1"
	b.Withdrawn, b.WithdrawnBy = began, "olga"
	all, err := db.OutOfBand().Orders(ctx)
	ok(t, err)
	same(t, "orders, newest first", all, []gateway.SignedOrder{b, a})
}

// tokenRows are found by their hash and removed once.
func tokenRows(t *testing.T, db *store.DB) {
	ctx := t.Context()
	update := func(f func(killswitchTx) error) error { return db.KillSwitch().Update(ctx, f) }
	tok := gateway.Token{
		ID: gateway.NewID("tok", began), Name: "soar", Hash: mark("secret"), Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, By: "machine",
		Statement: mark("statement"), Made: began, Expires: began.Add(time.Hour),
	}
	ok(t, update(func(tx killswitchTx) error { return tx.PutToken(tok) }))
	twin := tok
	twin.ID = gateway.NewID("tok", began)
	want(t, "a second of the same secret", update(func(tx killswitchTx) error { return tx.PutToken(twin) }), gateway.ErrUsed)
	got, err := db.OutOfBand().TokenByHash(ctx, tok.Hash)
	ok(t, err)
	same(t, "token", got, tok)
	_, err = db.OutOfBand().TokenByHash(ctx, mark("another"))
	want(t, "no such token", err, gateway.ErrNotFound)
	ok(t, update(func(tx killswitchTx) error { return tx.RemoveToken(tok.ID, began) }))
	want(t, "removed twice", update(func(tx killswitchTx) error { return tx.RemoveToken(tok.ID, began) }), gateway.ErrUsed)
	tok.Removed = began
	all, err := db.OutOfBand().Tokens(ctx)
	ok(t, err)
	same(t, "tokens", all, []gateway.Token{tok})
}
