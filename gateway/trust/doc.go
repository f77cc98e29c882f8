// Package trust answers what is true of vendors, people, targets and keys,
// however the database was edited.
//
// Every fact is a signed statement, linked by digest to the statements that
// entitle its signer, back to the Ed25519 keys in roots[] of the node's own
// configuration (P5). A row is an index to such a statement: the chain reads
// the row, reads the statement that it names, follows every link, replays the
// suspensions and restorations, and refuses the row when any of it does not
// hold. Check does the same for a statement that is being handed in.
//
// Floor is the one thing the chain remembers outside the database: the newest
// version and epoch that this machine has seen of each record, so that an old
// but truly signed row, fed back, is told from the present one.
//
// It owns no rows and writes nothing but the floor. The rooms directory,
// identity, access and killswitch call it. When a link fails it answers a
// *gateway.Error of code refused and rule "chain" that names the link; when
// the store does not answer, one of code unavailable. It never answers a fact
// that it could not verify. DESIGN.md shows the chain in a picture.
package trust
