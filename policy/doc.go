// Package policy answers one question: may this happen?
//
// It owns the Cedar rules, the schema they are held to, and the meaning of
// their annotations. Facts go in, a Verdict with its reasons comes out. It does
// no I/O beyond reading the rules once, keeps no clock, and imports only the
// shared words. Package access asks it about requests, approvals and opening;
// identity asks it about keys; the web and the command line ask it to explain.
//
// Every rule carries an identifier and a reason, which is the sentence that a
// person reads:
//
//	@id("ask-high-impact")
//	@reason("an engineer may ask for a high impact target; two approvers agree")
//	@approvals("2") @roles("approver") @longest("4h") @recording("full") @idle("30m")
//	permit (principal is Person, action == Action::"ask", resource is Target)
//	when { resource.impact == "high" };
//
// The annotations of a permit are obligations. Where several permits say yes,
// the strictest of each obligation counts.
//
// It fails closed. No rule that says yes is a no; a forbid beats every permit;
// and a rule that cannot be evaluated refuses everything, because Cedar skips
// such a rule, and a forbid that is skipped would let in whom it keeps out.
// Separation of duties stands in code, so that no rule can give it away.
package policy
