// Package identity answers "who are you?": the sign-in, the enrolment of keys,
// and a fresh touch bound to one statement.
//
// It owns logins, FIDO2 authenticators, SSH public keys, invitations and the
// tie between a person and an account at an identity provider. It does not
// own people (package directory), does not decide what somebody may do
// (package policy; package trust holds a signed statement to its chain), and
// opens nothing. The web room calls it for every page, the SSH proxy to learn
// whose key it saw and to wait for a touch.
//
// Three rules hold everywhere in it. What a row says is believed only after
// the chain has verified it. What was made under an older epoch of the person
// or the vendor is dead: logins, keys, invitations. And what is single-use is
// taken before it is judged, so that a second try finds nothing.
//
// Ceremonies that nobody has proven anything for yet (a sign-in begun) are
// carried sealed by the browser and take no memory; drafts, enrolments and
// waiting SSH connections of known people lie in bounded tables and are lost
// with the process: their owner begins again. When the store, the chain or a
// provider does not answer, the answer is no, with the sentence that says so;
// a provider that is down stops nothing but its own button.
package identity
