package identity

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// InviteLife is how long an invitation may be used.
const InviteLife = 24 * time.Hour

// DraftInvite makes an invitation for a person and the token for its link:
// the base64url of the seed of the invitation's Ed25519 key. The token is not
// kept; who loses it invites again.
func (s *Service) DraftInvite(ctx context.Context, by gateway.Person, person string) (*statement.Invite, string, error) {
	if by.Name != statement.Machine && (!by.Staff() || !by.Is(gateway.Admin)) {
		return nil, "", gateway.Refused("role", "ask an administrator", "only an administrator may invite")
	}
	p, err := s.stand(ctx, person)
	if err != nil {
		return nil, "", err
	}
	token, seed := newSecret()
	public, _ := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	now := gateway.Instant(s.now())
	return &statement.Invite{ID: gateway.NewID("inv", now), Person: p.Name, PublicKey: public, Epochs: p.Epochs, Expires: now.Add(InviteLife)}, token, nil
}

// CommitInvite keeps a signed invitation. An unused one of the same person
// stays good: each link works by itself, once.
func (s *Service) CommitInvite(ctx context.Context, signed statement.Signed) (gateway.Invitation, error) {
	checked, err := s.chain.CheckFresh(ctx, signed)
	if err != nil {
		return gateway.Invitation{}, err
	}
	b, ok := checked.Body.(*statement.Invite)
	if !ok {
		return gateway.Invitation{}, wrongKind(checked.Statement.Kind)
	}
	p, err := s.stand(ctx, b.Person)
	if err != nil {
		return gateway.Invitation{}, err
	}
	switch {
	case b.Epochs != p.Epochs:
		return gateway.Invitation{}, stale(b.Person)
	case b.Expires.After(checked.Statement.At.Add(InviteLife + clockSlack)):
		return gateway.Invitation{}, gateway.Invalid("expires", "an invitation lasts at most %s", InviteLife)
	}
	inv := gateway.Invitation{ID: b.ID, Person: b.Person, PublicKey: b.PublicKey, Epochs: b.Epochs, Statement: signed.Digest, Expires: b.Expires}
	err = s.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		if err := tx.PutInvitation(inv); err != nil {
			return err
		}
		return tx.Append(audit.Event{Name: audit.PersonInvited, Actor: checked.Statement.Signer, Vendor: p.Vendor, Person: p.Name,
			Statement: signed.Digest, Detail: map[string]string{"invitation": b.ID, "expires": b.Expires.Format(time.RFC3339)}})
	})
	return inv, s.committed(err)
}

func wrongKind(k statement.Kind) error {
	return gateway.Invalid("kind", "a statement of kind %s does not do this", gateway.Quote(string(k)))
}

func stale(person string) error {
	return gateway.Conflict("epoch", "%s was suspended or restored since this was drawn up; begin again", person)
}

// committed words what went wrong in a commit.
func (s *Service) committed(err error) error {
	if errors.Is(err, gateway.ErrUsed) {
		return gateway.Conflict("used", "this has been done already, and can be done only once")
	}
	return stored(err)
}

// InvitationByToken finds the invitation of a link's token, if it may still
// be used.
func (s *Service) InvitationByToken(ctx context.Context, token string) (gateway.Invitation, gateway.Person, error) {
	inv, p, _, err := s.invited(ctx, token)
	if err != nil {
		s.refuseInvitation(ctx, p.Person, "", err)
		return gateway.Invitation{}, gateway.Person{}, err
	}
	return inv, p.Person, nil
}

func (s *Service) refuseInvitation(ctx context.Context, p gateway.Person, source string, err error) {
	if gateway.IsCode(err, gateway.CodeUnavailable) {
		return
	}
	s.refuseLogin(ctx, p, Client{Source: source}, err)
}

func (s *Service) invited(ctx context.Context, token string) (gateway.Invitation, standing, ed25519.PrivateKey, error) {
	const again = "ask the one who invited you for a new link"
	var none gateway.Invitation
	seed, ok := parseSecret(token)
	if !ok {
		return none, standing{}, nil, gateway.Refused("invitation", "copy the whole link, or "+again, "this link is not an invitation")
	}
	key := ed25519.NewKeyFromSeed(seed)
	public, _ := key.Public().(ed25519.PublicKey)
	inv, err := s.store.InvitationByKey(ctx, public)
	if errors.Is(err, gateway.ErrNotFound) {
		return none, standing{}, nil, gateway.Refused("invitation", again, "this link is not an invitation, or it was cancelled")
	}
	if err != nil {
		return none, standing{}, nil, stored(err)
	}
	p, err := s.stand(ctx, inv.Person)
	if err != nil {
		return none, p, nil, err
	}
	switch {
	case !slices.Equal(inv.PublicKey, public):
		return none, p, nil, gateway.Internal(fmt.Errorf("invitation %q has another key than it was found by", inv.ID))
	case !inv.Used.IsZero():
		return none, p, nil, gateway.Refused("invitation", again, "this invitation was used on %s", inv.Used.Format("2006-01-02 15:04 UTC"))
	case !s.now().Before(inv.Expires):
		return none, p, nil, gateway.Refused("invitation", again, "this invitation was good until %s", inv.Expires.Format("2006-01-02 15:04 UTC"))
	case inv.Epochs != p.Epochs:
		return none, p, nil, gateway.Refused("epoch", again, "this invitation was made before a suspension")
	}
	if inv, err = s.chain.Invitation(ctx, inv.ID); err != nil {
		return none, p, nil, s.chained("invitation", inv.ID, err)
	}
	return inv, p, key, nil
}
