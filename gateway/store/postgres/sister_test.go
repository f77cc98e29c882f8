package postgres_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestSisterMigrations: a table that one database has and the other has not
// is a fault that only a cluster, or only a single node, would meet. The two
// folders hold the same statements but for the types.
func TestSisterMigrations(t *testing.T) {
	read := func(dir string) map[string]string {
		files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
		if err != nil || len(files) < 7 {
			t.Fatal(dir, len(files), err)
		}
		all := map[string]string{}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.Base(f)] = common(string(raw))
		}
		return all
	}
	theirs, ours := read("../sqlite/migrations"), read("migrations")
	for name, text := range theirs {
		if ours[name] == "" {
			t.Errorf("%s is missing here; copy it, with BIGINT, BYTEA, BOOLEAN and TEXT COLLATE \"C\"", name)
		} else if ours[name] != text {
			t.Errorf("%s differs:\n%s\nand in sqlite:\n%s", name, ours[name], text)
		}
	}
	if len(ours) != len(theirs) {
		t.Errorf("%d migrations here, %d in sqlite", len(ours), len(theirs))
	}
}

var (
	comment = regexp.MustCompile(`(?m)--( .*)?$`)
	blank   = regexp.MustCompile(`\s+`)
	hashed  = regexp.MustCompile(`ON log_entries USING hash \((\w+)\)`)
)

// common is a migration in words that both databases share.
func common(text string) string {
	text = comment.ReplaceAllString(strings.ReplaceAll(text, "-- +goose", "+goose"), "")
	text = hashed.ReplaceAllString(text, "ON log_entries ($1, seq)")
	text = strings.NewReplacer(" COLLATE \"C\"", "", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT", "INTEGER", "BYTEA", "BLOB").Replace(text)
	return strings.TrimSpace(blank.ReplaceAllString(text, " "))
}

// TestTextComparesByBytes: no column follows the language of the server, in
// which "a" comes before "B" and a page of a list would end elsewhere.
func TestTextComparesByBytes(t *testing.T) {
	url := server.Database(t)
	open(t, url)
	conn := raw(t, url)
	rows, err := conn.Query(t.Context(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type IN ('text', 'character varying') AND collation_name IS DISTINCT FROM 'C'`)
	if err != nil {
		t.Fatal(err)
	}
	odd, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(odd) > 0 {
		t.Errorf("of another collation: %v %v", odd, err)
	}
	var language bool
	if err := conn.QueryRow(t.Context(), "SELECT 'a' < 'B'").Scan(&language); err != nil || !language {
		t.Errorf("the test's server compares by bytes itself, so this test shows nothing: %v", err)
	}
}

// raw is a plain connection beside the store's.
func raw(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
