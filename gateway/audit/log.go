package audit

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Bounds of reading.
const (
	MaxPage      = 1000    // entries of one answer
	defaultPage  = 100     // where a query names no limit
	maxScan      = 200_000 // entries that one text search looks at
	followBuffer = 64      // entries that wait for a slow follower; the rest waits in the store
)

// Query narrows a search; empty fields do not. Newest first.
type Query struct {
	Text           string // found, whatever its case, in any word of ours: name, actor, reason, detail, …
	Name           Name
	Vendor, Target string
	Person         string // as the actor or as the one it is about
	Session        string
	From, To       time.Time // From <= at < To
	Before         int64     // page on below this sequence number; 0 begins at the newest
	Limit          int       // 1 to MaxPage; 0 means 100
}

// Keys are the columns that entries are found by, copied from the body. They
// prove nothing; Verify compares them with the body.
type Keys struct {
	At                                           int64 // Unix microseconds
	Name, Actor, Vendor, Person, Target, Session string
}

// KeysOf returns the columns of an event.
func KeysOf(e Event) Keys {
	return Keys{At: e.At.UnixMicro(), Name: string(e.Name), Actor: e.Actor, Vendor: e.Vendor, Person: e.Person, Target: e.Target, Session: e.Session}
}

// Row is an entry as it is stored.
type Row struct {
	Entry
	Keys Keys
}

// StoredHash is one hash of the tree at its tlog.StoredHashIndex.
type StoredHash struct {
	Index int64
	Hash  tlog.Hash
}

// StoredCheckpoint is a checkpoint under its running number 0, 1, 2, …, by
// which a dropped one is missed.
type StoredCheckpoint struct {
	N int64
	Checkpoint
}

// Head says how far the log reached at one moment: the last key of each
// table, -1 where it is empty.
type Head struct{ Row, Hash, Checkpoint int64 }

// Source is where the log rests. Its reads believe nothing: a column that
// does not have the right shape is answered as a value that cannot be right
// instead of an error, so that Verify can name the row.
type Source interface {
	// Head reads the last keys in one transaction.
	Head(ctx context.Context) (Head, error)
	// Rows, Hashes and Checkpoints list what is stored from that key on, by
	// rising key, at most limit.
	Rows(ctx context.Context, from int64, limit int) ([]Row, error)
	Hashes(ctx context.Context, from int64, limit int) ([]StoredHash, error)
	Checkpoints(ctx context.Context, from int64, limit int) ([]StoredCheckpoint, error)
	// Search lists entries by the columns of q, newest first, at most
	// q.Limit. It may leave q.Text to the caller.
	Search(ctx context.Context, q Query) ([]Entry, error)
	// Changed is closed after the next commit that appends.
	Changed() <-chan struct{}
	// Inspect asks the database to examine its own files and returns what is
	// wrong with them.
	Inspect(ctx context.Context) ([]string, error)
	// Append makes the events durable in a transaction of their own.
	Append(ctx context.Context, events ...Event) error
}

// Log reads the log, and appends to it what goes with no other change.
type Log struct {
	src      Source
	verifier *Verifier
}

// NewLog returns the log kept in src and sealed by verifier's key.
func NewLog(src Source, verifier *Verifier) *Log { return &Log{src, verifier} }

// Append makes the events durable, all or none.
func (l *Log) Append(ctx context.Context, events ...Event) error { return l.src.Append(ctx, events...) }

// Tail returns the last n entries, oldest first.
func (l *Log) Tail(ctx context.Context, n int) ([]Entry, error) {
	entries, err := l.src.Search(ctx, Query{Limit: min(max(n, 1), MaxPage)})
	slices.Reverse(entries)
	return entries, err
}

// Search returns entries that fit the query, newest first. A text search looks
// at no more than 200,000 entries; page on with Before.
func (l *Log) Search(ctx context.Context, q Query) ([]Entry, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, MaxPage)
	if q.Text == "" {
		q.Limit = limit
		return l.src.Search(ctx, q)
	}
	var found []Entry
	q.Limit = MaxPage
	for range maxScan / MaxPage {
		page, err := l.src.Search(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.says(q.Text) {
				found = append(found, e)
			}
			if len(found) == limit {
				return found, nil
			}
		}
		if len(page) < MaxPage || page[len(page)-1].Seq == 0 {
			break
		}
		q.Before = page[len(page)-1].Seq
	}
	return found, nil
}

// says reports whether any word of the entry, rather than of its JSON, holds
// text.
func (e Entry) says(text string) bool {
	ev, err := e.Event()
	if err != nil {
		return false
	}
	words := []string{string(ev.Name), ev.Actor, ev.Vendor, ev.Person, ev.Target, ev.Account, ev.Request, ev.Grant, ev.Session,
		ev.Suspension, ev.Source, ev.Statement.String(), string(ev.Outcome), ev.Rule, ev.Reason}
	for k, v := range ev.Detail {
		words = append(words, k, v)
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(w), text) })
}

// Follow sends each entry appended after the call, in order and without gaps,
// until ctx is done or the store does not answer; then it closes the channel.
// A slow reader is not left behind: what it has not taken waits in the store.
func (l *Log) Follow(ctx context.Context) <-chan Entry {
	out := make(chan Entry, followBuffer)
	head, err := l.src.Head(ctx)
	if err != nil {
		close(out)
		return out
	}
	go func() {
		defer close(out)
		for next := head.Row + 1; ; {
			changed := l.src.Changed() // before reading, so that no commit falls between
			rows, err := l.src.Rows(ctx, next, followBuffer)
			if err != nil {
				return
			}
			for _, r := range rows {
				select {
				case out <- r.Entry:
					next = r.Seq + 1
				case <-ctx.Done():
					return
				}
			}
			if len(rows) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Verify recomputes the whole log; see the function of the same name.
func (l *Log) Verify(ctx context.Context, floor Checkpoint) (Result, []Fault, error) {
	return Verify(ctx, l.src, l.verifier, floor)
}
