// Package e2e drives the built binary from the outside: a real sshd as the
// target, the stock ssh client, Chromium with a virtual FIDO2 key, a real
// OpenID provider. It imports none of our code (package rig, which it stands
// on, does not either), so that it and the product cannot be wrong together.
//
// The walk test is the whole story once. The others each try to break one
// promise of the design and carry its number. A missing program fails a test;
// nothing is skipped but what a target of the Makefile runs by itself.
package e2e
