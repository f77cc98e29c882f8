package api

import (
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/portcullis/portcullis/gateway"
)

// event is one line as the API shows it: the OCSF body that is hashed, and
// where it stands.
type event struct {
	Seq  int64           `json:"seq"`
	OCSF json.RawMessage `json:"ocsf"`
}

// QueryOf reads the query of a search in the log.
func QueryOf(v url.Values) (Query, error) {
	limit, err := limitOf(v)
	if err != nil {
		return Query{}, err
	}
	q := Query{Text: v.Get("text"), Name: v.Get("name"), Vendor: v.Get("vendor"), Person: v.Get("person"), Session: v.Get("session"), Limit: limit}
	if q.From, err = timeOf(v, "from"); err != nil {
		return q, err
	}
	if q.To, err = timeOf(v, "to"); err != nil {
		return q, err
	}
	if b := v.Get("before"); b != "" {
		if q.Before, err = strconv.ParseInt(b, 10, 64); err != nil || q.Before < 1 {
			return q, gateway.Invalid("before", "before %s is not a line's number", gateway.Quote(b))
		}
	}
	return q, gateway.CheckText("text", q.Text, maxSearchText, false)
}

func (s *Server) events(c call) (any, error) {
	if err := s.may(c, ReadEvents, "events"); err != nil {
		return nil, err
	}
	q, err := QueryOf(c.URL.Query())
	if err != nil {
		return nil, err
	}
	lines, err := s.cfg.Audit.Search(c.Context(), q)
	if err != nil {
		return nil, err
	}
	all := make([]event, len(lines))
	for i, l := range lines {
		all[i] = event{l.Seq, l.Body}
	}
	return page(all, q.Limit, func(e event) string { return strconv.FormatInt(e.Seq, 10) }), nil
}

func (s *Server) verifyLog(c call) (any, error) {
	if err := s.may(c, VerifyStore, "events"); err != nil {
		return nil, err
	}
	return s.cfg.Audit.Verify(c.Context())
}
