package web

import (
	"encoding/json"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// enrol shows the page that an invitation's link leads to. The token stands
// behind the #, so that it reaches no log on the way.
func (s *Server) enrol(v *visit) error { return s.show(v, "enrol", "Enrol your key", nil) }

// token is an invitation's, or empty where a login lets the new key in.
type token struct {
	Token string `json:"token"`
}

func (s *Server) enrolWho(v *visit) error {
	var in token
	if err := v.read(&in); err != nil {
		return err
	}
	inv, p, err := s.id.InvitationByToken(v.Context(), in.Token)
	if err != nil {
		return err
	}
	return v.answer(struct {
		Name    string         `json:"name"`
		Title   string         `json:"title"`
		Vendor  string         `json:"vendor"`
		Roles   []gateway.Role `json:"roles"`
		Expires time.Time      `json:"expires"`
	}{p.Name, p.Title, p.Vendor, p.Roles, inv.Expires})
}

func (s *Server) enrolBegin(v *visit) error {
	var in struct {
		token
		Label string `json:"label"`
	}
	if err := v.read(&in); err != nil {
		return err
	}
	who := Enroller{Token: in.Token}
	if in.Token == "" {
		if v.person() == nil {
			return gateway.Refused("invitation", "open the link of the invitation, or sign in with a key you have", "a new key needs somebody who lets it in")
		}
		who.Login, who.Person = v.who.Login, v.who.Person
	}
	c, err := s.id.BeginEnrol(v.Context(), who, in.Label)
	if err != nil {
		return err
	}
	return v.answer(c)
}

func (s *Server) enrolCreated(v *visit) error {
	var in struct {
		ID         string          `json:"id"`
		Credential json.RawMessage `json:"credential"`
	}
	if err := v.read(&in); err != nil {
		return err
	}
	challenges, err := s.id.EnrolCreated(v.Context(), in.ID, in.Credential)
	if err != nil {
		return err
	}
	return v.answer(struct {
		Challenges []api.Challenge `json:"challenges"`
	}{challenges})
}

func (s *Server) enrolFinish(v *visit) error {
	var in struct {
		ID         string            `json:"id"`
		Assertions []json.RawMessage `json:"assertions"`
	}
	if err := v.read(&in); err != nil {
		return err
	}
	raw := make([][]byte, len(in.Assertions))
	for i, a := range in.Assertions {
		raw[i] = a
	}
	t, _, err := s.id.FinishEnrol(v.Context(), in.ID, raw, clientOf(v.Request))
	if err != nil {
		return err
	}
	if t == "" { // let in by a login, which goes on
		return v.answer(map[string]string{"next": "/keys?done=added"})
	}
	s.setLogin(v.w, t)
	return v.answer(map[string]string{"next": "/"})
}
