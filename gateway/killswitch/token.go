package killswitch

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// TokenPrefix begins every token, so that one that was leaked is found.
const TokenPrefix = "portcullis_suspend_"

// tokenBytes are random: 256 bits, so that the hash needs no salt.
const tokenBytes = 32

// errToken is the one answer to everybody without a token that is good.
func errToken() error {
	return &gateway.Error{Code: gateway.CodeSignIn, Rule: "token", Text: "this token is not good", Next: "have a new one made with `portcullis token create --suspend-only`"}
}

// DraftToken draws up a token and returns its secret, which is kept nowhere.
func (o *OutOfBand) DraftToken(ctx context.Context, name string, scope gateway.Scope, life time.Duration) (*statement.TokenIssue, string, error) {
	if scope != (gateway.Scope{}) {
		if _, err := o.gate.standing(ctx, scope); err != nil {
			return nil, "", err
		}
	}
	raw := make([]byte, tokenBytes)
	_, _ = rand.Read(raw)
	secret := TokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	now := gateway.Instant(o.now())
	b := &statement.TokenIssue{ID: gateway.NewID("tok", now), Name: name, Hash: gateway.DigestOf([]byte(secret)), Scope: scope, Expires: gateway.Instant(now.Add(life))}
	if err := b.Check(); err != nil {
		return nil, "", err
	}
	return b, secret, b.CheckTimes(now)
}

// CommitToken files the token's row with its statement.
func (o *OutOfBand) CommitToken(ctx context.Context, signed statement.Signed) (gateway.Token, error) {
	checked, b, err := agreed[*statement.TokenIssue](ctx, o.chain, signed, "a token")
	if err != nil {
		return gateway.Token{}, err
	}
	if err := b.CheckTimes(checked.Statement.At); err != nil {
		return gateway.Token{}, err
	}
	row := gateway.Token{ID: b.ID, Name: b.Name, Hash: b.Hash, Scope: b.Scope, By: checked.Signer.Name, Statement: signed.Digest, Made: checked.Statement.At, Expires: b.Expires}
	err = o.gate.store.Update(ctx, func(tx Tx) error {
		if err := tx.PutStatement(signed); err != nil {
			return err
		}
		if err := tx.PutToken(row); err != nil {
			return err
		}
		e := o.gate.event(audit.TokenIssued, row.By, row.Scope)
		e.Statement, e.Detail = row.Statement, tokenDetail(row)
		return tx.Append(e)
	})
	if errors.Is(err, gateway.ErrUsed) {
		return row, gateway.Conflict("token", "token %s is on file already", row.ID)
	}
	return row, err
}

func tokenDetail(t gateway.Token) map[string]string {
	d := map[string]string{"token": t.ID, "name": t.Name, "expires": stampOf(t.Expires)}
	if t.Scope != (gateway.Scope{}) {
		d["scope"] = t.Scope.String()
	}
	return d
}

// Tokens lists tokens, newest first.
func (o *OutOfBand) Tokens(ctx context.Context) ([]gateway.Token, error) { return o.orders.Tokens(ctx) }

// RemoveToken makes a token worthless, for ever.
func (o *OutOfBand) RemoveToken(ctx context.Context, by, id string) (gateway.Token, error) {
	row, err := o.orders.Token(ctx, id)
	if errors.Is(err, gateway.ErrNotFound) {
		return row, gateway.NotFound("token", id)
	}
	if err != nil {
		return row, err
	}
	at := gateway.Instant(o.now())
	err = o.gate.store.Update(ctx, func(tx Tx) error {
		if err := tx.RemoveToken(id, at); err != nil {
			return err
		}
		e := o.gate.event(audit.TokenRemoved, by, row.Scope)
		e.Statement, e.Detail = row.Statement, tokenDetail(row)
		return tx.Append(e)
	})
	if errors.Is(err, gateway.ErrUsed) {
		return row, gateway.Conflict("token", "token %s was removed before", id)
	}
	if err != nil {
		return row, err
	}
	row.Removed = at
	if err := o.floor.RaiseRemoved("token-removed:"+id, at); err != nil {
		o.log.Error("floor not raised after a token was removed", "token", id, "error", err)
	}
	return row, nil
}

// ByToken finds the token behind a secret and holds it to what was signed. All
// that is wrong with one has one answer.
func (o *OutOfBand) ByToken(ctx context.Context, secret string) (gateway.Token, error) {
	if !strings.HasPrefix(secret, TokenPrefix) || len(secret) != len(TokenPrefix)+base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return gateway.Token{}, errToken()
	}
	row, err := o.orders.TokenByHash(ctx, gateway.DigestOf([]byte(secret)))
	if errors.Is(err, gateway.ErrNotFound) {
		return gateway.Token{}, errToken()
	}
	if err != nil {
		return gateway.Token{}, err
	}
	t, err := o.chain.Token(ctx, row)
	switch {
	case Away(err):
		return gateway.Token{}, err
	case err != nil:
		o.log.Error("token whose row does not hold", "token", row.ID, "error", err)
		return gateway.Token{}, errToken()
	case !t.Removed.IsZero() || !o.now().Before(t.Expires):
		return gateway.Token{}, errToken()
	}
	return t, nil
}

// SuspendByToken orders a suspension for the holder of a token: the machine
// signs, and names the token.
func (o *OutOfBand) SuspendByToken(ctx context.Context, t gateway.Token, scope gateway.Scope, c gateway.Closing, reason string) (gateway.Suspension, error) {
	if !t.Covers(scope) {
		return gateway.Suspension{}, gateway.Refused("token-scope", "use a token for this scope", "this token suspends %s and nothing else", t.Scope)
	}
	if len(c.Except) > 0 {
		return gateway.Suspension{}, gateway.Refused("token", "leave the exceptions out", "a token makes no exceptions")
	}
	fill := func(b *statement.Suspend) { b.Order, b.For = t.Statement, "token "+t.Name }
	return o.suspend(ctx, scope, c, reason, fill, func(Tx, string) error { return nil })
}

// OfToken finds a suspension that this token ordered; any other is not there.
func (o *OutOfBand) OfToken(ctx context.Context, t gateway.Token, id string) (gateway.Suspension, error) {
	sus, err := o.gate.Suspension(ctx, id)
	if err != nil {
		return gateway.Suspension{}, err
	}
	signed, err := o.gate.stmts.Statement(ctx, sus.Statement)
	if err != nil {
		return gateway.Suspension{}, err
	}
	_, body, err := signed.Parse()
	if b, ok := body.(*statement.Suspend); err != nil || !ok || !b.Order.Equal(t.Statement) {
		return gateway.Suspension{}, gateway.NotFound("suspension", id)
	}
	return sus, nil
}
