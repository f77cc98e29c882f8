package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// listen calls heard after each commit of any node, and each listenEvery
// besides: a message may be lost, and while there is no connection there is
// none. It returns when ctx is done.
func (a *address) listen(ctx context.Context, heard func()) {
	for ctx.Err() == nil {
		a.hear(ctx, heard)
		heard()
		select {
		case <-time.After(listenEvery):
		case <-ctx.Done():
		}
	}
}

// hear listens on one connection until that fails.
func (a *address) hear(ctx context.Context, heard func()) {
	conn, err := a.dial(ctx, reading)
	if err != nil {
		return
	}
	defer hangUp(ctx, conn)
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return
	}
	for err == nil {
		heard()
		err = wait(ctx, conn)
	}
}

// wait returns nil when something was heard, or when it is time to look.
func wait(ctx context.Context, conn *pgx.Conn) error {
	bound, cancel := context.WithTimeout(ctx, listenEvery)
	defer cancel()
	_, err := conn.WaitForNotification(bound)
	if err != nil && bound.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// dial makes one connection of that role outside the pools.
func (a *address) dial(ctx context.Context, r role) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.silence, errSilent)
	defer cancel()
	cfg, err := a.config(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, unnamed(err)
	}
	if err := r.settle(ctx, conn); err != nil {
		hangUp(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// hangUp closes a connection without waiting for a server that is silent.
func hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listenEvery)
	defer cancel()
	_ = conn.Close(ctx) // it is given up either way
}
