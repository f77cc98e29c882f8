package trust

import (
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// life is what the suspensions and restorations of a scope add up to: its
// epochs, oldest first, never empty.
type life []span

// span is one stretch of one state and stage.
type span struct {
	epoch uint64
	state gateway.State
	until time.Time // zero for the last
	order *fact     // the suspension that began it, if one did

	stage gateway.Stage // where the state is active
	began *fact         // the restoration or step that began the stage, if one did
	by    []string      // who signed for it
}

func (l life) now() span { return l[len(l)-1] }

// held reports whether what is pinned to the epoch was good at that time.
func (l life) held(epoch uint64, at time.Time) bool {
	return slices.ContainsFunc(l, func(s span) bool {
		return s.epoch == epoch && s.state == gateway.Active && (s.until.IsZero() || !at.After(s.until.Add(slack)))
	})
}

func (l life) to(s span, at time.Time) life {
	l[len(l)-1].until = at
	return append(l, s)
}

// live replays the suspend and restore statements of a scope from epoch 1.
// Each suspension begins the next epoch; so does a restoration, once two
// different people (the machine counts as one) have signed the same one. The
// steps after it go on from stage to stage.
func (w *walk) live(scope gateway.Scope) (life, error) {
	digests, err := w.store.ScopeStatements(w.ctx, scope)
	if err != nil {
		return nil, storeError(err)
	}
	l := life{{epoch: 1, state: gateway.Active, stage: gateway.StageNormal}}
	var open []string // identifiers of the suspensions not yet lifted
	var first *fact   // the first signature of a restoration
	for _, d := range digests {
		f, err := w.need(d)
		if err != nil {
			return nil, err
		}
		switch b := f.body.(type) {
		case *statement.Suspend:
			if b.Scope != scope {
				return nil, f.broken("it is filed with the suspensions of %s", scope)
			}
			if b.Epoch != l.now().epoch+1 {
				return nil, f.broken("it begins epoch %d, but %s was at epoch %d: an order is missing or stands twice", b.Epoch, scope, l.now().epoch)
			}
			if err := b.CheckTimes(f.st.At); err != nil {
				return nil, f.broken("its times do not hold: %s", gateway.AsError(err).Text)
			}
			l = l.to(span{epoch: b.Epoch, state: gateway.Suspended, order: f}, f.st.At)
			open, first = append(open, b.ID), nil
		case *statement.Restore:
			if err := restorable(f, b, scope, l, open); err != nil {
				return nil, err
			}
			if first == nil {
				l, first = l.to(span{epoch: l.now().epoch, state: gateway.Restoring}, f.st.At), f
				continue
			}
			if err := w.together(first, f); err != nil {
				return nil, err
			}
			l = l.to(restored(first, f), f.st.At)
			open, first = nil, nil
		case *statement.Advance:
			if err := l.advances(f, b, scope); err != nil {
				return nil, err
			}
			l = l.to(span{epoch: b.Epoch, state: gateway.Active, stage: b.To, began: f, by: []string{f.st.Signer}}, f.st.At)
		default:
			return nil, f.broken("it is filed with the suspensions of %s", scope)
		}
	}
	if seen := w.floor.At(epochOf(scope)); l.now().epoch < seen {
		return nil, broken("epoch %d of %s is older than what this machine has seen (epoch %d): an order is missing", l.now().epoch, scope, seen)
	}
	return l, nil
}

// restorable holds one signature under a restoration to the suspension that
// it lifts.
func restorable(f *fact, b *statement.Restore, scope gateway.Scope, l life, open []string) error {
	switch {
	case b.Scope != scope:
		return f.broken("it is filed with the suspensions of %s", scope)
	case !slices.Contains(open, b.Suspension):
		return f.broken("it lifts suspension %s, which does not stand", gateway.Quote(b.Suspension))
	case b.Epoch != l.now().epoch+1:
		return f.broken("it begins epoch %d, but %s was at epoch %d", b.Epoch, scope, l.now().epoch)
	case scope.Kind == gateway.ScopePerson && f.st.Signer == scope.Name:
		return f.broken("nobody signs his own restoration")
	}
	return nil
}

// together holds the two signatures under a restoration to each other.
func (w *walk) together(a, b *fact) error {
	x, _ := a.body.(*statement.Restore)
	y, _ := b.body.(*statement.Restore)
	switch {
	case a.st.Signer == b.st.Signer:
		return b.broken("%s signed the restoration twice; it takes two different people", gateway.Quote(b.st.Signer))
	case x.Suspension != y.Suspension || !x.Report.Equal(y.Report):
		return b.broken("the two signatures are under different restorations")
	case x.Stays() != y.Stays():
		return b.broken("the two signatures state different shortest stays")
	case !x.Staged():
		return nil
	}
	mine, err := w.roles(a)
	if err != nil {
		return err
	}
	other, err := w.roles(b)
	if err != nil {
		return err
	}
	if !differ(mine, other) {
		return b.broken("its two signers have one and the same role; it takes two people of different roles")
	}
	return nil
}

func epochOf(s gateway.Scope) string { return string(s.Kind) + "-epoch:" + s.Name }
