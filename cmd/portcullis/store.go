package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/postgres"
	"github.com/portcullis/portcullis/gateway/store/sqlite"
)

const (
	ownStore = "sqlite:"
	// openLimit bounds how long a start waits for the store: another node may
	// be bringing its tables up to date.
	openLimit = 2 * time.Minute
)

// shared reports whether the store is one that several nodes write.
func (c *Config) shared() bool { return c.Store != ownStore }

func (c *Config) checkStore() error {
	switch {
	case !c.shared() && c.StorePasswordFile != "":
		return errors.New("store_password_file: a sqlite store has no password; remove it")
	case !c.shared():
		return nil
	case !strings.HasPrefix(c.Store, "postgres://"):
		return errors.New("store: neither sqlite: nor postgres://user@host/database") // it may hold a secret
	case c.StorePasswordFile != "" && !filepath.IsAbs(c.StorePasswordFile):
		return fmt.Errorf("store_password_file: %q is not an absolute path", c.StorePasswordFile)
	}
	if err := postgres.Check(c.Store); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func databasePath(cfg Config) string { return filepath.Join(cfg.Data, "portcullis.db") }

// openDatabase opens the store that the configuration names.
func openDatabase(cfg Config, opts sqlite.Options) (*store.DB, error) {
	if !cfg.shared() {
		return sqlite.Open(databasePath(cfg), opts)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openLimit)
	defer cancel()
	db, err := postgres.Open(ctx, cfg.Store, postgres.Options{
		PasswordFile: cfg.StorePasswordFile, Node: cfg.Node,
		Sealer: opts.Sealer, Machine: opts.Machine, Now: opts.Now, AfterCommit: opts.AfterCommit, Logger: opts.Logger,
	})
	if err != nil {
		return nil, hinted(err, "see that the server runs, that store names it, and that store_password_file holds its password")
	}
	return db, nil
}

// openLog opens the log alone, to read it.
func openLog(ctx context.Context, cfg Config) (audit.Source, func() error, error) {
	if !cfg.shared() {
		return sqlite.OpenLog(databasePath(cfg))
	}
	return postgres.OpenLog(ctx, cfg.Store, cfg.StorePasswordFile)
}

// lookAtStore writes, reads, and asks what the store lacks.
func lookAtStore(ctx context.Context, cfg Config, db *store.DB) []finding {
	cure := "look at the disk under " + cfg.Data
	if cfg.shared() {
		cure = "look at the PostgreSQL server and at the network to it"
	}
	begun := time.Now()
	if err := db.Healthy(ctx); err != nil {
		return []finding{{What: "store", Text: err.Error(), Cure: cure}}
	}
	out := []finding{{What: "store", OK: true, Text: "a durable write took " + ms(time.Since(begun))}}
	warnings, err := db.Warnings(ctx)
	if err != nil {
		out = append(out, finding{What: "store", Text: err.Error(), Cure: cure})
	}
	for _, w := range warnings {
		out = append(out, finding{What: "store", Text: w, Cure: "the line says what to set on the server"})
	}
	return out
}

// alone wants a file that nobody else can read.
func alone(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o: others can read it", path, info.Mode().Perm())
	}
	return nil
}
