package store

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
)

// nodesForgotten is how long a node that never said goodbye is listed: the
// longest lease that a configuration may name, and much more.
const nodesForgotten = 24 * time.Hour

// maxNodes bounds the list of nodes.
const maxNodes = 257

// Roll is the list of the nodes that share this store, and this node's line in
// it. It answers to killswitch.Roll.
type Roll struct {
	db      *DB
	boot    string
	version string
	leaving atomic.Bool
}

// Clock is the time by the store's own clock; nil where the store has none but
// this machine's.
func (db *DB) Clock() func(ctx context.Context) (time.Time, error) {
	if db.cfg.Dialect.Clock == "" {
		return nil
	}
	return func(ctx context.Context) (time.Time, error) {
		at, err := number(ctx, &db.reads, "SELECT "+db.cfg.Dialect.Clock)
		return time.UnixMicro(at).UTC(), err
	}
}

// Roll begins this node's line anew; nil where one node has the store to
// itself. version is that of the binary.
func (db *DB) Roll(version string) *Roll {
	if db.cfg.Dialect.Beat == nil {
		return nil
	}
	return &Roll{db: db, boot: gateway.NewID("boo", db.cfg.Now()), version: version}
}

// Beat is one line of the roll as it is written.
type Beat struct {
	Node, Boot, Version string
	Lease               time.Duration
	Leaving             bool // it drains before a restart: it still holds sessions, and must still answer
	Gone                bool // it has ended everything and says goodbye
}

// Leave has every further beat say that this node drains before a restart.
func (r *Roll) Leave() { r.leaving.Store(true) }

// Beat says that this node is there, or that it has left. It takes no turn
// among the writers and waits for no disk; an error means that it may not be
// written, and no lease may count on it.
func (r *Roll) Beat(ctx context.Context, lease time.Duration, gone bool) error {
	b := Beat{Node: r.db.cfg.Node, Boot: r.boot, Version: r.version, Lease: lease, Leaving: r.leaving.Load(), Gone: gone}
	if err := r.db.cfg.Dialect.Beat(ctx, r.db.cfg.Reader, b); err != nil {
		return r.db.cfg.Dialect.Fault(err)
	}
	return nil
}

// Members implements cluster.Members: the nodes that have not said goodbye,
// for a day. When each was seen is told by this node's clock; how long ago that
// was, by the store's.
func (r *Roll) Members(ctx context.Context) ([]cluster.Member, error) {
	var list []cluster.Member
	var m cluster.Member
	var age, lease, leaving sql.NullInt64
	asked := r.db.cfg.Now()
	err := r.db.reads.each(ctx, []any{&m.Name, &age, &lease, &leaving}, func() {
		m.Seen, m.Lease = asked.Add(-time.Duration(max(age.Int64, 0))*time.Microsecond), time.Duration(lease.Int64)*time.Microsecond
		m.Leaving = leaving.Int64 != 0
		list = append(list, m)
	}, "SELECT name, ("+r.db.cfg.Dialect.Clock+") - seen, lease, leaving FROM nodes WHERE gone = 0 AND seen > ("+r.db.cfg.Dialect.Clock+") - $1 ORDER BY name LIMIT $2",
		nodesForgotten.Microseconds(), maxNodes)
	if err != nil {
		return nil, err
	}
	return list, nil
}
