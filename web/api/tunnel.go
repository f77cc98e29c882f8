package api

import (
	"context"

	"github.com/portcullis/portcullis/gateway/vpn"
)

// tunnelWait is how long one call waits for a touch before it is asked again.
const tunnelWait = certificateWait

// TunnelParams are those of a machine that asks for a tunnel: the target, the
// public half of a fresh WireGuard key, and what the machine calls itself.
type TunnelParams struct {
	Target string `json:"target"`
	Peer   string `json:"peer"`
	Client string `json:"client,omitempty"`
}

// TunnelOpened is the answer to a waiting machine. Waiting means that nobody
// has touched yet, and that the call is to be made again.
type TunnelOpened struct {
	Waiting bool        `json:"waiting"`
	Tunnel  *vpn.Tunnel `json:"tunnel,omitempty"`
}

// Tunnels brings tunnels to machines that have no browser. Source is the
// address that asks.
type Tunnels interface {
	Begin(ctx context.Context, in TunnelParams, source string) (TerminalBegun, error)
	// Wait answers Waiting when ctx is done before somebody touched.
	Wait(ctx context.Context, ticket string) (TunnelOpened, error)
}

func (s *Server) tunnelBegin(c call) (any, error) {
	var in TunnelParams
	source, err := s.asking(c, s.cfg.Tunnels != nil, &in)
	if err != nil {
		return nil, err
	}
	return s.cfg.Tunnels.Begin(c.Context(), in, source)
}

func (s *Server) tunnelWait(c call) (any, error) {
	var in struct {
		Ticket string `json:"ticket"`
	}
	if _, err := s.asking(c, s.cfg.Tunnels != nil, &in); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), tunnelWait)
	defer cancel()
	return s.cfg.Tunnels.Wait(ctx, in.Ticket)
}
