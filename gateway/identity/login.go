package identity

import (
	"context"
	"errors"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// How long a login lives.
const (
	LoginIdle = 15 * time.Minute
	LoginLife = 12 * time.Hour

	maxLogins = 10               // of one person; the oldest gives way
	seenEvery = 30 * time.Second // how fine last-seen is written
)

// ByToken finds the login that a cookie's token stands for and verifies all
// that it rests on: its age, the client, the person's and the vendor's state,
// epochs and networks. Errors have CodeSignIn where signing in again cures it.
func (s *Service) ByToken(ctx context.Context, token string, c Client) (gateway.Login, gateway.Person, error) {
	l, p, err := s.Peek(ctx, token, c)
	if err != nil {
		return l, p, err
	}
	if now := gateway.Instant(s.now()); now.Sub(l.Seen) >= seenEvery {
		if err := s.store.SeenLogin(ctx, l.Hash, now); err != nil {
			s.log.WarnContext(ctx, "the login's last-seen time was not kept", "login", l.ID, "error", err)
		}
		l.Seen = now
	}
	return l, p, nil
}

// Peek is ByToken for what a page fetches by itself: it judges the login alike
// and does not keep it from going idle, since nobody may be in front of it.
func (s *Service) Peek(ctx context.Context, token string, c Client) (gateway.Login, gateway.Person, error) {
	raw, ok := parseSecret(token)
	if !ok {
		return gateway.Login{}, gateway.Person{}, signIn("login", "nobody is signed in")
	}
	l, err := s.store.Login(ctx, gateway.DigestOf(raw))
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return l, gateway.Person{}, signIn("login", "this login has ended")
	case err != nil:
		return l, gateway.Person{}, stored(err)
	}
	p, err := s.holds(ctx, l, c)
	if err != nil {
		if gateway.IsCode(err, gateway.CodeSignIn) || gateway.IsCode(err, gateway.CodeRefused) {
			s.endLogin(ctx, l, p.Person, c, err)
		}
		return gateway.Login{}, gateway.Person{}, err
	}
	return l, p.Person, nil
}

// holds judges a login that was found.
func (s *Service) holds(ctx context.Context, l gateway.Login, c Client) (standing, error) {
	p, err := s.stand(ctx, l.Person)
	if err != nil {
		return p, err
	}
	now := s.now()
	switch {
	case now.Sub(l.Made) >= LoginLife || now.Before(l.Made.Add(-seenEvery)):
		return p, signIn("login-age", "this login is over: one lasts at most %s", LoginLife)
	case now.Sub(l.Seen) >= LoginIdle:
		return p, signIn("login-idle", "this login was idle for more than %s", LoginIdle)
	case !l.Binding.Equal(binding(c)):
		return p, signIn("login-binding", "this login was made in another browser and has been ended")
	case l.Epochs != p.Epochs:
		return p, signIn("epoch", "access was suspended since this login was made")
	}
	return p, s.ComesFrom(ctx, p.Person, c.Source)
}

// endLogin removes a login that does not hold any more. A suspended vendor's
// logins are gone already; this is for those that ended by themselves.
func (s *Service) endLogin(ctx context.Context, l gateway.Login, p gateway.Person, c Client, why error) {
	e := gateway.AsError(why)
	event := audit.Event{Name: audit.LoginEnded, Actor: "gateway", Vendor: p.Vendor, Person: l.Person, Source: c.Source, Reason: e.Text, Rule: e.Rule}
	if e.Rule == "networks" || e.Rule == "login-binding" {
		event.Name, event.Outcome = audit.LoginRefused, audit.Refused
	}
	err := s.store.Update(context.WithoutCancel(ctx), func(tx Tx) error {
		if err := tx.Append(event); err != nil {
			return err
		}
		return tx.DeleteLogin(l.Hash)
	})
	if err != nil {
		s.log.ErrorContext(ctx, "a login that is over was not removed", "login", l.ID, "error", err)
	}
}

// Logout ends the login of a token. A token that stands for nothing is no
// error.
func (s *Service) Logout(ctx context.Context, token string) error {
	raw, ok := parseSecret(token)
	if !ok {
		return nil
	}
	l, err := s.store.Login(ctx, gateway.DigestOf(raw))
	if errors.Is(err, gateway.ErrNotFound) {
		return nil
	}
	if err != nil {
		return stored(err)
	}
	return stored(s.store.Update(ctx, func(tx Tx) error {
		if err := tx.Append(audit.Event{Name: audit.LoginEnded, Actor: l.Person, Person: l.Person, Source: l.Source, Reason: "signed out"}); err != nil {
			return err
		}
		return tx.DeleteLogin(l.Hash)
	}))
}

// newLogin is a login about to be written.
type newLogin struct {
	token string
	login gateway.Login
	event audit.Event
	old   []gateway.Digest // give way
}

// draftLogin makes a login for a person who has just proven himself.
func (s *Service) draftLogin(ctx context.Context, p standing, method string, c Client) (newLogin, error) {
	if err := s.ComesFrom(ctx, p.Person, c.Source); err != nil {
		return newLogin{}, err
	}
	held, err := s.store.Logins(ctx, p.Name)
	if err != nil {
		return newLogin{}, stored(err)
	}
	token, raw := newSecret()
	now := gateway.Instant(s.now())
	n := newLogin{token: token, login: gateway.Login{
		Hash: gateway.DigestOf(raw), ID: gateway.NewID("log", now), Person: p.Name, Method: method, Binding: binding(c),
		Source: c.Source, Epochs: p.Epochs, Made: now, Seen: now,
	}}
	n.event = audit.Event{Name: audit.LoginMade, Actor: p.Name, Vendor: p.Vendor, Person: p.Name, Source: c.Source, Detail: map[string]string{"method": method, "login": n.login.ID}}
	for len(held) >= maxLogins {
		oldest := 0
		for i := range held {
			if held[i].Made.Before(held[oldest].Made) {
				oldest = i
			}
		}
		n.old = append(n.old, held[oldest].Hash)
		held = append(held[:oldest], held[oldest+1:]...)
	}
	return n, nil
}

// write is the login's part of a transaction.
func (n newLogin) write(tx Tx) error {
	if err := tx.Append(n.event); err != nil {
		return err
	}
	for _, h := range n.old {
		if err := tx.DeleteLogin(h); err != nil {
			return err
		}
	}
	return tx.PutLogin(n.login)
}

func binding(c Client) gateway.Digest {
	return gateway.DigestOf([]byte("portcullis login binding\x00" + c.UserAgent))
}
