// Package access decides until when: a request is asked, others agree by
// touch, a grant opens, and it closes.
//
//	asked -> waiting -+-> granted: planned -> open -> closed
//	                  +-> refused, withdrawn, lapsed, cancelled
//
// It owns requests, approvals, grants and tickets, and alone writes them (a
// suspension cancels them in the kill switch's own transaction). It alone asks
// package policy about them and takes credentials from certs. The web, the API
// and the local socket ask, agree and take back; the proxies ask what is
// usable; session asks Entitle, which is the check of P5.
//
// Nothing that a row says is believed. A request's document has the digest
// that the approvers signed; the approvals are signed statements; the grant
// is derived from both, its identifier included. Entitle derives it again,
// with the roles, target, epochs and policy of now, and refuses a row that
// says anything else, with a chain.broken event.
//
// Races are decided in the store by compare-and-swap: one of two wins and the
// other is told who was first. Each change and its event are one transaction.
// When the store, the chain or the policy does not answer, the answer is no.
// Run keeps the time: it opens planned grants, closes ended ones, and lapses
// requests; without it nothing opens early or stays open late, since every
// check looks at the clock itself.
package access
