// Package rig is what the end-to-end tests and the bench stand on: a real
// sshd (Plant), the built binary (Gateway), the stock ssh client in a
// pseudo-terminal (Terminal), a FIDO2 key in software (Key), a person who uses
// the pages' own requests with it (Person), and a plant and sites in network
// namespaces of their own (Lab), which need root.
//
// It imports nothing of ours: what it knows of the gateway is what a script
// on the outside could know. It starts only processes that it stops again,
// listens on loopback and inside a Lab alone, and bounds every wait. An error from it means
// that the stage could not be built, never that a promise was broken.
package rig
