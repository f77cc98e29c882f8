// Package sshproxy carries SSH: from the engineer's client to the target, both
// legs terminated here (P7), golang.org/x/crypto/ssh on both.
//
// It learns who connects from the finished handshake and nothing else, asks
// for the touch by link and code where no ticket waits, and then carries
// shells and commands with their terminal, signals and exit, file transfers,
// which package transfer reads along, and forwards. It never decides,
// signs or stores: identity, access and session do, behind the interfaces of
// parts.go, which cmd joins. Every byte of either side goes through the
// session's Channel, which writes it to the recording first.
//
// The way of one connection:
//
//	accept -> key proven -> ticket? --yes----------------------> session.Open
//	             |             \--no--> asked, or held: touch --/     |
//	             \- jumped from: inner SSH, key proven ...  dial, host key, account
//	                                                                |
//	                                            channels, each judged at its opening
//
// Whatever is not carried (forwarding from the target, sockets, agent, X11,
// subsystems but sftp) is refused with a sentence and an event, and leaves the
// rest of the connection alone. When anything behind it fails, the connection gets
// a sentence and ends; nothing passes. A panic of ours ends the connection whose
// bytes found it, and its session, and no other. Serve returns after every connection
// has ended and every goroutine with it.
package sshproxy
