package api

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// TermsParams are terms as they come in: a window, or a length in seconds.
type TermsParams struct {
	From      time.Time `json:"from,omitzero"`
	To        time.Time `json:"to,omitzero"`
	Seconds   int64     `json:"seconds,omitempty"`
	Abilities []string  `json:"abilities"`
}

// maxSeconds bounds a length so that it cannot overflow a time.Duration.
const maxSeconds = 366 * 24 * 60 * 60

// Terms reads them, strictly.
func (t TermsParams) Terms() (gateway.Terms, error) {
	abilities, err := gateway.ParseAbilities(t.Abilities)
	if err != nil {
		return gateway.Terms{}, err
	}
	if t.Seconds < 0 || t.Seconds > maxSeconds {
		return gateway.Terms{}, gateway.Invalid("length", "a length of %d seconds is not between 0 and %d", t.Seconds, maxSeconds)
	}
	return gateway.Terms{From: gateway.Instant(t.From), To: gateway.Instant(t.To), Length: time.Duration(t.Seconds) * time.Second, Abilities: abilities}, nil
}

// askParams is the body of a request.
type askParams struct {
	Service string `json:"service,omitempty"` // the service account that it is for, and that the caller answers for
	Target  string `json:"target"`
	Account string `json:"account"`
	TermsParams
	Reason string `json:"reason"`
	Ticket string `json:"ticket,omitempty"`
}

func (c call) askInput() (AskInput, error) {
	var in askParams
	if err := c.read(&in); err != nil {
		return AskInput{}, err
	}
	if in.Seconds < 0 || in.Seconds > maxSeconds {
		return AskInput{}, gateway.Invalid("length", "a length of %d seconds is not between 0 and %d", in.Seconds, maxSeconds)
	}
	return AskInput{
		Service: in.Service, Target: in.Target, Account: in.Account, Abilities: in.Abilities, From: in.From, To: in.To,
		Length: time.Duration(in.Seconds) * time.Second, Reason: in.Reason, Ticket: in.Ticket,
	}, nil
}

// mayAsk lets engineers ask. Who asks for a service account is its owner,
// whatever his roles, which package access looks at.
func (s *Server) mayAsk(c call, in AskInput) error {
	if in.Service != "" {
		return nil
	}
	return s.may(c, Ask, "target:"+in.Target)
}

func (s *Server) ask(c call) (any, error) {
	in, err := c.askInput()
	if err != nil {
		return nil, err
	}
	if err := s.mayAsk(c, in); err != nil {
		return nil, err
	}
	return s.cfg.Access.Ask(c.Context(), c.who.Person, in)
}

func (s *Server) previewAsk(c call) (any, error) {
	in, err := c.askInput()
	if err != nil {
		return nil, err
	}
	if err := s.mayAsk(c, in); err != nil {
		return nil, err
	}
	return s.cfg.Access.Preview(c.Context(), c.who.Person, in)
}

func (s *Server) requests(c call) (any, error) {
	f, err := filterOf(c)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Access.Requests(c.Context(), f)
	return page(all, f.Limit, func(r gateway.Request) string { return r.ID }), err
}

func (s *Server) request(c call) (any, error) {
	card, err := s.cfg.Access.Request(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if a := card.Request.Asker; a != "" && a == c.who.Person.Name {
		return card, nil
	}
	return card, Sees(c.who, card.Request.Person, "request", c.PathValue("id"))
}

// word is what somebody says who closes something.
type word struct {
	Word string `json:"word"`
}

func (s *Server) withdraw(c call) (any, error) {
	return s.cfg.Access.Withdraw(c.Context(), c.who.Person, c.PathValue("id"))
}

func (s *Server) refuse(c call) (any, error) {
	var in word
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if err := s.may(c, Approve, "request:"+c.PathValue("id")); err != nil {
		return nil, err
	}
	return s.cfg.Access.Refuse(c.Context(), c.who.Person, c.PathValue("id"), in.Word)
}

func (s *Server) grants(c call) (any, error) {
	f, err := filterOf(c)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Access.Grants(c.Context(), f)
	return page(all, f.Limit, func(g gateway.Grant) string { return g.ID }), err
}

func (s *Server) grant(c call) (any, error) {
	g, err := s.cfg.Access.Grant(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return g, Sees(c.who, g.Person, "grant", c.PathValue("id"))
}

func (s *Server) revoke(c call) (any, error) {
	var in word
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if err := s.may(c, Revoke, "grant:"+c.PathValue("id")); err != nil {
		return nil, err
	}
	return s.cfg.Access.Revoke(detached(c.Context()), c.who.Person, c.PathValue("id"), in.Word)
}
