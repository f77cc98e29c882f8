package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// role is what a connection is for.
type role struct {
	idle, lock, statement time.Duration // the server's bounds
	silence               time.Duration // ours on one answer
	readOnly              bool
}

var (
	writing = role{idle: idleLimit, lock: lockLimit, statement: statementLimit, silence: silenceLimit}
	reading = role{idle: idleLimit, lock: lockLimit, statement: statementLimit, silence: silenceLimit, readOnly: true}
	// mending brings tables up to date, which may take its time.
	mending = role{idle: time.Minute, lock: time.Minute, statement: 10 * time.Minute, silence: 11 * time.Minute}
)

// settle sets what the connection must keep to, never a lower durability than
// the server's own, and looks whether the server keeps what it promises.
// client_connection_check_interval is of version 14 and of Linux; elsewhere
// idleLimit does its work, later.
func (r role) settle(ctx context.Context, conn *pgx.Conn) error {
	var fsync, pages, encoding string
	var standby bool
	err := conn.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('server_encoding'), pg_is_in_recovery()
FROM (SELECT
	set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
	set_config('default_transaction_isolation', 'read committed', false),
	set_config('standard_conforming_strings', 'on', false),
	set_config('idle_in_transaction_session_timeout', $1, false),
	set_config('lock_timeout', $2, false),
	set_config('statement_timeout', $3, false),
	set_config('tcp_user_timeout', $4, false),
	set_config('tcp_keepalives_idle', $5, false),
	set_config('tcp_keepalives_interval', $6, false),
	set_config('tcp_keepalives_count', $7, false),
	CASE WHEN current_setting('server_version_num')::int >= 140000 AND version() LIKE '%linux%' THEN set_config('client_connection_check_interval', $8, false) END,
	CASE WHEN $9 THEN set_config('default_transaction_read_only', 'on', false) END
	OFFSET 0) AS settings`,
		millis(r.idle), millis(r.lock), millis(r.statement), millis(tcpLimit), seconds(keepIdle), seconds(keepInterval), strconv.Itoa(keepCount), millis(vanishedLimit), r.readOnly).
		Scan(&fsync, &pages, &encoding, &standby)
	switch {
	case err != nil:
		return fmt.Errorf("settle the connection: %w", err)
	case fsync != "on":
		return errors.New("the server has fsync off and would forget what it promised; turn fsync on")
	case pages != "on":
		return errors.New("the server has full_page_writes off and may tear its tables in a power cut; turn full_page_writes on")
	case encoding != "UTF8":
		return fmt.Errorf("the database keeps text as %s; make it with ENCODING UTF8", encoding)
	case standby:
		return errors.New("the server is a standby; name the primary, or all servers")
	}
	return nil
}

func millis(d time.Duration) string  { return strconv.FormatInt(d.Milliseconds(), 10) }
func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
