// Package store is where everything rests but the recordings: the SQL of all
// rooms over database/sql, in the text that SQLite and PostgreSQL both take
// ($1 placeholders, ON CONFLICT, whole microseconds, JSON as text).
//
// It owns the rows and the one writer. Each room declares beside itself the
// few methods that it needs; DB.Directory, DB.Trust, DB.Identity, DB.Access,
// DB.Session and DB.KillSwitch answer to those, DB.Audit to the log. One Tx
// serves them all, so that a change, its statement and its event commit
// together. What differs between databases (opening, migrations, what its
// errors mean) is a Dialect, in store/sqlite.
//
// Group commit. Writers queue up. The one whose turn it is runs in a
// savepoint of the transaction that is open; when nobody else waits, or
// MaxBatch have run, the log's head is signed and the transaction committed:
// one fsync for all of them.
//
//	Update ─┐                       ┌─ savepoint f1 ─ savepoint f2 ─ … ─ seal ─ COMMIT ─┐
//	Update ─┼─> one at a time ─ BEGIN                                                    ├─> each told
//	Update ─┘                       └─ an f that fails takes back its own savepoint only ┘
//
// What it promises when something fails: Update returns nil only after the
// transaction is on disk, and an error only when nothing of that f is. A
// database that is locked, full, broken or gone is gateway.Unavailable: the
// rooms then open nothing. Rows are an index to the signed statements; that
// they tell the truth is package trust's to verify.
package store
