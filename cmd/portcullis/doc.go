// Command portcullis is the one binary: the gateway, its sample plant, and the
// commands that talk to a running gateway.
//
// It reads the configuration, wires the rooms and waits; it decides nothing.
// Commands on the same machine talk to the gateway over the local socket
// DATA/portcullis.sock, which takes root and the service's own user only and
// needs neither the web listener, DNS nor an identity provider.
//
// Output rules: what a script may read goes to standard output, as JSON with
// --json; what a person must act on goes to standard error as
// "portcullis: …", followed by a "hint: …" where there is a next step. Exit
// status: 0 done, 1 refused or failed, 2 wrong usage.
package main
