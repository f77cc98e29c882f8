package killswitch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// How an order came in.
const (
	ViaSocket = "socket"
	ViaHTTP   = "http"
	ViaFolder = "folder"
	viaOutbox = "outbox"
)

// draftTries is how often an order is drawn up anew when somebody else moves
// the scope's epoch at the same moment.
const draftTries = 4

// OrderChain verifies what is handed in without a login; *trust.Chain is one.
type OrderChain interface {
	CheckFresh(ctx context.Context, s statement.Signed) (trust.Checked, error)
	CheckOrder(ctx context.Context, s statement.Signed) (trust.Checked, *statement.Order, error)
	Token(ctx context.Context, row gateway.Token) (gateway.Token, error)
}

// Bars keeps new sessions of a scope out of this node, in memory, until the
// store says it; *session.Manager is one.
type Bars interface {
	Bar(key string, scope gateway.Scope)
	Unbar(key string)
}

// RemovedFloor remembers removals outside the store; *trust.Floor is one.
type RemovedFloor interface {
	RaiseRemoved(subject string, at time.Time) error
}

// OutOfBandConfig is what OutOfBand needs. All but Now and Logger must be set.
type OutOfBandConfig struct {
	Gate   *Service
	Orders OrderStore
	Chain  OrderChain
	Bars   Bars
	Floor  RemovedFloor
	Sign   func(statement.Body) (statement.Signed, error) // with the machine's key
	Data   string                                         // holds the folders outbox and orders
	Now    func() time.Time
	Logger *slog.Logger
}

// OutOfBand takes suspensions that come by none of the usual doors: orders
// signed ahead, tokens, and the local socket of a node whose store is away.
type OutOfBand struct {
	gate   *Service
	orders OrderStore
	chain  OrderChain
	bars   Bars
	floor  RemovedFloor
	sign   func(statement.Body) (statement.Signed, error)
	now    func() time.Time
	log    *slog.Logger
	outbox outbox
	folder folder

	mu      sync.Mutex // guards waiting
	waiting map[string]waiting
}

// waiting is an order in the outbox.
type waiting struct {
	signed statement.Signed
	closed bool // this node has closed its scope already
	shown  gateway.Suspension
}

// NewOutOfBand wires it and makes its folders. It starts nothing; Recover
// reads the outbox.
func NewOutOfBand(c OutOfBandConfig) (*OutOfBand, error) {
	if c.Gate == nil || c.Orders == nil || c.Chain == nil || c.Bars == nil || c.Floor == nil || c.Sign == nil || c.Data == "" {
		return nil, errors.New("killswitch: gate, orders, chain, bars, floor, sign and data must be set")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	o := &OutOfBand{
		gate: c.Gate, orders: c.Orders, chain: c.Chain, bars: c.Bars, floor: c.Floor, sign: c.Sign, now: c.Now, log: c.Logger,
		waiting: map[string]waiting{},
	}
	var err error
	if o.outbox, err = newOutbox(c.Data); err != nil {
		return nil, err
	}
	if o.folder, err = newFolder(c.Data); err != nil {
		return nil, err
	}
	return o, nil
}

// Away reports whether an error says that the store did not answer: nothing
// was decided, and what closes must not wait for it.
func Away(err error) bool {
	if err == nil {
		return false
	}
	code := gateway.AsError(err).Code
	return code == gateway.CodeUnavailable || code == gateway.CodeInternal
}

// Submit takes a signed order and carries it out: once, within its validity,
// whoever hands it in. One that was used answers what it became. With the
// store away an order by the machine's own key closes this node, and any other
// is kept for later unless a stranger brought it: nobody can be looked up.
func (o *OutOfBand) Submit(ctx context.Context, signed statement.Signed, via string) (gateway.Suspension, error) {
	if via != ViaSocket {
		return o.submit(ctx, signed, via)
	}
	if o.storeAnswers(ctx) {
		if sus, err := o.submit(ctx, signed, via); !Away(err) {
			return sus, err
		}
	}
	o.log.Error("order handed in while the store is away", "statement", signed.Digest.Short())
	look, cancel := context.WithTimeout(ctx, replayWait)
	defer cancel()
	checked, _, verr := o.chain.CheckOrder(look, signed)
	switch {
	case verr == nil && checked.Statement.Signer == statement.Machine:
		return o.CloseHere(ctx, signed)
	case verr == nil || Away(verr):
		return o.keepForLater(signed)
	}
	return gateway.Suspension{}, verr
}

func (o *OutOfBand) submit(ctx context.Context, signed statement.Signed, via string) (gateway.Suspension, error) {
	if sus, ok := o.done(ctx, signed); ok {
		return sus, nil
	}
	checked, body, err := o.chain.CheckOrder(ctx, signed)
	if err != nil {
		o.refused(ctx, signed, via, err)
		return gateway.Suspension{}, err
	}
	sus, err := o.carry(ctx, checked, body, signed, via)
	if err != nil && !Away(err) {
		o.refused(ctx, signed, via, err)
	}
	return sus, err
}

// done finds what an order became that was used before. Only who brings the
// very signature that was taken is told.
func (o *OutOfBand) done(ctx context.Context, signed statement.Signed) (gateway.Suspension, bool) {
	_, body, err := signed.Parse()
	b, ok := body.(*statement.Order)
	if err != nil || !ok {
		return gateway.Suspension{}, false
	}
	row, err := o.orders.Order(ctx, b.ID)
	if err != nil || row.Used.IsZero() || !row.Statement.Equal(signed.Digest) {
		return gateway.Suspension{}, false
	}
	filed, err := o.gate.stmts.Statement(ctx, signed.Digest)
	if err != nil || !slices.EqualFunc(filed.Proofs, signed.Proofs, sameSignature) {
		return gateway.Suspension{}, false
	}
	sus, err := o.gate.Suspension(ctx, row.Suspension)
	return sus, err == nil
}

func sameSignature(a, b statement.Proof) bool {
	return a.Kind == b.Kind && a.Key == b.Key && string(a.Signature) == string(b.Signature) &&
		string(a.ClientData) == string(b.ClientData) && string(a.AuthenticatorData) == string(b.AuthenticatorData)
}

// carry draws the suspension up for the present epoch, in the machine's name,
// and has it carried out; the order is filed and used in its transaction.
func (o *OutOfBand) carry(ctx context.Context, checked trust.Checked, body *statement.Order, signed statement.Signed, via string) (gateway.Suspension, error) {
	now := gateway.Instant(o.now())
	fill := func(b *statement.Suspend) {
		b.Order, b.For = signed.Digest, checked.Signer.Name
		if via == viaOutbox && checked.Statement.Signer == statement.Machine {
			b.Since = checked.Statement.At
		}
	}
	sus, err := o.suspend(ctx, body.Scope, body.Closing(now), body.Reason, fill, func(tx Tx, id string) error {
		row := rowOf(checked, body, signed)
		err := tx.PutOrder(row)
		if err == nil {
			err = tx.PutStatement(signed)
		}
		if err != nil && !errors.Is(err, gateway.ErrUsed) { // used: it was filed when it was made
			return err
		}
		if err := tx.UseOrder(signed.Digest, id, now); err != nil {
			return err
		}
		e := o.gate.event(audit.OrderUsed, row.Signer, body.Scope)
		e.Suspension, e.Statement, e.Reason = id, signed.Digest, body.Reason
		e.Detail = map[string]string{"order": body.ID, "via": via, "node": o.gate.node, "signed": stampOf(checked.Statement.At)}
		return tx.Append(e)
	})
	if isRule(err, "statement") {
		return o.usedBefore(ctx, body, signed)
	}
	return sus, err
}

func isRule(err error, rule string) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Code == gateway.CodeConflict && e.Rule == rule
}

// usedBefore answers an order that another node was faster with, or that was
// withdrawn.
func (o *OutOfBand) usedBefore(ctx context.Context, body *statement.Order, signed statement.Signed) (gateway.Suspension, error) {
	// The other hand's transaction may not be on disk yet, and then no reader
	// sees it; a write waits for it.
	if err := o.gate.store.Update(ctx, func(Tx) error { return nil }); err != nil {
		return gateway.Suspension{}, err
	}
	if sus, ok := o.done(ctx, signed); ok {
		return sus, nil
	}
	row, err := o.orders.Order(ctx, body.ID)
	switch {
	case err != nil:
		return gateway.Suspension{}, err
	case !row.Withdrawn.IsZero():
		return gateway.Suspension{}, gateway.Refused("order-withdrawn", "have a new one signed", "order %s was withdrawn by %s", body.ID, row.WithdrawnBy)
	}
	return gateway.Suspension{}, gateway.Refused("order-used", "look at the list of suspensions", "order %s was used before", body.ID)
}

// suspend draws up, signs and carries out a suspension in the machine's name.
func (o *OutOfBand) suspend(ctx context.Context, scope gateway.Scope, c gateway.Closing, reason string, fill func(*statement.Suspend), also func(Tx, string) error) (gateway.Suspension, error) {
	for try := 1; ; try++ {
		b, err := o.gate.DraftSuspend(ctx, trust.MachinePerson, scope, c, reason)
		if err != nil {
			return gateway.Suspension{}, err
		}
		fill(b)
		s, err := o.sign(b)
		if err != nil {
			return gateway.Suspension{}, err
		}
		sus, err := o.gate.suspend(ctx, s, func(tx Tx) error { return also(tx, b.ID) })
		if !isRule(err, "epoch") || try == draftTries {
			return sus, err
		}
	}
}

// refused writes an order that was not taken into the log. A stranger's are
// not worth a durable line each.
func (o *OutOfBand) refused(ctx context.Context, signed statement.Signed, via string, err error) {
	o.log.Warn("order not taken", "statement", signed.Digest.Short(), "via", via, "error", err)
	if Away(err) || via == ViaHTTP {
		return
	}
	e := audit.Event{
		Name: audit.OrderRefused, At: gateway.Instant(o.now()), Actor: statement.Machine, Statement: signed.Digest, Outcome: audit.Refused,
		Rule: gateway.AsError(err).Rule, Reason: gateway.AsError(err).Sentence(), Detail: map[string]string{"via": via, "node": o.gate.node},
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CommitWait)
	defer cancel()
	if err := o.gate.store.Update(ctx, func(tx Tx) error { return tx.Append(e) }); err != nil {
		o.log.Error("event not written", "event", string(e.Name), "error", err)
	}
}

func rowOf(c trust.Checked, b *statement.Order, signed statement.Signed) gateway.SignedOrder {
	return gateway.SignedOrder{
		ID: b.ID, Statement: signed.Digest, Scope: b.Scope, Mode: b.Mode, Reason: b.Reason, Signer: c.Signer.Name, From: b.From, To: b.To, Made: c.Statement.At,
	}
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// noteSince says in a report that a node had closed before.
func noteSince(r *gateway.Report, since time.Time) {
	if since.IsZero() {
		return
	}
	note := "a node whose store did not answer closed it already at " + stampOf(since) + "; this report is of the order to all nodes, at " + stampOf(r.Ordered)
	if r.Note != "" {
		note += "; " + r.Note
	}
	r.Note = note
}
