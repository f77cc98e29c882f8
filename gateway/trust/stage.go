package trust

import (
	"context"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Stage returns how far the strictest scope that covers the reach has come
// back: its vendor, its person, and the wide ones. The operator's own people
// are covered by none and stay in normal.
func (c *Chain) Stage(ctx context.Context, r gateway.Reach) (gateway.Ladder, error) {
	strictest := gateway.Ladder{Stage: gateway.StageNormal}
	if r.Vendor == "" {
		return strictest, nil
	}
	w := c.walk(ctx)
	for _, scope := range append(r.Wide(), gateway.Scope{Kind: gateway.ScopeVendor, Name: r.Vendor}, gateway.Scope{Kind: gateway.ScopePerson, Name: r.Person}) {
		l, err := w.live(scope)
		if err != nil {
			return gateway.Ladder{}, err
		}
		if x := l.ladder(scope); x.Stage.Stricter(strictest.Stage) {
			strictest = x
		}
	}
	if err := w.settle(); err != nil {
		return gateway.Ladder{}, err
	}
	return strictest, nil
}

// StageRule is the rule of what the stage of a restoration does not let yet.
const StageRule = "stage"

// Opens refuses a session in a stage that lets none, to whoever would open it.
func Opens(x gateway.Ladder, r gateway.Reach) error {
	switch {
	case x.Stage == "":
		return shut(x.Scope, r, gateway.Suspended)
	case !x.Stage.Stricter(gateway.StageSupervised):
		return nil
	}
	return gateway.Refused(StageRule, "come back when the operator has let it go on to the next stage, not before "+x.Earliest.UTC().Format("2006-01-02 15:04 UTC"),
		"%s was restored and is %s: you may sign in and ask, and no session opens yet", told(x.Scope, r), x.Stage)
}

// DifferentRoles refuses a second signature under a restoration by somebody
// who has no role but the one that the first signer has. Both are judged by
// the admissions that they cite, as every node judges them afterwards.
func (c *Chain) DifferentRoles(ctx context.Context, first, second statement.Signed) error {
	w := c.walk(ctx)
	var pair [2][]gateway.Role
	var name [2]string
	for i, s := range []statement.Signed{first, second} {
		f, err := read(s)
		if err != nil {
			return err
		}
		if pair[i], err = w.roles(f); err != nil {
			return err
		}
		name[i] = f.st.Signer
	}
	if !differ(pair[0], pair[1]) {
		return gateway.Refused("two-roles", "let a person of another role sign it: a responder and an approver, for example", "%s and %s have one and the same role, and a restoration takes two people of different roles", name[0], name[1])
	}
	return nil
}

// roles are those by which the signer of a restoration may sign it, by the
// admission that he cites. That it holds is judged with the statement.
func (w *walk) roles(f *fact) ([]gateway.Role, error) {
	var has []gateway.Role
	if f.st.Signer == statement.Machine {
		has = MachinePerson.Roles
	}
	for _, d := range f.st.By[:min(len(f.st.By), maxBy)] {
		c, err := w.open(d)
		if err != nil {
			return nil, f.wrap("what it cites", err)
		}
		if b, ok := c.body.(*statement.PersonAdmit); ok && b.Name == f.st.Signer {
			has = b.Roles
		}
	}
	return slices.DeleteFunc(slices.Clone(has), func(r gateway.Role) bool { return !slices.Contains(ruleOf(f.st.Kind).roles, r) }), nil
}

// differ reports whether each of two people can stand for a role of his own.
func differ(a, b []gateway.Role) bool {
	return slices.ContainsFunc(a, func(x gateway.Role) bool {
		return slices.ContainsFunc(b, func(y gateway.Role) bool { return x != y })
	})
}

// restored is what the second signature under a restoration begins.
func restored(first, second *fact) span {
	b, _ := second.body.(*statement.Restore)
	s := span{epoch: b.Epoch, state: gateway.Active, stage: gateway.StageNormal, began: second, by: []string{first.st.Signer, second.st.Signer}}
	if b.Staged() {
		s.stage = gateway.StageWatchOnly
	}
	return s
}

// steps are the spans of the present restoration, oldest first; none where the
// scope is not active or was never restored.
func (l life) steps() life {
	now := l.now()
	return slices.DeleteFunc(slices.Clone(l), func(s span) bool {
		return now.state != gateway.Active || s.state != gateway.Active || s.epoch != now.epoch || s.began == nil
	})
}

// advances holds a step to the stage that it ends: the very one, and not
// before its shortest stay is over.
func (l life) advances(f *fact, b *statement.Advance, scope gateway.Scope) error {
	now, x := l.now(), l.ladder(scope)
	switch {
	case b.Scope != scope:
		return f.broken("it is filed with the suspensions of %s", scope)
	case now.state != gateway.Active || now.epoch != b.Epoch || !x.Began.Equal(b.Previous) || x.Suspension != b.Suspension:
		return f.broken("it goes on from a stage that %s was not in", scope)
	case b.To != x.Next:
		return f.broken("it takes %s from %s to %s, and the next stage is another", scope, x.Stage, b.To)
	case f.st.At.Before(x.Earliest):
		return f.broken("it was drawn up at %s, and %s had to stay %s until %s", f.st.At.UTC().Format(time.RFC3339), scope, x.Stage, x.Earliest.UTC().Format(time.RFC3339))
	case scope.Kind == gateway.ScopePerson && f.st.Signer == scope.Name:
		return f.broken("nobody signs for his own return")
	}
	return nil
}

// ladder is the life's end as people look at it.
func (l life) ladder(scope gateway.Scope) gateway.Ladder {
	x := gateway.Ladder{Scope: scope, Epoch: l.now().epoch}
	if l.now().state != gateway.Active {
		return x
	}
	x.Stage = l.now().stage
	for i, s := range l.steps() {
		if b, ok := s.began.body.(*statement.Restore); ok && i == 0 {
			x.Suspension, x.Stays = b.Suspension, b.Stays()
		}
		x.Since, x.Began = s.began.st.At, s.began.s.Digest
		x.Steps = append(x.Steps, gateway.Step{Stage: s.stage, Since: x.Since, By: slices.Clone(s.by), Reason: reasonOf(s.began.body), Statement: x.Began})
	}
	if x.Next = x.Stage.Next(); x.Next != "" {
		x.Earliest = x.Since.Add(x.Stays.In(x.Stage))
	}
	return x
}

func reasonOf(b statement.Body) string {
	switch b := b.(type) {
	case *statement.Restore:
		return b.Reason
	case *statement.Advance:
		return b.Reason
	}
	return ""
}
