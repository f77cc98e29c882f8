package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

// TestKeptStatements: a statement that is kept answers as one that is compiled
// anew would, also inside its own rows, after an error, after a change of the
// tables, and when there are more texts than are kept.
func TestKeptStatements(t *testing.T) {
	db, err := open(filepath.Join(t.TempDir(), "x.db"), 1)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	must(err)
	defer conn.Close()
	exec := func(text string, args ...any) error { _, err := conn.ExecContext(ctx, text, args...); return err }
	must(exec("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
	for n := range 3 {
		must(exec("INSERT INTO t (n) VALUES ($1)", n))
	}
	if exec("INSERT INTO t (n) VALUES ($1)", 1) == nil {
		t.Error("a row twice was taken")
	}
	must(exec("INSERT INTO t (n) VALUES ($1)", 3)) // after the error
	must(exec("BEGIN; INSERT INTO t (n) VALUES (4); COMMIT"))

	const list = "SELECT n FROM t WHERE n >= $1 ORDER BY n"
	numbers := func(from int, each func()) (got string) {
		t.Helper()
		rows, err := conn.QueryContext(ctx, list, from)
		must(err)
		defer rows.Close()
		for rows.Next() {
			var n int
			must(rows.Scan(&n))
			got += fmt.Sprint(n)
			each()
		}
		must(rows.Err())
		return got
	}
	inside := ""
	if got := numbers(0, func() { inside += numbers(3, func() {}) }); got != "01234" || inside != "3434343434" {
		t.Errorf("rows inside rows: %s and %s", got, inside)
	}
	var first int // QueryRow leaves the rest
	must(conn.QueryRowContext(ctx, list, 0).Scan(&first))
	if got := numbers(2, func() {}); got != "234" {
		t.Errorf("after rows that were left: %s", got)
	}
	must(exec("ALTER TABLE t ADD COLUMN m INTEGER"))
	if got := numbers(4, func() {}); got != "4" {
		t.Errorf("after a change of the table: %s", got)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := conn.QueryRowContext(gone, list, 0).Scan(&first); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled question: %v", err)
	}
	for n := range maxKept + 10 {
		must(exec(fmt.Sprintf("DELETE FROM t WHERE n = %d", 1000+n)))
	}
	must(conn.Raw(func(c any) error {
		if n := len(c.(*keeper).kept); n != maxKept {
			t.Errorf("%d statements are kept", n)
		}
		return nil
	}))
}
