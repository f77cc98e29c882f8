package web

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// shownOrder is a signed order with what stands of it now.
type shownOrder struct {
	gateway.SignedOrder
	Stands string
}

// orders lists what was signed ahead, with the files of those that are good.
func (s *Server) orders(v *visit) error {
	if s.rooms.OutOfBand == nil {
		return gateway.NotFound("page", v.URL.Path)
	}
	all, err := s.rooms.OutOfBand.Orders(v.Context())
	if err != nil {
		return err
	}
	rows := make([]shownOrder, len(all))
	for i, o := range all {
		rows[i] = shownOrder{o, o.Standing(s.now())}
	}
	return s.show(v, "orders", "Signed orders", map[string]any{"Rows": rows})
}

// newOrder signs one ahead.
func (s *Server) newOrder(v *visit) error {
	return s.show(v, "orderform", "Sign an order ahead", map[string]any{"Kinds": gateway.ScopeKinds, "Modes": []gateway.Mode{gateway.ModeCut, gateway.ModeFreeze, gateway.ModeNoNew}})
}

func (s *Server) withdrawOrder(v *visit) error {
	if _, err := s.cfg.API.WithdrawOrder(v.Context(), v.who, v.PathValue("id")); err != nil {
		return err
	}
	return v.seeOther("/orders?done=order-withdrawn")
}

// shownToken is a token with whether it can still be used.
type shownToken struct {
	gateway.Token
	Good bool
}

func (s *Server) tokens(v *visit) error {
	if s.rooms.OutOfBand == nil {
		return gateway.NotFound("page", v.URL.Path)
	}
	all, err := s.rooms.OutOfBand.Tokens(v.Context())
	if err != nil {
		return err
	}
	rows := make([]shownToken, len(all))
	for i, t := range all {
		rows[i] = shownToken{t, t.Removed.IsZero() && s.now().Before(t.Expires)}
	}
	return s.show(v, "tokens", "Tokens", map[string]any{"Rows": rows, "Kinds": gateway.ScopeKinds, "Year": int64(365 * 24 * time.Hour / time.Hour)})
}

func (s *Server) removeToken(v *visit) error {
	if _, err := s.cfg.API.RemoveToken(v.Context(), v.who, v.PathValue("id")); err != nil {
		return err
	}
	return v.seeOther("/tokens?done=token-removed")
}
