package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	oldest  = 140000          // server_version_num of the oldest version that is looked after
	maxSkew = 2 * time.Second // between our clock and the database's
)

// warnings is Examine, and what is wrong with the way to the server.
func (a *address) warnings(ctx context.Context, db *sql.DB, now func() time.Time) ([]string, error) {
	list, err := Examine(ctx, db, now)
	return append(a.way(), list...), err
}

// way says who can stand between this node and the server.
func (a *address) way() []string {
	switch a.plain {
	case "":
		return nil
	case "disable":
		return []string{"what passes between this node and " + a.where + " is not encrypted (sslmode=disable): whoever is on the network reads it, and can answer in the server's place; write sslmode=verify-full"}
	case "verify-ca":
		return []string{"the certificate of " + a.where + " is not held to its name (sslmode=verify-ca): any server with one of the same authority can answer in its place; write sslmode=verify-full"}
	}
	return []string{"the certificate of " + a.where + " is not checked (sslmode=" + a.plain + "): whoever is on the network can answer in the server's place; write sslmode=verify-full"}
}

// Examine says, in sentences for the operator, what makes the server less than
// a store should be: no synchronous standby, a version that is not looked
// after, a clock that is off by more than two seconds.
func Examine(ctx context.Context, db *sql.DB, now func() time.Time) ([]string, error) {
	var version int
	var release, standbys, checksums string
	var micros int64
	sent := now()
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
	current_setting('synchronous_standby_names'), current_setting('data_checksums'), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).
		Scan(&version, &release, &standbys, &checksums, &micros)
	if err != nil {
		return nil, err
	}
	trip := now().Sub(sent)
	var list []string
	if standbys == "" {
		list = append(list, "no standby is synchronous (synchronous_standby_names is empty): a server that is lost takes the last commits with it, suspensions among them")
	}
	if version < oldest {
		list = append(list, fmt.Sprintf("PostgreSQL %s is older than 14 and not looked after", release))
	}
	if checksums != "on" {
		list = append(list, "data_checksums is off: a disk that changes bits is noticed by the log's signatures alone")
	}
	if off := time.UnixMicro(micros).Sub(sent.Add(trip / 2)); off.Abs() > maxSkew {
		list = append(list, fmt.Sprintf("the database's clock is %s off this node's: nothing is agreed to or opened here until they agree; set both by NTP", off.Round(time.Millisecond)))
	}
	return list, nil
}

// inspect asks for what PostgreSQL itself knows of damage: pages whose
// checksum was wrong, indexes that are not whole.
func inspect(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT 'checksums were wrong on ' || checksum_failures || ' pages since ' || checksum_last_failure
FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0
UNION ALL
SELECT 'index ' || indexrelid::regclass || ' is not valid' FROM pg_index WHERE NOT indisvalid OR NOT indisready`)
	if err != nil {
		return nil, fault(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, fault(err)
		}
		list = append(list, line)
	}
	if err := rows.Err(); err != nil {
		return nil, fault(err)
	}
	return list, nil
}
