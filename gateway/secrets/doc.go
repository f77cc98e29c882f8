// Package secrets tells which sessions were given which of the targets'
// credentials, and so what must be rotated once a vendor is not trusted any
// more.
//
// It owns no state. A secret is what a target's definition says; its age is
// that of its file; its exposures are the sessions that were given it; and a
// rotation is an event of the audit log. What is asked for is worked out anew
// each time, from those four.
//
// A secret is exposed to a session for as long as the session lives: a proxy
// may ask for the credential again. Its engineer never sees it (P7), but the
// target may have shown it, and whoever has broken into his machine was that
// near. So the work-list names what could have been seen, not what was.
//
// It is rotated when somebody of the staff says so and its file bears that
// out: written after the last session that had it was over, and holding
// another secret than each of those sessions was given. The second is told by
// marks (certs.Credential.Mark), keyed hashes that sessions leave in their
// last event: `touch` is no rotation, and neither is going back to an old
// password. What the target itself takes, the gateway cannot see; that is what
// the person vouches for.
//
// It never reads a secret's text. When the store, the log or a file does not
// answer, so does the list; a rotation that cannot be verified is refused.
//
// In a cluster each node has its own copy of the files, and answers for that
// alone.
package secrets
