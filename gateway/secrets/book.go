package secrets

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// key is what a secret is found by.
type key struct{ target, account string }

// book is all that one answer is made of, read once.
type book struct {
	now       time.Time
	targets   map[string]gateway.Target
	used      map[key][]gateway.Session // newest first
	rotations map[key][]Rotation        // newest first
	files     Files
	cut       time.Time
}

func (s *Service) book(ctx context.Context, f SessionFilter, since time.Time) (*book, error) {
	b := &book{now: gateway.Instant(s.c.Now()), targets: map[string]gateway.Target{}, used: map[key][]gateway.Session{}, files: s.c.Files}
	targets, err := s.c.Targets.Targets(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if f.Target == "" || f.Target == t.Name {
			b.targets[t.Name] = t
		}
	}
	if err := s.sessions(ctx, b, f, since); err != nil {
		return nil, err
	}
	b.rotations, err = s.rotations(ctx, f.Target, since)
	return b, err
}

// sessions reads those that were still live at since or later.
func (s *Service) sessions(ctx context.Context, b *book, f SessionFilter, since time.Time) error {
	f.Limit = pageOf
	for n := 0; ; n += pageOf {
		page, err := s.c.Sessions(ctx, f)
		if err != nil {
			return err
		}
		for _, x := range page {
			if !b.end(x).Before(since) {
				k := key{x.Target, x.Account}
				b.used[k] = append(b.used[k], x)
			}
		}
		if len(page) < f.Limit || page[len(page)-1].Started.Before(since.Add(-longest)) {
			return nil
		}
		last := page[len(page)-1]
		if n+pageOf >= maxSessions {
			b.cut = last.Started
			return nil
		}
		f.Before = last.ID
	}
}

// rotations reads those that were verified. One that closes a session from
// since on was said after it.
func (s *Service) rotations(ctx context.Context, target string, since time.Time) (map[key][]Rotation, error) {
	all := map[key][]Rotation{}
	err := s.events(ctx, audit.Query{Name: audit.SecretRotated, Target: target, From: since}, func(e audit.Event) {
		changed, err := time.Parse(time.RFC3339Nano, e.Detail["changed"])
		if err != nil || e.Outcome != audit.OK && e.Outcome != "" {
			return
		}
		k := key{e.Target, e.Account}
		all[k] = append(all[k], Rotation{By: e.Actor, At: e.At, Changed: changed, Vendor: e.Vendor})
	})
	return all, err
}

// events reads what fits q, newest first, and leaves what is older than
// maxEvents.
func (s *Service) events(ctx context.Context, q audit.Query, each func(audit.Event)) error {
	q.Limit = audit.MaxPage
	for range maxEvents / audit.MaxPage {
		page, err := s.c.Log.Search(ctx, q)
		if err != nil {
			return err
		}
		for _, entry := range page {
			e, err := entry.Event()
			if err != nil {
				return err
			}
			each(e)
		}
		if len(page) < q.Limit {
			return nil
		}
		if q.Before = page[len(page)-1].Seq; q.Before == 0 {
			return nil
		}
	}
	return nil
}

// keys are the secrets on file and those that sessions were given, by name. A
// console at which the engineer signs in himself has none.
func (b *book) keys() []key {
	all := map[key]bool{}
	for _, t := range b.targets {
		for _, a := range t.Accounts {
			if !t.Removed && a.Proof != gateway.ProofNone {
				all[key{t.Name, a.Name}] = true
			}
		}
	}
	for k := range b.used {
		if a, ok := b.targets[k.target].Account(k.account); !ok || a.Proof != gateway.ProofNone {
			all[k] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.account, b.account))
	})
}

// reaches reports whether the vendor's people may ask for the target, or had
// the secret.
func (b *book) reaches(k key, vendor string) bool {
	return slices.Contains(b.targets[k.target].Vendors, vendor) || len(b.used[k]) > 0
}

// end is when a session gave its secret back.
func (b *book) end(x gateway.Session) time.Time {
	if x.Ended.IsZero() {
		return b.now
	}
	return x.Ended
}

// secret tells of one, exposed to the sessions in had; those that are suspect
// make the work.
func (b *book) secret(k key, had []gateway.Session, suspect func(gateway.Session) bool) Secret {
	t := b.targets[k.target]
	x := Secret{Target: k.target, Title: t.Title, Protocol: t.Kind, Account: k.account, Owner: t.Owner, Sessions: len(had), Vendors: b.uses(had), Exposures: exposures(had)}
	for _, h := range had {
		x.Protocol = h.Protocol
		if end := b.end(h); end.After(x.LastUsed) {
			x.LastUsed = end
		}
	}
	if r := b.rotations[k]; len(r) > 0 {
		x.Rotated = &r[0]
	}
	a, ok := t.Account(k.account)
	x.Proof = a.Proof
	switch {
	case !ok || t.Removed:
		x.Work = WorkGone
	case a.Proof == gateway.ProofCertificate:
		x.Work = WorkExpires
	default:
		if rest, err := b.files(k.target, a); err != nil {
			x.Fault = gateway.AsError(err).Text
		} else {
			x.Changed = gateway.Instant(rest.Changed)
			x.Age = max(b.now.Sub(x.Changed), 0)
		}
		x.Work, x.Since = b.work(k, x.Changed, only(had, suspect))
	}
	x.Next = x.next(t.Changed)
	return x
}

// next says what to do about it; defined is when its target's definition was
// changed last.
func (x Secret) next(defined time.Time) string {
	say := "say so: portcullis secrets rotated " + x.Target + " " + x.Account
	switch {
	case x.Work == WorkOpen && x.Since:
		return "its file was written since; once the target has the new one too, " + say
	case x.Work == WorkOpen:
		return "set another one at the target, write it to its file, and " + say
	case x.Work == WorkGone:
		return "the account is not on file any more: see that the target does not take its credential"
	case x.Work == WorkExpires && !x.LastUsed.IsZero() && defined.After(x.LastUsed):
		return "nothing to rotate: it expires by itself; the target was redefined since, so see that it does not take what the account was proven by before"
	case x.Work == WorkExpires:
		return "nothing to rotate: it expires by itself"
	}
	return ""
}

// work is what those sessions leave to do about a secret whose file was
// written at changed, and whether only somebody's word for it is missing.
func (b *book) work(k key, changed time.Time, had []gateway.Session) (w Work, since bool) {
	if len(had) == 0 {
		return WorkNone, false
	}
	w, since = WorkDone, true
	for _, x := range had {
		end := b.end(x)
		if !slices.ContainsFunc(b.rotations[k], func(r Rotation) bool { return r.closes(x.Vendor, end) }) {
			w = WorkOpen
		}
		since = since && changed.After(end)
	}
	return w, since && w == WorkOpen
}

func (b *book) uses(had []gateway.Session) []Use {
	by := map[string]Use{}
	for _, x := range had {
		u := by[x.Vendor]
		u.Vendor, u.Sessions = x.Vendor, u.Sessions+1
		if end := b.end(x); end.After(u.Last) {
			u.Last = end
		}
		by[x.Vendor] = u
	}
	return append([]Use{}, slices.SortedFunc(maps.Values(by), func(a, b Use) int { return cmp.Compare(a.Vendor, b.Vendor) })...)
}

func exposures(had []gateway.Session) []Exposure {
	list := []Exposure{}
	for _, x := range had[:min(len(had), MaxExposures)] {
		list = append(list, Exposure{Session: x.ID, Vendor: x.Vendor, Person: x.Person, From: x.Started, To: x.Ended})
	}
	return list
}
