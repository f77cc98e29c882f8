package api

import (
	"context"
	"net/http"

	"github.com/portcullis/portcullis/gateway"
)

// tokenReads is the one route with a login that takes a token too, for a
// suspension that this token has ordered.
const tokenReads = "GET /suspensions/{id}"

// orToken lets a token in where one may read.
func (s *Server) orToken(rt route, actor Actor) Actor {
	if rt.pattern != tokenReads || s.cfg.OutOfBand == nil {
		return actor
	}
	return func(r *http.Request) (Who, error) {
		if _, ok := bearer(r); !ok {
			return actor(r)
		}
		t, err := s.tokenOf(call{Request: r})
		return Who{Token: &t}, err
	}
}

// tokenOf finds the token that a call brings.
func (s *Server) tokenOf(c call) (gateway.Token, error) {
	box, err := s.outOfBand()
	if err != nil {
		return gateway.Token{}, err
	}
	if err := s.countSource(c); err != nil {
		return gateway.Token{}, err
	}
	secret, _ := bearer(c.Request)
	return box.ByToken(c.Context(), secret)
}

func (s *Server) suspendByToken(c call) (any, error) {
	t, err := s.tokenOf(c)
	if err != nil {
		return nil, err
	}
	var in SuspendParams
	if err := c.read(&in); err != nil {
		return nil, err
	}
	closing, err := in.Closing(s.cfg.Now())
	if err != nil {
		return nil, err
	}
	s.cfg.Logger.Warn("suspension ordered by a token", "token", t.Name, "scope", in.Scope.String(), "source", c.RemoteAddr)
	return s.cfg.OutOfBand.SuspendByToken(detached(c.Context()), t, in.Scope, closing, in.Reason)
}

func (s *Server) listTokens(c call) (any, error) {
	box, err := s.outOfBand()
	if err != nil {
		return nil, err
	}
	if err := s.may(c, Administer, "tokens"); err != nil {
		return nil, err
	}
	all, err := box.Tokens(c.Context())
	return page(all, len(all)+1, func(x gateway.Token) string { return x.ID }), err
}

func (s *Server) removeToken(c call) (any, error) {
	return s.RemoveToken(c.Context(), c.who, c.PathValue("id"))
}

// RemoveToken makes a token worthless for an administrator.
func (s *Server) RemoveToken(ctx context.Context, who Who, id string) (gateway.Token, error) {
	box, err := s.outOfBand()
	if err != nil {
		return gateway.Token{}, err
	}
	if err := s.May(ctx, who, Administer, "token:"+id); err != nil {
		return gateway.Token{}, err
	}
	return box.RemoveToken(detached(ctx), who.Person.Name, id)
}
