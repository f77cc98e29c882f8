// Package gateway holds the words that all rooms share: vendor, person,
// authenticator, target, account, request, approval, grant, session,
// suspension, and the names, reasons and errors that go with them.
//
// It owns no state and does no I/O; it imports nothing of ours. Whoever reads
// a word here reads the same word in the command line, the API, the pages and
// the audit log.
//
// The data flows one way:
//
//	request -> decision -> approval -> grant -> session -> recording -> audit -> evidence
package gateway
