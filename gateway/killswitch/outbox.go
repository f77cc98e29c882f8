package killswitch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Times and bounds of what waits for the store.
const (
	maxOutbox   = 256             // orders that wait
	replayEvery = time.Second     // how often the store is tried
	replayWait  = 3 * time.Second // for one try to begin
	hereWait    = 2 * time.Second // for what a closing without its store writes
)

// outbox is the folder of orders that wait for the store, one file each, under
// the order's identifier.
type outbox struct{ dir string }

const orderSuffix = ".order"

func newOutbox(data string) (outbox, error) {
	b := outbox{filepath.Join(data, "outbox")}
	if err := os.MkdirAll(filepath.Join(b.dir, "refused"), 0o700); err != nil {
		return b, fmt.Errorf("make the outbox: %w", err)
	}
	return b, nil
}

// put is durable when it returns.
func (b outbox) put(id string, signed statement.Signed) error {
	raw, err := statement.EncodeFile(signed)
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(b.dir, id+orderSuffix), raw)
}

func (b outbox) remove(id string) error {
	if err := os.Remove(filepath.Join(b.dir, id+orderSuffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(b.dir)
}

// refuse lays an order that the store would not have aside, with the reason.
func (b outbox) refuse(id string, why error) error {
	to := filepath.Join(b.dir, "refused", id+orderSuffix)
	if err := writeDurably(to+".why", []byte(gateway.AsError(why).Sentence()+"\n")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(b.dir, id+orderSuffix), to); err != nil {
		return err
	}
	return errors.Join(syncDir(b.dir), syncDir(filepath.Dir(to)))
}

// all reads every order. A file that does not read stops it: what it closed
// must not open because its bytes were spoilt.
func (b outbox) all() (map[string]statement.Signed, error) {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, err
	}
	out := map[string]statement.Signed{}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), orderSuffix)
		if !ok || !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(b.dir, e.Name())
		raw, err := readBounded(path)
		if err != nil {
			return nil, err
		}
		signed, order, err := statement.ParseFile(raw)
		if err == nil && order.ID != id {
			err = errors.New("it holds another order")
		}
		if err != nil {
			return nil, fmt.Errorf("%s waits to be carried out and does not read; suspend what it was for, then move it away: %w", path, err)
		}
		out[id] = signed
	}
	return out, nil
}

// CloseHere closes a scope on this node alone, because its store does not
// answer: the order, signed by the machine, is on the disk first, new sessions
// of the scope are kept out, and live ones are ended. The other nodes follow
// when the store is back. The report says PENDING until then.
func (o *OutOfBand) CloseHere(ctx context.Context, signed statement.Signed) (gateway.Suspension, error) {
	checked, body, err := o.chain.CheckOrder(ctx, signed)
	if err != nil {
		return gateway.Suspension{}, err
	}
	if checked.Statement.Signer != statement.Machine {
		return gateway.Suspension{}, gateway.Refused("order", "hand it in again when the store answers", "without its store this node closes for its own machine's order alone")
	}
	note := "the store of this node does not answer: only this node has closed. The order is on its disk, and goes to all nodes when the store is back"
	if err := o.outbox.put(body.ID, signed); err != nil {
		o.log.Error("outbox not written; closing all the same", "order", body.ID, "error", err)
		note = "neither the store nor the disk of this node takes the order: only this node has closed, and only until it stops. Order it again when they are back"
	}
	now := gateway.Instant(o.now())
	r := &gateway.Report{Verdict: gateway.Pending, Ordered: now, Durable: now, Note: note}
	sus := gateway.Suspension{ID: body.ID, Scope: body.Scope, Closing: body.Closing(now), Reason: body.Reason, By: checked.Signer.Name, Statement: signed.Digest, Ordered: now}
	o.bars.Bar(body.ID, body.Scope)
	o.log.Error("the store does not answer; this node closes by itself", "scope", body.Scope.String(), "order", body.ID)
	defer o.gate.sessions.PutOff()()
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), hereWait)
	defer cancel()
	n := o.gate.closeHere(write, sus)
	r.Nodes, r.Finished = []gateway.NodeReport{n}, gateway.Instant(o.now())
	if verdict(r.Nodes, nil) == gateway.Fail {
		r.Verdict = gateway.Fail
	}
	sus.Report = r
	o.remember(body.ID, waiting{signed: signed, closed: true, shown: sus})
	return sus, nil
}

// keepForLater keeps an order whose signer cannot be looked up now.
func (o *OutOfBand) keepForLater(signed statement.Signed) (gateway.Suspension, error) {
	_, body, err := signed.Parse()
	b, ok := body.(*statement.Order)
	if err != nil || !ok {
		return gateway.Suspension{}, gateway.Invalid("order", "this is no signed order")
	}
	o.mu.Lock()
	full := len(o.waiting) >= maxOutbox
	o.mu.Unlock()
	if full {
		return gateway.Suspension{}, &gateway.Error{Code: gateway.CodeTooMany, Rule: "outbox", Text: "too many orders wait for the store already", Next: "use `portcullis suspend` on this machine"}
	}
	if err := o.outbox.put(b.ID, signed); err != nil {
		return gateway.Suspension{}, gateway.Unavailable("outbox", err)
	}
	now := gateway.Instant(o.now())
	sus := gateway.Suspension{ID: b.ID, Scope: b.Scope, Closing: b.Closing(now), Reason: b.Reason, Statement: signed.Digest, Ordered: now, Report: &gateway.Report{
		Verdict: gateway.Pending, Ordered: now, Note: "kept for later, and nothing is closed yet: the store does not answer, so who signed the order cannot be looked up. `portcullis suspend` on this machine closes this node now",
	}}
	o.remember(b.ID, waiting{signed: signed, shown: sus})
	return sus, nil
}

func (o *OutOfBand) remember(id string, w waiting) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting[id] = w
}

// Recover reads the outbox, before anything opens: what this node closed by
// itself is kept out again, and what the store takes now is carried out.
func (o *OutOfBand) Recover(ctx context.Context) error {
	all, err := o.outbox.all()
	if err != nil {
		return err
	}
	for id, signed := range all {
		_, body, err := signed.Parse()
		b, ok := body.(*statement.Order)
		if err != nil || !ok {
			return fmt.Errorf("read the outbox: order %s is none: %w", id, err)
		}
		st, _, _ := signed.Parse()
		w := waiting{signed: signed, shown: gateway.Suspension{
			ID: id, Scope: b.Scope, Closing: b.Closing(st.At), Reason: b.Reason, By: st.Signer, Statement: signed.Digest, Ordered: st.At,
			Report: &gateway.Report{Verdict: gateway.Pending, Ordered: st.At, Note: "it waited in the outbox when the gateway started"},
		}}
		if checked, _, err := o.chain.CheckOrder(ctx, signed); err == nil && checked.Statement.Signer == statement.Machine {
			w.closed = true
			o.bars.Bar(id, b.Scope)
		}
		o.remember(id, w)
	}
	o.replay(ctx)
	return nil
}

// Run carries out what waits in the outbox when the store is back, and what is
// laid into the folder, until ctx is done.
func (o *OutOfBand) Run(ctx context.Context) error {
	tick := time.NewTicker(replayEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		o.replay(ctx)
		o.sweep(ctx)
	}
}

// replay tries each order that waits, oldest first, and stops at the first for
// which the store does not answer.
func (o *OutOfBand) replay(ctx context.Context) {
	for _, id := range o.waitingIDs() {
		if ctx.Err() != nil || !o.storeAnswers(ctx) {
			return
		}
		o.mu.Lock()
		w := o.waiting[id]
		o.mu.Unlock()
		sus, err := o.Submit(ctx, w.signed, viaOutbox)
		if Away(err) {
			return
		}
		o.settle(id, sus, err)
	}
}

// settle takes an order out of the outbox: the store has it, or will not.
func (o *OutOfBand) settle(id string, sus gateway.Suspension, err error) {
	var file error
	if err != nil {
		o.log.Error("order in the outbox refused; what it closed here is open again", "order", id, "error", err)
		file = o.outbox.refuse(id, err)
	} else {
		o.log.Warn("order in the outbox carried out", "order", id, "suspension", sus.ID, "scope", sus.Scope.String())
		file = o.outbox.remove(id)
	}
	if file != nil {
		o.log.Error("outbox not tidied; the next start tries again", "order", id, "error", file)
	}
	o.bars.Unbar(id)
	o.mu.Lock()
	delete(o.waiting, id)
	o.mu.Unlock()
}

func (o *OutOfBand) waitingIDs() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := make([]string, 0, len(o.waiting))
	for id := range o.waiting {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// storeAnswers asks before an order is begun that would otherwise hang with
// it.
func (o *OutOfBand) storeAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, replayWait)
	defer cancel()
	_, err := o.orders.Orders(ctx)
	return err == nil && o.gate.store.Update(ctx, func(Tx) error { return nil }) == nil
}

// readBounded reads a regular file of at most an order's size; a link leads
// nowhere.
func readBounded(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > statement.MaxFile {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, statement.MaxFile)
	}
	return os.ReadFile(path)
}

// writeDurably replaces a file: after a crash it is the old one or the new.
func writeDurably(path string, raw []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
