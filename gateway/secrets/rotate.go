package secrets

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// Rotated takes somebody's word that an account's credential is another now,
// at the target and in its file, where the file bears it out against every
// session that had it; vendor, if set, holds it against that one's alone. The
// event is durable when it returns. What it does not take is an event too.
func (s *Service) Rotated(ctx context.Context, by, target, account, vendor string) (Secret, error) {
	e := audit.Event{Name: audit.SecretRotated, At: gateway.Instant(s.c.Now()), Actor: by, Target: target, Account: account, Vendor: vendor}
	b, err := s.book(ctx, SessionFilter{Target: target, Vendor: vendor}, time.Time{})
	if err != nil {
		return Secret{}, err
	}
	k := key{target, account}
	rest, err := s.verify(ctx, b, k, vendor)
	if err != nil {
		if no := gateway.AsError(err); no.Code == gateway.CodeConflict {
			e.Outcome, e.Rule, e.Reason = audit.Refused, no.Rule, no.Text
			if werr := s.c.Log.Append(ctx, e); werr != nil {
				return Secret{}, werr
			}
		}
		return Secret{}, err
	}
	e.Detail = map[string]string{"changed": rest.Changed.UTC().Format(time.RFC3339Nano), "mark": rest.Mark}
	if err := s.c.Log.Append(ctx, e); err != nil {
		return Secret{}, err
	}
	b.rotations[k] = slices.Insert(b.rotations[k], 0, Rotation{By: by, At: e.At, Changed: rest.Changed, Vendor: vendor})
	return b.secret(k, b.used[k], func(gateway.Session) bool { return true }), nil
}

// verify holds the file against the sessions that had the secret.
func (s *Service) verify(ctx context.Context, b *book, k key, vendor string) (Rest, error) {
	t := b.targets[k.target]
	a, ok := t.Account(k.account)
	switch {
	case !ok || t.Removed:
		return Rest{}, gateway.NotFound("account", k.account+" at "+k.target)
	case a.Proof == gateway.ProofCertificate:
		return Rest{}, gateway.Conflict("expires", "nothing to rotate: account %s is proven by a certificate, which expires by itself", a.Name)
	case a.Proof == gateway.ProofNone:
		return Rest{}, gateway.Conflict("none", "nothing to rotate: the gateway holds nothing for account %s", a.Name)
	}
	rest, err := b.files(k.target, a)
	if err != nil {
		return rest, err
	}
	rest.Changed = gateway.Instant(rest.Changed)
	if rest.Changed.After(b.now) { // a time to come would close sessions to come
		rest.Changed = b.now
	}
	had := b.used[k]
	for _, x := range had {
		if end := b.end(x); !rest.Changed.After(end) {
			return rest, unchanged(rest.Changed, x, vendor)
		}
	}
	return rest, s.another(ctx, k, rest.Mark, had)
}

func unchanged(changed time.Time, x gateway.Session, vendor string) error {
	no := gateway.Conflict("unchanged", "its file was last written at %s, and session %s of vendor %s, which had what it holds, ended at %s", stamp(changed), x.ID, x.Vendor, stamp(x.Ended))
	no.Next = "set another secret at the target, write it to the file, and say so again"
	if x.Ended.IsZero() {
		no.Text = "session " + x.ID + " of vendor " + x.Vendor + " is live and may ask for it at any time"
		no.Next = "end the session first"
	}
	if vendor == "" {
		no.Next += "; where one vendor alone is not trusted, hold the file against its sessions alone (--vendor)"
	}
	return no
}

// another refuses a file that was written anew with what a session had before.
// A session that left no mark, since the gateway was killed or was older, is
// told by the file's time alone.
func (s *Service) another(ctx context.Context, k key, mark string, had []gateway.Session) error {
	if len(had) == 0 || mark == "" {
		return nil
	}
	ids := map[string]bool{}
	for _, x := range had {
		ids[x.ID] = true
	}
	same := ""
	err := s.events(ctx, audit.Query{Name: audit.SessionEnded, Target: k.target}, func(e audit.Event) {
		if same == "" && ids[e.Session] && slices.Contains(strings.Fields(e.Detail[audit.Marks]), mark) {
			same = e.Session
		}
	})
	if err != nil || same == "" {
		return err
	}
	no := gateway.Conflict("same-secret", "its file was written since, but it holds the secret that session %s had", same)
	no.Next = "set another secret at the target, write it to the file, and say so again"
	return no
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
