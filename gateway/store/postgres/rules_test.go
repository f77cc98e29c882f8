package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/store/postgres"
	"github.com/portcullis/portcullis/gateway/store/postgres/pgtest"
	"github.com/portcullis/portcullis/gateway/store/storetest"
)

func options(t *testing.T) postgres.Options {
	return postgres.Options{Sealer: storetest.Signer(t), Machine: storetest.Machine(), Node: "node-1"}
}

// TestURLHoldsNoSecret: what is wrong with a URL is said without repeating it.
func TestURLHoldsNoSecret(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"postgres://gate:hunter2@db/portcullis", "holds a password"},
		{"postgres://gate:hunt:er2@db/portcullis", "holds a password"},
		{"postgres://gate:hunter2@db:port/portcullis", "cannot be read"},
		{"postgres://gate@db/portcullis?password=hunter2", `may not set "password"`},
		{"postgres://gate@db/portcullis?sslpassword=hunter2", `may not set "sslpassword"`},
		{"postgres://gate@db/portcullis?synchronous_commit=off", `may not set "synchronous_commit"`},
		{"postgres://gate@db/portcullis?target_session_attrs=any", `may not set "target_session_attrs"`},
		{"postgres://gate@db/portcullis?sslmode=prefer", "decides nothing"},
		{"postgres://gate@db/portcullis?sslmode=allow", "decides nothing"},
		{"postgres://gate@db", "must name"},
		{"postgres://db/portcullis", "must name"},
		{"mysql://gate:hunter2@db/portcullis", "cannot be read"},
		{"postgres://gate:hunter2%zz@db/portcullis", "cannot be read"},
		{"postgres://gate@db/portcullis?sslmode=verify-full&sslrootcert=/none/ca.pem", "certificates"},
	} {
		err := postgres.Check(c.url)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunt") {
			t.Errorf("%s: %v, want %q", c.url, err, c.want)
		}
	}
	for _, url := range []string{"postgres://gate@db/portcullis", "postgres://gate@a:5432,b:5433/portcullis?sslmode=verify-full", "postgres://gate@127.0.0.1/portcullis", "postgres://gate@/portcullis?host=/run/postgresql"} {
		if err := postgres.Check(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestPasswordComesFromItsFile, also a new one, and no error or log shows it.
func TestPasswordComesFromItsFile(t *testing.T) {
	url := server.Database(t)
	if err := server.Exec(t.Context(), "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN SUPERUSER PASSWORD '%s'", pgtest.Guarded, pgtest.Password)); err != nil {
		t.Fatal(err)
	}
	url = strings.Replace(url, pgtest.User+"@", pgtest.Guarded+"@", 1)
	file := filepath.Join(t.TempDir(), "password")
	var log bytes.Buffer
	opts := options(t)
	opts.PasswordFile, opts.Logger = file, slog.New(slog.NewTextHandler(&log, nil))
	for _, c := range []struct{ content, want string }{
		{"", "no such file"}, {"\n", "is empty"}, {"sesame-shut\n", "password authentication failed"}, {pgtest.Password + "\n", ""},
	} {
		if c.content != "" {
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		db, err := postgres.Open(t.Context(), url, opts)
		if err == nil {
			err = errors.Join(admit(t.Context(), db, "acme"), db.Close())
		}
		said := fmt.Sprint(err, log.String())
		if (err == nil) != (c.want == "") || !strings.Contains(said, c.want) || strings.Contains(said, "sesame") {
			t.Errorf("with %q: %v", c.content, err)
		}
	}
}

// TestOpenRefuses a server that would forget, stands by, or garbles.
func TestOpenRefuses(t *testing.T) {
	ctx, url := t.Context(), server.Database(t)
	name := url[strings.LastIndex(url, "/")+1 : strings.LastIndex(url, "?")]
	do := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if err := server.Exec(context.WithoutCancel(ctx), "postgres", s); err != nil {
				t.Fatal(s, err)
			}
		}
	}
	if db, err := postgres.Open(ctx, url, options(t)); err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	do("CREATE DATABASE latin ENCODING LATIN1 LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
	for _, c := range []struct{ url, set, reset, want string }{
		{url, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM RESET fsync", "fsync off"},
		{url, "ALTER SYSTEM SET full_page_writes = off", "ALTER SYSTEM RESET full_page_writes", "full_page_writes off"},
		{url, "ALTER DATABASE " + name + " SET default_transaction_read_only = on", "ALTER DATABASE " + name + " RESET default_transaction_read_only", "read only"},
		{server.URL(pgtest.User, "latin"), "SELECT 1", "SELECT 1", "LATIN1"},
		{server.URL(pgtest.User, "nowhere"), "SELECT 1", "SELECT 1", "does not exist"},
	} {
		do(c.set, "SELECT pg_reload_conf()")
		err := eventually(ctx, func() error {
			db, err := postgres.Open(ctx, c.url, options(t))
			if err == nil {
				return errors.Join(db.Close(), errors.New("opened"))
			}
			return err
		}, "opened") // the server takes up its settings a moment later
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), pgtest.User+"@") {
			t.Errorf("%s: %v, want %q", c.set, err, c.want)
		}
		do(c.reset, "SELECT pg_reload_conf()")
	}
	err := eventually(ctx, func() error {
		db, err := postgres.Open(ctx, url, options(t))
		if err == nil {
			err = db.Close()
		}
		return err
	}, "off")
	if err != nil {
		t.Errorf("with everything mended: %v", err)
	}
	if err := server.Exec(ctx, name, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)"); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(ctx, url, options(t)); err == nil || !strings.Contains(err.Error(), "start the newer program") {
		t.Errorf("newer tables: %v", err)
	}
}

// eventually repeats f while its error holds that word, for some seconds.
func eventually(ctx context.Context, f func() error, word string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		err := f()
		if ctx.Err() != nil || err == nil || !strings.Contains(err.Error(), word) {
			return err
		}
	}
}

// TestWarnings: R-10's clock, and a commit that rests in one place.
func TestWarnings(t *testing.T) {
	url := server.Database(t)
	var log bytes.Buffer
	off := 3 * time.Second
	db := open(t, url, func(o *postgres.Options) {
		o.Now = func() time.Time { return time.Now().Add(off) }
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	for _, want := range []string{"synchronous_standby_names is empty", "clock is -2.9"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, log.String())
		}
	}
	off = time.Second
	list, err := db.Warnings(t.Context())
	if err != nil || strings.Contains(fmt.Sprint(list), "clock") {
		t.Errorf("a second off: %v %v", list, err)
	}
}

// TestPlainWayIsSaidSo: only a way that leaves the machine without a
// certificate that is checked is worth a word, whoever sets it.
func TestPlainWayIsSaidSo(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://u@10.0.0.1/gate?sslmode=disable":             "is not encrypted",
		"postgres://u@127.0.0.1,db.example/gate?sslmode=disable": "is not encrypted",
		"postgres://u@db.example/gate?sslmode=require":           "is not checked",
		"postgres://u@db.example/gate?sslmode=verify-ca":         "is not held to its name",
		"postgres://u@db.example/gate?sslmode=verify-full":       "",
		"postgres://u@db.example/gate":                           "",
		"postgres://u@127.0.0.1:5433/gate?sslmode=disable":       "",
		"postgres://u@[::1]/gate":                                "",
	} {
		got, err := postgres.Way(text)
		if err != nil || (len(got) == 0) != (want == "") || !strings.Contains(strings.Join(got, ""), want) || strings.Contains(strings.Join(got, ""), "u@") {
			t.Errorf("%s: %q %v, want %q", text, got, err, want)
		}
	}
}

// TestDurabilityIsNeverLowered: whatever the server's default for us is.
func TestDurabilityIsNeverLowered(t *testing.T) {
	url := server.Database(t)
	name := url[strings.LastIndex(url, "/")+1 : strings.LastIndex(url, "?")]
	for set, want := range map[string]string{"off": "on", "local": "on", "remote_write": "on", "on": "on", "remote_apply": "remote_apply"} {
		if err := server.Exec(t.Context(), "postgres", "ALTER DATABASE "+name+" SET synchronous_commit = "+set); err != nil {
			t.Fatal(err)
		}
		w, err := postgres.Writer(url)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := w.QueryRow("SHOW synchronous_commit").Scan(&got); err != nil || got != want {
			t.Errorf("%s becomes %s: %v", set, got, err)
		}
		_ = w.Close()
	}
}

// TestCommitIsBelievedWithoutWarningOnly: PostgreSQL answers COMMIT of a
// failed transaction with ROLLBACK and no error, and that of one whose wait
// for a standby was broken off with a warning.
func TestCommitIsBelievedWithoutWarningOnly(t *testing.T) {
	ctx, url := t.Context(), server.Database(t)
	w, err := postgres.Writer(url)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	conn, err := w.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN; CREATE TABLE t (n int)"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(ctx, postgres.CommitText); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for _, text := range []string{"BEGIN", "INSERT INTO nowhere VALUES (1)"} {
		_, err = conn.ExecContext(ctx, text)
	}
	if err == nil {
		t.Fatal("a wrong statement was taken")
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		t.Fatalf("PostgreSQL itself would have said so: %v", err)
	}
	_, _ = conn.ExecContext(ctx, "BEGIN")
	_, _ = conn.ExecContext(ctx, "INSERT INTO nowhere VALUES (1)")
	if _, err := conn.ExecContext(ctx, postgres.CommitText); err == nil {
		t.Error("a ROLLBACK was taken for a COMMIT")
	}
	_, _ = conn.ExecContext(ctx, "ROLLBACK")
	if _, err := conn.ExecContext(ctx, postgres.CommitText); err == nil {
		t.Error("a COMMIT of no transaction was believed")
	}
}

// TestUnseenStandbyIsNoCommit asks for a standby that is not there, and breaks
// the wait off.
func TestUnseenStandbyIsNoCommit(t *testing.T) {
	ctx, url := t.Context(), server.Database(t)
	db := open(t, url)
	c := raw(t, server.URL(pgtest.User, "postgres"))
	for _, text := range []string{"SET synchronous_commit = local", "ALTER SYSTEM SET synchronous_standby_names = 'ghost'", "SELECT pg_reload_conf()"} {
		if _, err := c.Exec(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		_, err1 := c.Exec(context.Background(), "ALTER SYSTEM RESET synchronous_standby_names")
		_, err2 := c.Exec(context.Background(), "SELECT pg_reload_conf()")
		if err := errors.Join(err1, err2); err != nil {
			t.Error(err)
		}
	}()
	done := make(chan error, 1)
	go func() {
		for i := 0; ; i++ { // until the setting is in force
			if err := admit(ctx, db, fmt.Sprint("v", i)); err != nil {
				done <- err
				return
			}
		}
	}()
	for {
		select {
		case err := <-done:
			if !gateway.IsCode(err, gateway.CodeUnavailable) || !strings.Contains(err.Error(), "synchronous replication") {
				t.Errorf("a commit that no standby has: %v", err)
			}
			return
		default:
			if _, err := c.Exec(ctx, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOddTextIsKept: neither a zero byte nor bytes that are no text keep an
// event out of the log, nor does one that is too long for an index.
func TestOddTextIsKept(t *testing.T) {
	db := open(t, server.Database(t))
	long := strings.Repeat("x", 10)
	for i := range 600 {
		long += fmt.Sprintf("%07x", i*2654435761)
	}
	err := db.Directory().Update(t.Context(), func(tx directory.Tx) error {
		return errors.Join(tx.PutVendor(gateway.Vendor{Name: "odd", Title: "a\x00b\xff", State: gateway.Active, Epoch: 1, Version: 1}),
			tx.Append(audit.Event{Name: audit.VendorAdmitted, Actor: long, Person: long, Vendor: long, Session: long, Target: long}))
	})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := db.Directory().Vendor(t.Context(), "odd"); err != nil || v.Title != "a\ufffdb\ufffd" {
		t.Errorf("reads back as %q: %v", v.Title, err)
	}
	if _, err := db.Directory().Vendor(t.Context(), "\x00"); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("an odd name: %v", err)
	}
	sound(t, db, audit.Checkpoint{})
}
