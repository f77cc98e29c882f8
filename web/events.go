package web

import (
	"strconv"

	"github.com/portcullis/portcullis/web/api"
)

func (s *Server) events(v *visit) error {
	form := v.URL.Query()
	form.Set("limit", strconv.Itoa(shownMost))
	q, err := api.QueryOf(form)
	if err != nil {
		return err
	}
	rows, err := s.rooms.Audit.Search(v.Context(), q)
	if err != nil {
		return err
	}
	d := map[string]any{"Q": q, "Rows": rows, "MayVerify": api.Holds(v.who.Person, api.VerifyStore)}
	if len(rows) == shownMost {
		form.Set("before", strconv.FormatInt(rows[len(rows)-1].Seq, 10))
		form.Del("limit")
		d["More"] = "/events?" + form.Encode()
	}
	return s.show(v, "events", "Events", d)
}
