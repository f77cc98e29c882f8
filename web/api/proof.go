package api

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/evidence"
)

// Proofs writes proofs of suspensions.
type Proofs interface {
	// Proof is what is on file now, for a page; Sealed is the same, signed, as
	// a DSSE envelope.
	Proof(ctx context.Context, id string) (evidence.Suspension, error)
	Sealed(ctx context.Context, id string) ([]byte, error)
}

// envelopeType is the media type of a DSSE envelope (envelope.md).
const envelopeType = "application/vnd.dsse.envelope.v1+json"

// proof answers with the signed proof of a suspension.
func (s *Server) proof(c call) (any, error) {
	id := c.PathValue("id")
	if err := s.may(c, SeeAll, "suspension:"+id); err != nil {
		return nil, err
	}
	if s.cfg.Proofs == nil {
		return nil, gateway.NotFound("proof", id)
	}
	raw, err := s.cfg.Proofs.Sealed(c.Context(), id)
	if err != nil {
		return nil, err
	}
	c.w.Header().Set("Content-Type", envelopeType)
	c.w.Header().Set("Content-Disposition", `attachment; filename="`+id+`.dsse.json"`) // an id that was found has letters and digits alone
	_, err = c.w.Write(raw)
	return nil, err
}
