// Package statement is the text that a person signs by touch.
//
// A statement is canonical JSON (sorted keys, no blanks, RFC 8785 for the
// strings, whole numbers and booleans that we use) holding what is stated, by
// whom, when, a nonce, the digests of the statements that entitle the signer,
// and the sentence that was on the screen. Its SHA-256 is the WebAuthn
// challenge, so what was read is what was signed. The sentence is rendered
// from the body; Parse renders it again and refuses a statement whose sentence
// says something else.
//
// Signed is a statement with its proofs. A proof is a WebAuthn assertion with
// user presence and user verification, or an Ed25519 signature: by the
// machine's own key for what root does at the local socket, or by an
// invitation's key for the first enrolment.
//
// The package is pure: no I/O and no clock. It verifies that a proof belongs
// to a statement and a key; whether that key's holder may state it is for
// package trust.
package statement
