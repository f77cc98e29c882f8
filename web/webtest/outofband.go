package webtest

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// outOfBand shows one order that is over and two tokens, and takes nothing.
type outOfBand struct{ *World }

func (o outOfBand) Orders(context.Context) ([]gateway.SignedOrder, error) {
	return []gateway.SignedOrder{{
		ID: "ord_06h04sehf65s3ndn0v961f772m", Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}, Reason: "in the safe", Signer: "omar",
		From: o.Now.Add(-48 * time.Hour), To: o.Now.Add(-24 * time.Hour), Made: o.Now.Add(-48 * time.Hour),
	}}, o.did("orders")
}

func (o outOfBand) Tokens(context.Context) ([]gateway.Token, error) {
	return []gateway.Token{
		{ID: "tok_06h04sehf65s3ndn0v961f772m", Name: "soar", By: "root", Made: o.Now, Expires: o.Now.Add(time.Hour)},
		{ID: "tok_06h04sehf65s3ndn0v961f772n", Name: "old", By: "root", Made: o.Now, Expires: o.Now.Add(time.Hour), Removed: o.Now, Scope: gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}},
	}, o.did("tokens")
}

func (outOfBand) OrderFile(_ context.Context, id string) ([]byte, error) {
	return nil, gateway.NotFound("order", id)
}

func (outOfBand) WithdrawOrder(_ context.Context, _, id string) (gateway.SignedOrder, error) {
	return gateway.SignedOrder{}, gateway.NotFound("order", id)
}

func (outOfBand) Submit(context.Context, statement.Signed, string) (gateway.Suspension, error) {
	return gateway.Suspension{}, gateway.Refused("order", "", "no")
}

func (outOfBand) FileOrder(context.Context, statement.Signed) (gateway.SignedOrder, error) {
	return gateway.SignedOrder{}, gateway.Refused("order", "", "no")
}

func (outOfBand) BeginOrder(context.Context, string, api.OrderParams, string) (api.SSHChallenge, error) {
	return api.SSHChallenge{}, gateway.Refused("order", "", "no")
}

func (outOfBand) RemoveToken(_ context.Context, _, id string) (gateway.Token, error) {
	return gateway.Token{}, gateway.NotFound("token", id)
}

func (outOfBand) ByToken(context.Context, string) (gateway.Token, error) {
	return gateway.Token{}, &gateway.Error{Code: gateway.CodeSignIn, Text: "this token is not good"}
}

func (outOfBand) SuspendByToken(context.Context, gateway.Token, gateway.Scope, gateway.Closing, string) (gateway.Suspension, error) {
	return gateway.Suspension{}, gateway.Refused("token", "", "no")
}

func (outOfBand) OfToken(_ context.Context, _ gateway.Token, id string) (gateway.Suspension, error) {
	return gateway.Suspension{}, gateway.NotFound("suspension", id)
}
