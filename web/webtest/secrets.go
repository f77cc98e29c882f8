package webtest

import (
	"context"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/secrets"
	"github.com/portcullis/portcullis/web/api"
)

// secretRoom is the real room over the sample plant.
func (w *World) secretRoom() *secrets.Service {
	s, err := secrets.New(secrets.Config{Targets: directory{w}, Suspensions: gate{w}, Log: &secretLog{w: w}, Sessions: w.pageOfSessions, Files: w.file, Now: func() time.Time { return w.Now }})
	if err != nil {
		panic(err) // nothing is missing
	}
	return s
}

func (w *World) pageOfSessions(ctx context.Context, f secrets.SessionFilter) ([]gateway.Session, error) {
	if f.Before != "" { // there is one page
		return nil, nil
	}
	page, err := sessions{w}.Sessions(ctx, api.SessionFilter{Vendor: f.Vendor, Person: f.Person, Target: f.Target})
	page = slices.Clone(page)
	slices.SortFunc(page, func(a, b gateway.Session) int { return b.Started.Compare(a.Started) })
	return page, err
}

func (w *World) file(_ string, a gateway.Account) (secrets.Rest, error) {
	r, ok := w.SecretFiles[a.SecretFile]
	if !ok {
		return r, &gateway.Error{Code: gateway.CodeUnavailable, Rule: "credential", Text: "the credential of account " + a.Name + " cannot be used"}
	}
	return r, nil
}

// secretLog keeps what is written, and finds what the room looks for in it.
type secretLog struct {
	w      *World
	events []audit.Event
}

func (l *secretLog) Append(_ context.Context, events ...audit.Event) error {
	for _, e := range events {
		if err := l.w.did("append %s %s", e.Name, e.Outcome); err != nil {
			return err
		}
		l.events = append(l.events, e)
	}
	return nil
}

func (l *secretLog) Search(_ context.Context, q audit.Query) ([]audit.Entry, error) {
	var found []audit.Entry
	for i, e := range l.events {
		if e.Name != q.Name {
			continue
		}
		body, err := audit.Encode(e, int64(i))
		if err != nil {
			return nil, err
		}
		found = append(found, audit.Entry{Seq: int64(i), Body: body})
	}
	return found, nil
}
