package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestAuditNamesTheRow: any change of the stored log is found, and the row is
// named.
func TestAuditNamesTheRow(t *testing.T) {
	t.Parallel()
	s := newStory(t, rig.Options{})
	g := s.grant("ana", "pump", time.Hour)
	if status, _, errOut := s.run("ana", "pump", g.ID, "true"); status != 0 {
		t.Fatal(errOut)
	}
	if status, _, errOut := s.run("ana", "pump", g.ID, "true"); status != 0 {
		t.Fatal(errOut)
	}
	for _, x := range s.sessions() {
		s.ended(x.ID)
	}
	s.verified()
	s.recordingsAreMissed()
	table, column := s.logTable()
	for _, c := range []struct{ name, text, names string }{
		{"a bit of a line", "UPDATE %[1]s SET %[2]s = CAST(replace(CAST(%[2]s AS TEXT), 'ana', 'anb') AS BLOB) WHERE seq = (SELECT max(seq) FROM %[1]s WHERE CAST(%[2]s AS TEXT) LIKE '%%ana%%')", "row"},
		{"the last line dropped", "DELETE FROM %[1]s WHERE seq = (SELECT max(seq) FROM %[1]s)", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.edit(fmt.Sprintf(c.text, table, column))
			r, err := s.CLI(s.ctx, "audit", "verify")
			s.must(err)
			if r.Status == 0 || strings.Contains(r.Out, "PASS") {
				t.Fatalf("a changed log passes: %s", r.Out)
			}
			says(t, "audit verify", r.Out+r.Err, c.names)
		})
	}
}

// recordingsAreMissed holds the log to name a recording that was taken away
// whole, and one that has another's place.
func (s *story) recordingsAreMissed() {
	s.Helper()
	found, err := filepath.Glob(filepath.Join(s.Data, "recordings", "*", "*", "*", "ses_*"))
	s.must(err)
	if len(found) != 2 {
		s.Fatalf("%d recordings: %q", len(found), found)
	}
	aside := filepath.Join(s.T.TempDir(), "aside")
	for what, do := range map[string]func(){
		"not there": func() { s.must(os.Rename(found[0], aside)) },
		"under another seal": func() {
			s.must(os.Rename(found[0], aside))
			s.must(os.CopyFS(found[0], os.DirFS(found[1])))
		},
	} {
		do()
		r, err := s.CLI(s.ctx, "audit", "verify")
		s.must(err)
		if r.Status == 0 {
			s.Errorf("%s: %s", what, r.Out)
		}
		says(s.T, what, r.Out, what, filepath.Base(found[0]))
		s.must(os.RemoveAll(found[0]))
		s.must(os.Rename(aside, found[0]))
	}
	s.verified()
}

// logTable finds the table of the log: the one with a column seq and a body.
func (s *story) logTable() (table, column string) {
	s.Helper()
	db, err := sql.Open("sqlite", "file:"+s.Store()+"?mode=ro")
	s.must(err)
	defer db.Close()
	for _, name := range []string{"events", "audit", "log", "log_entries", "entries"} {
		for _, col := range []string{"body", "ocsf"} {
			if err := db.QueryRowContext(s.ctx, "SELECT seq, "+col+" FROM "+name+" LIMIT 1").Scan(new(int64), new(sql.RawBytes)); err == nil || !strings.Contains(err.Error(), "no such") {
				return name, col
			}
		}
	}
	s.Fatal("the log's table is not known to the test any more")
	return "", ""
}
