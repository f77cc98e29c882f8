package api

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// certificateWait is how long one call waits for a touch before it is asked
// again: shorter than what sits between a terminal and us cuts off.
const certificateWait = 20 * time.Second

// TerminalParams are a machine's that asks for an SSH certificate: the .pub
// line of a fresh key, and what the machine calls itself.
type TerminalParams struct {
	Key    string `json:"key"`
	Client string `json:"client,omitempty"`
}

// TerminalBegun is shown in the terminal: the person opens Link in a browser,
// compares Code, and touches. Ticket fetches the certificate.
type TerminalBegun struct {
	Link    string    `json:"link"`
	Code    string    `json:"code"`
	Ticket  string    `json:"ticket"`
	Expires time.Time `json:"expires"`
}

// SSHCertified is the answer to a waiting terminal. Waiting means that nobody
// has touched yet, and that the call is to be made again.
type SSHCertified struct {
	Waiting     bool                    `json:"waiting"`
	Certificate string                  `json:"certificate,omitempty"` // as a -cert.pub file holds it
	Terms       *gateway.SSHCertificate `json:"terms,omitempty"`
	Command     string                  `json:"command,omitempty"` // what to type; without the user part where there is more than one grant
}

// SSHCertParams are those of sshcert.issue: the terminal behind a link.
type SSHCertParams struct {
	Terminal string `json:"terminal"`
}

// Certificates issues SSH certificates to terminals. Source is the address
// that asks.
type Certificates interface {
	Begin(ctx context.Context, in TerminalParams, source string) (TerminalBegun, error)
	// Wait answers Waiting when ctx is done before somebody touched.
	Wait(ctx context.Context, ticket string) (SSHCertified, error)
}

func (s *Server) certificateBegin(c call) (any, error) {
	var in TerminalParams
	source, err := s.asking(c, s.cfg.Certificates != nil, &in)
	if err != nil {
		return nil, err
	}
	return s.cfg.Certificates.Begin(c.Context(), in, source)
}

func (s *Server) certificateWait(c call) (any, error) {
	var in struct {
		Ticket string `json:"ticket"`
	}
	if _, err := s.asking(c, s.cfg.Certificates != nil, &in); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), certificateWait)
	defer cancel()
	return s.cfg.Certificates.Wait(ctx, in.Ticket)
}
