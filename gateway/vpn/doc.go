// Package vpn carries networks: WireGuard ends here, in user space, and so does
// every flow inside it (P7). No packet is ever forwarded. What an engineer
// sends is taken apart by a network stack of our own, and what reaches the
// target is a connection that the gateway itself has dialled.
//
// It never decides, signs or stores: session and the recording do, behind the
// interfaces of parts.go, which cmd joins. It knows no other proxy. Each flow
// is judged by the rules of its grant, told to the recording, and only then
// dialled; each packet that the target's rule keeps is in the recording before
// it is delivered, either way (P3). DESIGN.md has the order and the tables.
//
// The way of one session:
//
//	page: Open, touch -> Open: session.Open, addresses, peer added, Up
//	  -> what the client's configuration needs; the private key never comes here
//	packet in: peer -> inner source address -> tunnel -> not cut -> recorded -> stack
//	flow: judged -> told -> dialled -> the client's handshake is completed -> relayed
//	end: marked, nothing passes; flows reset at both ends; peer removed
//
// When anything behind it fails, nothing passes and the session ends. A flow
// that fails ends alone. A panic of ours in a flow ends the session whose bytes
// found it, and no other.
//
// # Joining
//
// cmd makes one Gateway, and Run must run until the session manager has
// stopped. session.Manager is a Sessions, session.Live a Live, once their
// results are wrapped as those of httpsproxy are. The page of a target calls
// Open behind the touch, on the node that is to hold the session, and State for
// what it shows.
package vpn
