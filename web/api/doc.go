// Package api is the JSON face of the gateway under /api/v1: lists of what
// there is, the plain acts (ask, withdraw, refuse, revoke, end a session),
// the signed acts, and a live stream.
//
// One Server answers two doors. At the web listener the actor is whoever the
// login cookie names; at the local socket it is the machine, for root or the
// service user. Which it is decides an Actor, handed in with the handler; the
// routes are the same.
//
// Everything signed goes one way. POST /acts draws up a statement and answers
// the sentence, the statement and the WebAuthn options; POST /acts/{id} takes
// the assertion, verifies it and does what was signed. At the local socket
// the machine's own key signs and the first call does it all.
//
// The package decides nothing but who may look: the floor of roles in may.go.
// What a request, an approval or a suspension needs is asked of the rooms.
// A refusal is a problem document (RFC 9457) with the rule and the next step;
// what was not meant for a vendor's eyes becomes "internal" and goes to the
// operator's log. When a room does not answer, so does the route: 503.
package api
