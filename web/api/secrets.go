package api

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/secrets"
)

// Secrets tells which sessions had which of the targets' credentials, and
// takes the word that one is another now; *secrets.Service is one.
type Secrets interface {
	List(ctx context.Context, vendor string, since time.Time) (secrets.List, error)
	Exposed(ctx context.Context, scope *gateway.Scope, since time.Time) (secrets.WorkList, error)
	ExposedBy(ctx context.Context, suspension string, since time.Time) (secrets.WorkList, error)
	Rotated(ctx context.Context, by, target, account, vendor string) (secrets.Secret, error)
}

// RotatedParams are the body of POST /secrets/{target}/{account}/rotated.
type RotatedParams struct {
	Vendor string `json:"vendor,omitempty"` // hold the file against this one's sessions alone
}

// secretRoutes answer what this node's files hold.
var secretRoutes = []route{
	{"GET /secrets", "List the credentials that targets are reached with: owner, age, and which sessions had them; never the credential", (*Server).secrets},
	{"GET /secrets/exposed", "What the sessions of a vendor, or under a suspension, could have seen, and what of it is still to be rotated", (*Server).exposed},
	{"POST /secrets/{target}/{account}/rotated", "Say that a credential was rotated; refused unless its file bears that out", (*Server).rotated},
}

func (s *Server) secretRoom(c call) (Secrets, error) {
	if s.cfg.Secrets == nil {
		return nil, gateway.NotFound("route", "secrets")
	}
	return s.cfg.Secrets, s.may(c, SeeSecrets, "")
}

func (s *Server) secrets(c call) (any, error) {
	room, err := s.secretRoom(c)
	if err != nil {
		return nil, err
	}
	q := c.URL.Query()
	since, err := timeOf(q, "since")
	if err != nil {
		return nil, err
	}
	return room.List(c.Context(), q.Get("vendor"), since)
}

func (s *Server) exposed(c call) (any, error) {
	room, err := s.secretRoom(c)
	if err != nil {
		return nil, err
	}
	q := c.URL.Query()
	since, err := timeOf(q, "since")
	if err != nil {
		return nil, err
	}
	vendor, suspension := q.Get("vendor"), q.Get("suspension")
	switch {
	case vendor != "" && suspension != "":
		return nil, gateway.Invalid("vendor", "name a vendor or a suspension, not both")
	case suspension != "":
		return room.ExposedBy(c.Context(), suspension, since)
	case vendor != "":
		if _, err := s.cfg.Directory.Vendor(c.Context(), vendor); err != nil {
			return nil, err
		}
		return room.Exposed(c.Context(), &gateway.Scope{Kind: gateway.ScopeVendor, Name: vendor}, since)
	}
	return room.Exposed(c.Context(), nil, since)
}

func (s *Server) rotated(c call) (any, error) {
	var in RotatedParams
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return s.Rotated(c.Context(), c.who, c.PathValue("target"), c.PathValue("account"), in.Vendor)
}

// Rotated takes the word of whoever may give it; the pages call it too.
func (s *Server) Rotated(ctx context.Context, who Who, target, account, vendor string) (secrets.Secret, error) {
	if s.cfg.Secrets == nil {
		return secrets.Secret{}, gateway.NotFound("route", "secrets")
	}
	if err := s.May(ctx, who, SeeSecrets, "target:"+target); err != nil {
		return secrets.Secret{}, err
	}
	return s.cfg.Secrets.Rotated(detached(ctx), who.Person.Name, target, account, vendor)
}
