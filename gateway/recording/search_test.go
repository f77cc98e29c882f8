package recording

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway"
)

// TestSearch finds text as it stood on the screen, not as it came.
func TestSearch(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c))
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	c.pass(2 * time.Second)
	for _, p := range []string{"$ cat /etc/pas", "x\bswd\r\n", "\x1b[31mro", "ot:x:0\x1b[m:GRÜ", "\xc3\x9f\r\n\x1b]0;passwd in a title\x07ok", "\r\nlast line without end"} {
		must(t, ch.Output(Stdout, []byte(p)))
		c.pass(time.Second)
	}
	must(t, ch.Input([]byte("typed-secret")))
	sealIt(t, r)
	r = start(t, v, "ses_2")
	_, err := r.Channel(1, gateway.Channel{Kind: gateway.ChannelExec, Command: "cat /etc/passwd"})
	must(t, err)

	cat := Hit{"ses_1", 2 * time.Second, "$ cat /etc/passwd"}
	for name, tc := range map[string]struct {
		text     string
		sessions []string
		limit    int
		want     []Hit
	}{
		"a command, newest first":  {"/ETC/passwd", nil, 0, []Hit{{"ses_2", 0, "exec: cat /etc/passwd"}, cat}},
		"in one session":           {"passwd", []string{"ses_1"}, 0, []Hit{cat}},
		"at most one":              {"passwd", nil, 1, []Hit{{"ses_2", 0, "exec: cat /etc/passwd"}}},
		"over colours and pieces":  {"root:x:0:grüß", nil, 0, []Hit{{"ses_1", 4 * time.Second, "root:x:0:GRÜß"}}},
		"a line without its end":   {"without end", nil, 0, []Hit{{"ses_1", 7 * time.Second, "last line without end"}}},
		"what was typed is hidden": {"typed-secret", nil, 0, nil},
		"nothing":                  {"never shown", nil, 0, nil},
	} {
		got, err := v.Search(t.Context(), tc.text, tc.sessions, tc.limit)
		if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	if _, err := v.Search(t.Context(), " ", nil, 0); !gateway.IsCode(err, gateway.CodeInvalid) {
		t.Errorf("search for nothing: %v", err)
	}
	if _, err := v.Search(t.Context(), "x", []string{"ses_9"}, 0); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("search in what is not there: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the page was closed")
	cancel(gone)
	if _, err := v.Search(ctx, "x", nil, 0); !errors.Is(err, gone) {
		t.Errorf("search that was called off: %v", err)
	}
}

// TestSearchCutsLongLines shows the place of the find, and neither line nor
// memory grows without bound.
func TestSearchCutsLongLines(t *testing.T) {
	v := openVault(t, t.TempDir())
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	must(t, ch.Output(Stdout, []byte(strings.Repeat("a", 3000)+"needle"+strings.Repeat("b", 3*maxLine))))
	hits, err := v.Search(t.Context(), "needle", nil, 0)
	must(t, err)
	if len(hits) != 1 || len(hits[0].Line) != hitWidth || !strings.Contains(hits[0].Line, "aneedleb") {
		t.Errorf("%+v", hits)
	}
}
