// Package postgres opens the store in a PostgreSQL database that several nodes
// share.
//
// It owns the connections, what each of them must be before it carries
// anything, the migrations and the meaning of PostgreSQL's error codes; the
// SQL of the rooms is package store's. It keeps the promises of its sister
// sqlite, one writer at a time among them: each writing transaction begins
// with the one advisory lock of the database, so that what a transaction reads
// is what it changes, on every node alike.
//
//	node A  BEGIN lock ─ savepoints … ─ NOTIFY COMMIT ──┐ every node hears
//	node B  BEGIN ····· waits for the lock ····· lock ──┴─ savepoints …
//
// A node that freezes or is cut off inside a transaction holds the others up
// for idleLimit: the server then takes its transaction back. A server that
// does not answer holds a statement up for silenceLimit. Both are named below
// with the rest.
//
// Open refuses a server that would forget what it promised (fsync or
// full_page_writes off), that is a standby, or that does not keep text as
// UTF-8; each connection made later is held to the same, since after a
// failover it may lead to another server. What makes a server less than it
// should be, but not false, is told by DB.Warnings and in the log.
//
// When something fails: a server that is gone, shutting down, full, read-only
// or slow is gateway.Unavailable, a statement that we should not have sent is
// gateway.Internal. When the answer to a COMMIT is lost, Update returns an
// error though the transaction may be there; the rooms' compare-and-swap and
// their single-use rows tell whoever tries again. A COMMIT that the server
// answers with a warning (it waited for its standby in vain) or with ROLLBACK
// is an error too.
//
// The URL names a user and never a password: that is read from a file at each
// connection. A connection pooler that shares sessions between transactions
// must not stand between, since settings and LISTEN belong to a session.
package postgres
