// Package evidence shows an outsider.
//
// It makes files that stand without the gateway, and verifies them offline:
// an in-toto statement in a DSSE envelope, signed by the machine's Ed25519
// key. The only kind so far is the proof of a suspension. A file is believed
// for its signature by one of the roots that the verifier brings along, never
// for a key that it names itself; whatever is not to the letter what this
// package writes is refused, and the refusal names what.
//
// It reads no store and no clock, knows no room, and decides nothing: what a
// proof says is gathered by whoever joins the rooms.
package evidence
