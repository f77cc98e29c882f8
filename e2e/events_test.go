package e2e

import (
	"net/url"
	"strings"
)

// event is one line of the audit log in our own words, which stand beside the
// OCSF ones.
type event struct {
	Seq     int64
	Name    string `json:"name"`
	Actor   string `json:"actor"`
	Vendor  string `json:"vendor"`
	Person  string `json:"person"`
	Target  string `json:"target"`
	Session string `json:"session"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Rule    string `json:"rule"`
	At      int64  `json:"at_us"`

	Detail map[string]string `json:"detail"`
}

// events searches the log; newest first.
func (s *story) events(name string) []event {
	s.Helper()
	var page struct {
		Items []struct {
			Seq  int64 `json:"seq"`
			OCSF struct {
				Unmapped struct {
					Portcullis event `json:"portcullis"`
				} `json:"unmapped"`
			} `json:"ocsf"`
		} `json:"items"`
	}
	s.must(s.Machine().Get(s.ctx, "/api/v1/events?limit=200&name="+url.QueryEscape(name), &page))
	var all []event
	for _, i := range page.Items {
		e := i.OCSF.Unmapped.Portcullis
		e.Seq = i.Seq
		all = append(all, e)
	}
	return all
}

// told fails unless the log holds an event of that name whose reason says the
// words: what a person was told stands in the log too (P8).
func (s *story) told(name string, words ...string) {
	s.Helper()
	all := s.events(name)
	for _, e := range all {
		found := true
		for _, w := range words {
			found = found && strings.Contains(strings.ToLower(e.Reason), strings.ToLower(w))
		}
		if found {
			return
		}
	}
	s.Errorf("no event %s says %q; there are %d: %+v", name, words, len(all), all)
}

// verified fails unless the log proves itself.
func (s *story) verified() {
	s.Helper()
	r, err := s.CLI(s.ctx, "audit", "verify")
	s.must(err)
	if r.Status != 0 || !strings.Contains(r.Out, "PASS") {
		s.Errorf("audit verify: exit %d\n%s%s", r.Status, r.Out, r.Err)
	}
}
