package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// awayAfter is how long an order at the local socket waits for the store
// before this node closes by itself.
const awayAfter = 2 * time.Second

const day = 24 * time.Hour

func (r *rooms) openOutOfBand() (err error) {
	r.outofband, err = killswitch.NewOutOfBand(killswitch.OutOfBandConfig{
		Gate: r.killswitch, Orders: r.store.OutOfBand(), Chain: r.chain, Bars: r.sessions, Floor: r.floor, Sign: r.sign, Data: r.cfg.Data, Now: time.Now, Logger: r.log,
	})
	return err
}

func fromMachine(by gateway.Person, login *gateway.Login) bool {
	return login == nil && by.Name == statement.Machine
}

// orCloseHere has an order of root at the local socket close this node when
// the store does not answer: the machine signs an order for the outbox instead
// of a suspension.
func (r *rooms) orCloseHere(act api.Act) api.Act {
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, login *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			if !fromMachine(by, login) {
				return act.Draft(ctx, by, login, raw)
			}
			ask, cancel := context.WithTimeout(ctx, awayAfter)
			defer cancel()
			body, err := act.Draft(ask, by, login, raw)
			if !killswitch.Away(err) {
				return body, err
			}
			r.log.Error("the store does not answer; an order is drawn up for this node", "error", err)
			return drafted(raw, func(in api.SuspendParams) (*statement.Order, error) {
				return r.outofband.OrderHere(in.Scope, in.Mode, time.Duration(in.Drain)*time.Second, in.Reason)
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) {
			st, body, err := s.Parse()
			if err != nil {
				return nil, err
			}
			if _, ok := body.(*statement.Order); ok {
				return r.outofband.CloseHere(ctx, s)
			}
			out, err := act.Commit(ctx, s)
			b, ok := body.(*statement.Suspend)
			if !killswitch.Away(err) || st.Signer != statement.Machine || !ok {
				return out, err
			}
			drain := time.Duration(0)
			if b.Mode == gateway.ModeDrain {
				drain = max(time.Until(b.Until), time.Second)
			}
			order, err := r.outofband.OrderHere(b.Scope, b.Mode, drain, b.Reason)
			if err != nil {
				return nil, err
			}
			signed, err := r.sign(order)
			if err != nil {
				return nil, err
			}
			return r.outofband.CloseHere(ctx, signed)
		},
	}
}

func (r *rooms) orderAct() api.Act {
	return api.Act{
		Draft: func(ctx context.Context, _ gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.OrderParams) (*statement.Order, error) { return r.draftOrder(ctx, in) })
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) { return r.outofband.FileOrder(ctx, s) },
	}
}

func (r *rooms) draftOrder(ctx context.Context, in api.OrderParams) (*statement.Order, error) {
	if in.Drain < 0 || in.Drain > int64(gateway.MaxDrain/time.Second) || in.Valid < 1 || in.Valid > int64(statement.MaxOrder/time.Second) {
		return nil, gateway.Invalid("valid", "an order is good for at most %d days, and drains for at most %s", statement.MaxOrder/day, gateway.MaxDrain)
	}
	return r.outofband.DraftOrder(ctx, in.Scope, in.Mode, time.Duration(in.Drain)*time.Second, in.Reason, in.From, time.Duration(in.Valid)*time.Second)
}

func (r *rooms) tokenAct() api.Act {
	secrets := &aside{}
	return api.Act{
		Draft: func(ctx context.Context, _ gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.TokenParams) (*statement.TokenIssue, error) {
				if in.Valid < 1 || in.Valid > int64(statement.MaxToken/time.Second) {
					return nil, gateway.Invalid("valid", "a token is good for at most %d days", statement.MaxToken/day)
				}
				body, secret, err := r.outofband.DraftToken(ctx, in.Name, in.Scope, time.Duration(in.Valid)*time.Second)
				if err != nil {
					return nil, err
				}
				return body, secrets.put(body.ID, secret, time.Now())
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) {
			t, err := r.outofband.CommitToken(ctx, s)
			if err != nil {
				return nil, err
			}
			return api.TokenMade{Token: t, Secret: secrets.take(t.ID)}, nil
		},
	}
}

// shownOutOfBand adds what a touch without a browser needs.
type shownOutOfBand struct {
	*killswitch.OutOfBand
	rooms *rooms
}

// BeginOrder draws an order up for an SSH security key. Nothing is kept: the
// signed file carries all of it.
func (s shownOutOfBand) BeginOrder(ctx context.Context, fingerprint string, in api.OrderParams, source string) (api.SSHChallenge, error) {
	p, key, err := s.rooms.identity.SSHSigner(ctx, fingerprint, source)
	if err != nil {
		return api.SSHChallenge{}, err
	}
	if !api.Holds(p, api.Suspending) {
		return api.SSHChallenge{}, gateway.Refused("role", "ask a responder", "%s holds no role that signs an order", p.Name)
	}
	body, err := s.rooms.draftOrder(ctx, in)
	if err != nil {
		return api.SSHChallenge{}, err
	}
	now := time.Now()
	st, err := statement.Draft(s.rooms.cfg.URL, p.Name, now, []gateway.Digest{p.Statement, key.Statement}, body)
	if err != nil {
		return api.SSHChallenge{}, err
	}
	raw, err := st.Bytes()
	return api.SSHChallenge{
		ID: body.ID, Sentence: st.Sentence, Statement: string(raw), Namespace: statement.OrderNamespace(s.rooms.cfg.RelyingParty().ID), Expires: now.Add(statement.Fresh),
	}, err
}
