package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/statement"
)

// refusalTime is how long every order that is not taken waits for its answer,
// so that the time tells a stranger nothing of the reason.
const refusalTime = 500 * time.Millisecond

// OutOfBand takes suspensions from those who do not sign in: bearers of signed
// orders, and machines with a token.
type OutOfBand interface {
	Orders(ctx context.Context) ([]gateway.SignedOrder, error)
	OrderFile(ctx context.Context, id string) ([]byte, error)
	WithdrawOrder(ctx context.Context, by, id string) (gateway.SignedOrder, error)
	Submit(ctx context.Context, signed statement.Signed, via string) (gateway.Suspension, error)
	// FileOrder keeps an order that was just signed.
	FileOrder(ctx context.Context, signed statement.Signed) (gateway.SignedOrder, error)
	// BeginOrder draws an order up for the SSH security key with that
	// fingerprint. It refuses in its own words; who holds no key does not hear
	// them.
	BeginOrder(ctx context.Context, fingerprint string, in OrderParams, source string) (SSHChallenge, error)

	Tokens(ctx context.Context) ([]gateway.Token, error)
	RemoveToken(ctx context.Context, by, id string) (gateway.Token, error)
	ByToken(ctx context.Context, secret string) (gateway.Token, error)
	SuspendByToken(ctx context.Context, t gateway.Token, scope gateway.Scope, c gateway.Closing, reason string) (gateway.Suspension, error)
	OfToken(ctx context.Context, t gateway.Token, id string) (gateway.Suspension, error)
}

type (
	// OrderParams are those of order. Commit answers the gateway.SignedOrder;
	// its file is at GET /orders/{id}/file.
	OrderParams struct {
		Scope  gateway.Scope `json:"scope"`
		Mode   gateway.Mode  `json:"mode,omitempty"`
		Drain  int64         `json:"drain,omitempty"` // seconds
		Reason string        `json:"reason"`
		From   time.Time     `json:"from,omitzero"` // now, if it is not given
		Valid  int64         `json:"valid"`         // seconds from now, at most statement.MaxOrder
	}
	// TokenParams are those of token.issue. Commit answers a TokenMade.
	TokenParams struct {
		Name  string        `json:"name"`
		Scope gateway.Scope `json:"scope,omitzero"` // zero: any
		Valid int64         `json:"valid"`          // seconds from now, at most statement.MaxToken
	}
	// TokenMade is what the maker of a token sees, once.
	TokenMade struct {
		gateway.Token
		Secret string `json:"secret"`
	}
)

// outOfBandRoutes need a login; what the others need stands in their handlers.
var outOfBandRoutes = []route{
	{"GET /orders", "List orders that were signed ahead", (*Server).listOrders},
	{"GET /orders/{id}/file", "The file of a signed order: whoever has it can use it", (*Server).orderFile},
	{"POST /orders/{id}/withdraw", "Take a signed order back, before it is used", (*Server).withdrawOrder},
	{"GET /tokens", "List the tokens that may order suspensions", (*Server).listTokens},
	{"POST /tokens/{id}/remove", "Make a token worthless", (*Server).removeToken},
}

// bearerRoutes are for those who bring an order's file, a key or a token.
var bearerRoutes = []route{
	{"POST /orders", "Hand a signed order in: it is carried out, once, without a login", (*Server).submitOrder},
	{"POST /orders/begin", "Draw up an order for an SSH security key to sign", (*Server).beginOrder},
	{"POST /orders/keep", "Put an order that was just signed on the list", (*Server).keepOrder},
	{"POST /suspensions", "Order a suspension with a token (Authorization: Bearer)", (*Server).suspendByToken},
}

func (s *Server) outOfBand() (OutOfBand, error) {
	if s.cfg.OutOfBand == nil {
		return nil, gateway.NotFound("route", "orders")
	}
	return s.cfg.OutOfBand, nil
}

// errNoOrder is the one answer to every order that is not taken: a stranger
// with a file learns neither whose it is nor what is wrong with it.
func errNoOrder() error {
	return gateway.Refused("order", "have a new one signed, or use `portcullis suspend` on the gateway's machine; the operator's log says why",
		"this order was not taken: it is forged, not good now, withdrawn, or its signer may not order suspensions any more")
}

func (s *Server) submitOrder(c call) (any, error) {
	box, err := s.outOfBand()
	if err != nil {
		return nil, err
	}
	if c.who.Machine() { // root may know why
		signed, _, err := s.readOrder(c)
		if err != nil {
			return nil, gateway.Invalid("order", "%s", err.Error())
		}
		return box.Submit(detached(c.Context()), signed, killswitch.ViaSocket)
	}
	if err := s.countSource(c); err != nil {
		return nil, err
	}
	even := time.NewTimer(refusalTime)
	defer even.Stop()
	signed, _, err := s.readOrder(c)
	if err == nil {
		var sus gateway.Suspension
		if sus, err = box.Submit(detached(c.Context()), signed, killswitch.ViaHTTP); err == nil {
			return forBearer(sus), nil
		}
	}
	s.cfg.Logger.Warn("order not taken", "source", c.RemoteAddr, "statement", signed.Digest.Short(), "error", err)
	select {
	case <-even.C:
	case <-c.Context().Done():
	}
	if killswitch.Away(err) && !signed.Digest.IsZero() {
		return nil, gateway.Unavailable("store", err)
	}
	return nil, errNoOrder()
}

// forBearer leaves out who was live: the bearer of a file signed in as nobody.
func forBearer(sus gateway.Suspension) gateway.Suspension {
	sus.Except = nil
	if sus.Report != nil {
		r := *sus.Report
		r.Nodes = nil
		sus.Report = &r
	}
	return sus
}

func (s *Server) readOrder(c call) (statement.Signed, *statement.Order, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, statement.MaxFile+1))
	if err != nil {
		return statement.Signed{}, nil, errors.New("the order's file is too long")
	}
	return statement.ParseFile(raw)
}

func (s *Server) beginOrder(c call) (any, error) {
	var in struct {
		Fingerprint string `json:"fingerprint"`
		OrderParams
	}
	source, err := s.asking(c, s.cfg.OutOfBand != nil, &in)
	if err != nil {
		return nil, err
	}
	out, err := s.cfg.OutOfBand.BeginOrder(c.Context(), in.Fingerprint, in.OrderParams, source)
	if err == nil {
		return out, nil
	}
	switch gateway.AsError(err).Code {
	case gateway.CodeUnavailable, gateway.CodeTooMany, gateway.CodeInternal, gateway.CodeInvalid:
		return nil, err
	}
	s.cfg.Logger.Info("order without a browser refused", "fingerprint", gateway.Quote(in.Fingerprint), "source", source, "error", err)
	return nil, gateway.Refused("order", "use a key of a responder or an administrator, added on /keys, and a scope that exists", "no order can be drawn up for this key and this scope")
}

func (s *Server) keepOrder(c call) (any, error) {
	box, err := s.outOfBand()
	if err != nil {
		return nil, err
	}
	if err := s.countSource(c); err != nil {
		return nil, err
	}
	signed, _, err := s.readOrder(c)
	if err != nil {
		return nil, errNoOrder()
	}
	row, err := box.FileOrder(detached(c.Context()), signed)
	if err != nil && !killswitch.Away(err) {
		s.cfg.Logger.Info("order not kept", "source", c.RemoteAddr, "error", err)
		return nil, errNoOrder()
	}
	return row, err
}

func (s *Server) listOrders(c call) (any, error) {
	box, err := s.outOfBand()
	if err != nil {
		return nil, err
	}
	if err := s.may(c, Suspending, "orders"); err != nil {
		return nil, err
	}
	all, err := box.Orders(c.Context())
	return page(all, len(all)+1, func(x gateway.SignedOrder) string { return x.ID }), err
}

func (s *Server) orderFile(c call) (any, error) {
	box, err := s.outOfBand()
	if err != nil {
		return nil, err
	}
	if err := s.may(c, Suspending, "order:"+c.PathValue("id")); err != nil {
		return nil, err
	}
	raw, err := box.OrderFile(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Content-Disposition", `attachment; filename="`+c.PathValue("id")+`.json"`)
	_, _ = c.w.Write(raw) // the reader may have left
	return nil, nil
}

func (s *Server) withdrawOrder(c call) (any, error) {
	return s.WithdrawOrder(c.Context(), c.who, c.PathValue("id"))
}

// WithdrawOrder takes a signed order back for somebody who may suspend.
func (s *Server) WithdrawOrder(ctx context.Context, who Who, id string) (gateway.SignedOrder, error) {
	box, err := s.outOfBand()
	if err != nil {
		return gateway.SignedOrder{}, err
	}
	if err := s.May(ctx, who, Suspending, "order:"+id); err != nil {
		return gateway.SignedOrder{}, err
	}
	return box.WithdrawOrder(detached(ctx), who.Person.Name, id)
}

// rootOrNobody is the actor of the routes for bearers: root is known at the
// local socket, and whoever signed in counts for nothing.
func rootOrNobody(actor Actor) Actor {
	return func(r *http.Request) (Who, error) {
		if who, err := actor(r); err == nil && who.Machine() {
			return who, nil
		}
		return Who{}, nil
	}
}

func bearer(r *http.Request) (string, bool) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return secret, ok
}
