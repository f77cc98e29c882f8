// Package trusttest is a small world of truly signed facts for tests: a
// machine key, staff, a vendor with an engineer, a target, each with the
// statements and touches that a running gateway would have made.
//
// It owns a store of maps that a test may edit like an attacker edits a
// database. It is used by tests alone; anything that goes wrong in making the
// world fails the test that asked for it.
package trusttest
