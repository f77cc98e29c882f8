// Package killswitch drops the gate.
//
// A suspension is one signed order. In one transaction it sets the state and
// the next epoch, cancels everything that could let anybody back in, and
// writes the order and its event; only when that is durable are sessions
// ended, here and on the other nodes at once, and the answers counted into
// the report (P4). Whatever cuts it short after the transaction, the epochs in
// the store keep the scope out: Run reads them each second on every node, ends
// what they forbid, and ends all that is of vendors when the store has not
// answered for the length of the lease. Recover finishes the reports that a crash cut short.
//
// Restoring takes two people, a forensic report on file, and a new epoch; it
// opens nothing old.
//
// It does not decide who may suspend (trust does), and knows sessions only
// through a small interface. Pages, the local socket and the bus call it. When
// the store fails before the order is durable nothing has happened and the
// caller is told; afterwards nothing is undone.
package killswitch
