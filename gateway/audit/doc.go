// Package audit is what happened: an append-only log of events, each one OCSF
// JSON, hashed into an RFC 6962 Merkle tree whose head is signed in the same
// transaction that appended.
//
//	Event --encode--> Entry (seq, body, leaf) --Tree--> hashes --Sealer--> Checkpoint
//	                                     Verify reads it all back and recomputes it
//
// It owns the words of an event, the mathematics of the log and the signature
// under it. It does not own the rows: package store keeps them and calls Tree
// and Sealer inside its transactions, so an event is durable with the change
// that it announces or not at all (P9), and no entry is ever without a signed
// head above it. Rooms append through their own transaction; events that go
// with no other change go through Log.Append. The pages and the command line
// read through Log.
//
// What happens in live sessions while the store is away is kept by a Spool: a
// file on the node's own disk, each line signed by the machine's key over the
// hash of all before it, durable before the act. It is written to the store in
// its order when the store is back, each event with the time at which it
// happened and marked as spooled, once, whatever crashes meanwhile. A line that
// was edited ends what is believed of it; the rest is kept aside, and an event
// says so. Whoever can write the file can cut lines off its end unnoticed: the
// rows of sessions and the recordings' seals still tell of them.
//
// When something fails: an event that cannot be encoded, hashed or signed
// fails the transaction, and with it the act. Verify never stops at the first
// fault; it names each row that was edited, dropped, reordered or cut off, as
// far as the rest allows, and says so where it does not. A checkpoint kept
// outside the database (CheckpointFile) is the floor below which the log
// cannot be cut without notice. Whoever holds the signing key, the database
// and that file can rewrite the past; a copy of any checkpoint elsewhere still
// convicts them.
package audit
