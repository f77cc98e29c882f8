// Package handover brings an HTTP call to the node that can answer it.
//
// Any node takes any call, but what a call is about may lie in the memory or
// on the disk of one node alone: a connection that waits for its touch, a live
// session, a recording. That node's name stands in the call's id or in the
// store's row, and the call is handed to it over a connection of its own
// between the nodes: TLS 1.3, each side proving one of the cluster's machine
// keys, so that no address and no name has to be trusted.
//
// It decides nothing: the node that a call is handed to finds out who calls
// and what he may as if he had called it himself. Where that node does not
// answer nothing of the call is done here instead; the caller is told which
// node it is. A call is handed on once: the node that it came to answers.
//
// What lies on every node, such as a list of what lives, is asked of each of
// them in the caller's name by Ask, and put together by who asked. Again each
// node judges the caller, and who was asked asks nobody.
//
// A node that holds the machine's key can pass for any caller's address and
// for root at the local socket. It could sign as the machine anyway.
package handover
