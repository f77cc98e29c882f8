package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/web"
)

// Each filter of the form reaches the search, and a hit leads to its moment.
func TestSearchIsNarrowedAndLeadsToTheMoment(t *testing.T) {
	s := newStand(t)
	body := text(t, s.as("rita", http.MethodGet, "/recordings?text=Dispatcher&vendor=acme&person=ana&target=headend-1&kind=command&from=2026-11-01&to=2026-11-22", ""))
	q := s.Searched[0]
	if q.Text != "Dispatcher" || q.Vendor != "acme" || q.Person != "ana" || q.Target != "headend-1" || len(q.Kinds) != 1 || q.Kinds[0] != "command" ||
		!q.From.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) || !q.To.Equal(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("searched for %+v", q)
	}
	for _, want := range []string{`/recordings/` + s.Sessions[0].ID + `?at=3.90"`, `<mark>dispatcher</mark>`, `<option value="command" selected`, `value="2026-11-22"`, `class="kind">output`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// What is wrong with a search is said on its page, with the form filled in.
func TestWrongSearchStaysOnThePage(t *testing.T) {
	s := newStand(t)
	for query, says := range map[string]string{
		"text=a&kind=password":              "is not one that is searched for",
		"text=a&from=yesterday":             "is not a day such as",
		"text=" + strings.Repeat("x", 1000): "200",
	} {
		res := s.as("rita", http.MethodGet, "/recordings?"+query, "")
		if body := text(t, res); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, says) || !strings.Contains(body, `role="search"`) {
			t.Errorf("%.40s answers %d and does not say %q", query, res.StatusCode, says)
		}
	}
	if len(s.Searched) > 0 {
		t.Errorf("searched: %+v", s.Searched)
	}
}

func TestNothingFoundLeadsOn(t *testing.T) {
	s := newStand(t)
	body := text(t, s.as("rita", http.MethodGet, "/recordings?text=nowhere&vendor=acme", ""))
	if !strings.Contains(body, "Not found") || !strings.Contains(body, `href="/recordings?text=nowhere"`) {
		t.Error("the page does not lead from the narrow search to the wide one")
	}
}

func FuzzPieces(f *testing.F) {
	f.Add("scp -t /tmp", "SCP")
	f.Add("İstanbul ist", "ist")
	f.Add("", "")
	f.Add("İİ\u212a scp", "scp")
	f.Add("\xff scp", "scp")
	f.Fuzz(func(t *testing.T, line, needle string) {
		var b strings.Builder
		for _, p := range web.Pieces(line, needle) {
			if p.Hit && !strings.EqualFold(p.Text, needle) {
				t.Errorf("%q is marked for %q", p.Text, needle)
			}
			b.WriteString(p.Text)
		}
		if b.String() != line {
			t.Errorf("%q became %q", line, b.String())
		}
	})
}
