package trust

import (
	"context"
	"errors"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Bounds of one verification.
const (
	maxWalk = 4096 // statements behind one fact
	maxBy   = 64   // statements that one signer names as entitling him
)

// fact is one statement that a verification rests on. What prove fills in
// follows from bytes and proofs alone and never changes.
type fact struct {
	s    statement.Signed
	st   statement.Statement
	body statement.Body

	handed    bool // by the caller, not read from the store
	proven    bool
	admission gateway.Digest // of the signer, as it was when he signed
	key       string         // credential that signed; empty for the machine and for an invitation
	sshKey    string         // fingerprint, where an SSH security key signed instead
	enrolment gateway.Digest // of that credential, or the addition of that SSH key
	invite    gateway.Digest // that let an enrolment in
}

// walk is one verification. need puts a statement on the list, settle goes
// through the list until every statement that any other rests on has been
// proven and judged: the fact asked for holds only if all of them do. Links
// by digest cannot run in a circle, and the look-ups that can (who was what,
// when) only ever take away, so the order does not matter.
type walk struct {
	*Chain
	ctx     context.Context
	opened  map[gateway.Digest]*fact
	needed  map[gateway.Digest]bool
	todo    []*fact
	vendors map[string]*vendor
	people  map[string]*person
	keys    map[string]gateway.Authenticator
	sshKeys map[string]gateway.SSHKey
	heads   map[string]uint64 // versions and epochs seen, for the floor
}

func (c *Chain) walk(ctx context.Context) *walk {
	return &walk{
		Chain: c, ctx: ctx, opened: make(map[gateway.Digest]*fact), needed: make(map[gateway.Digest]bool),
		vendors: make(map[string]*vendor), people: make(map[string]*person), keys: make(map[string]gateway.Authenticator),
		sshKeys: make(map[string]gateway.SSHKey), heads: make(map[string]uint64),
	}
}

// open reads and parses a statement; it does not say that it holds.
func (w *walk) open(d gateway.Digest) (*fact, error) {
	if f := w.opened[d]; f != nil {
		return f, nil
	}
	if len(w.opened) >= maxWalk {
		return nil, broken("more than %d statements stand behind this, so it is not verified", maxWalk)
	}
	f := w.known.get(d)
	if f == nil {
		s, err := w.store.Statement(w.ctx, d)
		if errors.Is(err, gateway.ErrNotFound) {
			return nil, broken("statement %s is not on file", d.Short())
		}
		if err != nil {
			return nil, storeError(err)
		}
		if !s.Digest.Equal(d) {
			return nil, broken("another statement (%s) is filed in the place of statement %s", s.Digest.Short(), d.Short())
		}
		if f, err = read(s); err != nil {
			return nil, err
		}
	}
	w.opened[d] = f
	return f, nil
}

// read parses a statement as it was handed in or filed.
func read(s statement.Signed) (*fact, error) {
	st, body, err := s.Parse()
	if err != nil {
		e := broken("statement %s does not read as what was signed", s.Digest.Short())
		e.Cause = err
		return nil, e
	}
	return &fact{s: s, st: st, body: body}, nil
}

// need puts a statement on the list of what must hold.
func (w *walk) need(d gateway.Digest) (*fact, error) {
	f, err := w.open(d)
	if err != nil || w.needed[d] {
		return f, err
	}
	w.needed[d] = true
	w.todo = append(w.todo, f)
	return f, nil
}

// settle proves and judges everything on the list.
func (w *walk) settle() error {
	for len(w.todo) > 0 {
		f := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.ctx.Err(); err != nil {
			return gateway.Unavailable("store", err)
		}
		if !f.proven {
			if err := w.received(f); err != nil {
				return err
			}
			if err := w.prove(f); err != nil {
				return err
			}
			f.proven = true
			w.known.put(f)
		}
		if err := w.judge(f); err != nil {
			return err
		}
	}
	for subject, version := range w.heads {
		w.floor.sight(subject, version)
	}
	return nil
}

// seen notes a version or epoch for the floor, to be raised once it is known
// to hold.
func (w *walk) seen(subject string, version uint64) { w.heads[subject] = version }
