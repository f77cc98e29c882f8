package store

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/identity"
)

// maxSeen bounds the last-seen times that wait for a commit.
const maxSeen = 10_000

// Identity answers to identity.Store.
func (db *DB) Identity() identity.Store { return identityStore{db.names()} }

type identityStore struct{ names }

func (s identityStore) Authenticators(ctx context.Context, person string) ([]gateway.Authenticator, error) {
	return many(ctx, &s.db.reads, authenticators, "WHERE person = $1 ORDER BY enrolled, id", person)
}

func (s identityStore) SSHKeys(ctx context.Context, person string) ([]gateway.SSHKey, error) {
	return many(ctx, &s.db.reads, sshKeys, "WHERE person = $1 ORDER BY added, fingerprint", person)
}

func (s identityStore) InvitationByKey(ctx context.Context, publicKey []byte) (gateway.Invitation, error) {
	return one(ctx, &s.db.reads, invitations, "WHERE public_key = $1", publicKey)
}

func (s identityStore) Login(ctx context.Context, hash gateway.Digest) (gateway.Login, error) {
	l, err := one(ctx, &s.db.reads, logins, "WHERE hash = $1", hash.String())
	l.Seen = s.db.lastSeen(l)
	return l, err
}

func (s identityStore) Logins(ctx context.Context, person string) ([]gateway.Login, error) {
	list, err := many(ctx, &s.db.reads, logins, "WHERE person = $1 ORDER BY made, id", person)
	for i := range list {
		list[i].Seen = s.db.lastSeen(list[i])
	}
	return list, err
}

func (s identityStore) Subject(ctx context.Context, provider, subject string) (string, error) {
	person, found := "", false
	err := s.db.reads.each(ctx, []any{&person}, func() { found = true }, "SELECT person FROM subjects WHERE provider = $1 AND subject = $2", provider, subject)
	if err == nil && !found {
		err = gateway.ErrNotFound
	}
	return person, err
}

// PersonByEmail answers gateway.ErrNotFound also where two people share the
// address: which of them is meant is not ours to guess.
func (s identityStore) PersonByEmail(ctx context.Context, vendor, email string) (gateway.Person, error) {
	if email == "" {
		return gateway.Person{}, gateway.ErrNotFound
	}
	list, err := many(ctx, &s.db.reads, people, "WHERE vendor = $1 AND email = $2 AND state <> $3", vendor, strings.ToLower(email), string(gateway.Removed))
	switch {
	case err != nil:
		return gateway.Person{}, err
	case len(list) != 1:
		return gateway.Person{}, gateway.ErrNotFound
	}
	return list[0], nil
}

// SeenLogin implements identity.Store: the time is kept in memory, shown by
// this node's reads at once, and written with the next commit.
func (s identityStore) SeenLogin(ctx context.Context, hash gateway.Digest, at time.Time) error {
	s.db.mu.Lock()
	full := len(s.db.seen) >= maxSeen
	if at = gateway.Instant(at); at.After(s.db.seen[hash]) {
		s.db.seen[hash] = at
	}
	s.db.mu.Unlock()
	if full {
		return s.db.update(ctx, func(*Tx) error { return nil })
	}
	return nil
}

// lastSeen is the later of what is stored and what waits to be.
func (db *DB) lastSeen(l gateway.Login) time.Time {
	db.mu.Lock()
	defer db.mu.Unlock()
	if at := db.seen[l.Hash]; at.After(l.Seen) {
		return at
	}
	return l.Seen
}

// flushSeen writes the waiting times into the transaction that is about to
// commit, and returns them.
func (db *DB) flushSeen(ctx context.Context, c *conn) (map[gateway.Digest]time.Time, error) {
	db.mu.Lock()
	waiting := maps.Clone(db.seen)
	db.mu.Unlock()
	for hash, at := range waiting {
		if _, err := c.exec(ctx, "UPDATE logins SET seen = $1 WHERE hash = $2 AND seen < $1", micros(at), hash.String()); err != nil {
			return nil, err
		}
	}
	return waiting, nil
}

// forgetSeen drops the times that a commit has carried, but for those that
// have moved on since.
func (db *DB) forgetSeen(carried map[gateway.Digest]time.Time) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for hash, at := range carried {
		if db.seen[hash].Equal(at) {
			delete(db.seen, hash)
		}
	}
}

func (s identityStore) Update(ctx context.Context, f func(identity.Tx) error) error {
	return s.db.update(ctx, func(tx *Tx) error { return f(tx) })
}

// PutAuthenticator implements identity.Tx.
func (tx *Tx) PutAuthenticator(a gateway.Authenticator) error {
	return create(tx, authenticators, &a, gateway.ErrUsed)
}

// RemoveAuthenticator implements identity.Tx; gateway.ErrUsed if it was
// removed before, whose time stays.
func (tx *Tx) RemoveAuthenticator(credential string, at time.Time) error {
	err := tx.touch(gateway.ErrUsed, "UPDATE authenticators SET removed = $1 WHERE id = $2 AND removed = 0", micros(at), credential)
	return tx.tell(err, gateway.ErrUsed, "SELECT 1 FROM authenticators WHERE id = $1", credential)
}

// SetCounter implements identity.Tx.
func (tx *Tx) SetCounter(credential string, from, to uint32) error {
	err := tx.touch(gateway.ErrStale, "UPDATE authenticators SET counter = $1 WHERE id = $2 AND counter = $3", int64(to), credential, int64(from))
	return tx.tell(err, gateway.ErrStale, "SELECT 1 FROM authenticators WHERE id = $1", credential)
}

// PutSSHKey implements identity.Tx.
func (tx *Tx) PutSSHKey(k gateway.SSHKey) error { return create(tx, sshKeys, &k, gateway.ErrUsed) }

// RemoveSSHKey implements identity.Tx, as RemoveAuthenticator does.
func (tx *Tx) RemoveSSHKey(fingerprint string, at time.Time) error {
	err := tx.touch(gateway.ErrUsed, "UPDATE ssh_keys SET removed = $1 WHERE fingerprint = $2 AND removed = 0", micros(at), fingerprint)
	return tx.tell(err, gateway.ErrUsed, "SELECT 1 FROM ssh_keys WHERE fingerprint = $1", fingerprint)
}

// SetSSHCounter implements identity.Tx.
func (tx *Tx) SetSSHCounter(fingerprint string, from, to uint32) error {
	err := tx.touch(gateway.ErrStale, "UPDATE ssh_keys SET counter = $1 WHERE fingerprint = $2 AND counter = $3", int64(to), fingerprint, int64(from))
	return tx.tell(err, gateway.ErrStale, "SELECT 1 FROM ssh_keys WHERE fingerprint = $1", fingerprint)
}

// PutInvitation implements identity.Tx.
func (tx *Tx) PutInvitation(i gateway.Invitation) error {
	return create(tx, invitations, &i, gateway.ErrUsed)
}

// UseInvitation implements identity.Tx.
func (tx *Tx) UseInvitation(id string, at time.Time) error {
	err := tx.touch(gateway.ErrUsed, "UPDATE invitations SET used = $1 WHERE id = $2 AND used = 0", micros(at), id)
	return tx.tell(err, gateway.ErrUsed, "SELECT 1 FROM invitations WHERE id = $1", id)
}

// PutLogin implements identity.Tx.
func (tx *Tx) PutLogin(l gateway.Login) error { return create(tx, logins, &l, gateway.ErrUsed) }

// DeleteLogin implements identity.Tx.
func (tx *Tx) DeleteLogin(hash gateway.Digest) error {
	_, err := tx.exec("DELETE FROM logins WHERE hash = $1", hash.String())
	return err
}

// DeleteLogins implements identity.Tx.
func (tx *Tx) DeleteLogins(person string) (int, error) {
	n, err := tx.exec("DELETE FROM logins WHERE person = $1", person)
	return int(n), err
}

// BindSubject implements identity.Tx.
func (tx *Tx) BindSubject(provider, subject, person string) error {
	return tx.touch(gateway.ErrUsed, "INSERT INTO subjects (provider, subject, person) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", provider, subject, person)
}

// UseServiceToken implements identity.Tx. Those that have expired are forgotten with it:
// they prove nothing any more.
func (tx *Tx) UseServiceToken(token gateway.Digest, expires, now time.Time) error {
	if _, err := tx.exec("DELETE FROM service_tokens WHERE expires < $1", micros(now)); err != nil {
		return err
	}
	return tx.touch(gateway.ErrUsed, "INSERT INTO service_tokens (digest, expires) VALUES ($1, $2) ON CONFLICT DO NOTHING", token.String(), micros(expires))
}
