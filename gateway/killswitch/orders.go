package killswitch

import (
	"context"
	"errors"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// DraftOrder draws up an order that is good from now, or from a later moment,
// for some time. Nothing is looked up but that the scope exists.
func (o *OutOfBand) DraftOrder(ctx context.Context, scope gateway.Scope, mode gateway.Mode, drain time.Duration, reason string, from time.Time, valid time.Duration) (*statement.Order, error) {
	if _, err := o.gate.standing(ctx, scope); err != nil {
		return nil, err
	}
	return o.orderNow(scope, mode, drain, reason, from, valid)
}

// orderNow is DraftOrder without its store.
func (o *OutOfBand) orderNow(scope gateway.Scope, mode gateway.Mode, drain time.Duration, reason string, from time.Time, valid time.Duration) (*statement.Order, error) {
	now := gateway.Instant(o.now())
	if from.IsZero() {
		from = now
	}
	if mode == gateway.ModeCut {
		mode = ""
	}
	if valid <= 0 || valid > statement.MaxOrder {
		return nil, gateway.Invalid("valid", "an order is good for at most %d days", statement.MaxOrder/(24*time.Hour))
	}
	b := &statement.Order{ID: gateway.NewID("ord", now), Scope: scope, Mode: mode, Drain: int64(drain / time.Second), Reason: reason, From: gateway.Instant(from), To: gateway.Instant(now.Add(valid))}
	return b, b.Check()
}

// FileOrder keeps an order that was just signed, so that it is on the list and
// can be withdrawn. An order that is never filed is as good.
func (o *OutOfBand) FileOrder(ctx context.Context, signed statement.Signed) (gateway.SignedOrder, error) {
	checked, body, err := agreed[*statement.Order](ctx, o.chain, signed, "an order")
	if err != nil {
		return gateway.SignedOrder{}, err
	}
	if err := body.CheckTimes(checked.Statement.At); err != nil {
		return gateway.SignedOrder{}, err
	}
	row := rowOf(checked, body, signed)
	err = o.gate.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		if err := tx.PutOrder(row); err != nil {
			return err
		}
		e := o.gate.event(audit.OrderSigned, row.Signer, row.Scope)
		e.Statement, e.Reason = row.Statement, row.Reason
		e.Detail = map[string]string{"order": row.ID, "scope": row.Scope.String(), "from": stampOf(row.From), "to": stampOf(row.To)}
		return tx.Append(e)
	})
	if errors.Is(err, gateway.ErrUsed) {
		return row, gateway.Conflict("order", "order %s is on file already", row.ID)
	}
	return row, err
}

// Orders lists the orders on file, newest first.
func (o *OutOfBand) Orders(ctx context.Context) ([]gateway.SignedOrder, error) {
	return o.orders.Orders(ctx)
}

// OrderFile is the file of an order that was filed.
func (o *OutOfBand) OrderFile(ctx context.Context, id string) ([]byte, error) {
	row, err := o.orders.Order(ctx, id)
	if errors.Is(err, gateway.ErrNotFound) {
		return nil, gateway.NotFound("order", id)
	}
	if err != nil {
		return nil, err
	}
	signed, err := o.gate.stmts.Statement(ctx, row.Statement)
	if err != nil {
		return nil, err
	}
	return statement.EncodeFile(signed)
}

// WithdrawOrder takes an order on file back, for ever. Its file is then
// refused by every node that has the store; one that was used stays used.
func (o *OutOfBand) WithdrawOrder(ctx context.Context, by, id string) (gateway.SignedOrder, error) {
	row, err := o.orders.Order(ctx, id)
	if err != nil {
		return row, orderWord(id, err)
	}
	at := gateway.Instant(o.now())
	err = o.gate.store.Update(ctx, func(tx Tx) error {
		if err := tx.WithdrawOrder(id, by, at); err != nil {
			return err
		}
		e := o.gate.event(audit.OrderWithdrawn, by, row.Scope)
		e.Statement, e.Detail = row.Statement, map[string]string{"order": id, "signer": row.Signer}
		return tx.Append(e)
	})
	if err != nil {
		return row, orderWord(id, err)
	}
	row.Withdrawn, row.WithdrawnBy = at, by
	return row, nil
}

func orderWord(id string, err error) error {
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return gateway.NotFound("order", id)
	case errors.Is(err, gateway.ErrUsed):
		return gateway.Conflict("order", "order %s was used or withdrawn before", id)
	}
	return err
}

// Suspension finds what an order became, by the order's identifier; of one in
// the outbox, what this node did by itself.
func (o *OutOfBand) Suspension(ctx context.Context, order string) (gateway.Suspension, error) {
	o.mu.Lock()
	w, ok := o.waiting[order]
	o.mu.Unlock()
	if ok {
		return w.shown, nil
	}
	row, err := o.orders.Order(ctx, order)
	if err != nil || row.Suspension == "" {
		if err == nil || errors.Is(err, gateway.ErrNotFound) {
			err = gateway.NotFound("suspension", order)
		}
		return gateway.Suspension{}, err
	}
	return o.gate.Suspension(ctx, row.Suspension)
}

// OrderHere draws up an order for the outbox, without the store: nobody can
// say whether the scope exists.
func (o *OutOfBand) OrderHere(scope gateway.Scope, mode gateway.Mode, drain time.Duration, reason string) (*statement.Order, error) {
	return o.orderNow(scope, mode, drain, reason, time.Time{}, statement.MaxOrder)
}
