// Package capture turns what passes over HTTP into what may be kept of it.
//
// It is pure: bytes in, records out; it reaches nothing that the bytes could
// steer. Whatever is secret by its name (Authorization, cookies, tokens,
// passwords, and what the target's definition names) is replaced by a keyed
// digest before anything is written: in header fields, query parameters, forms
// and JSON. The key is made for one session and never leaves it, so that
// within the recording two values can be seen to be equal, and none can be
// guessed at from outside.
//
// The account's own secret is not known by a name but by its bytes: a Scrubber
// replaces each of its spellings by asterisks of the same length, in what is
// recorded and in what is shown.
//
// What it cannot read it keeps nothing of but length and SHA-256. Nothing
// here fails: input that is no JSON or no form gives a worse record and never
// an error.
package capture
