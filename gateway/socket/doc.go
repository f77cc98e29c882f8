// Package socket ends TCP sockets when hundreds end at once: at once, and
// waiting for nobody, neither for a peer nor for a lock that somebody holds
// over a read or a write, as net.Conn's Close does. The descriptors are left to
// Close, which has nothing to wait for afterwards. It tells what a socket would
// do now, waiting for nothing either.
//
// It knows no session and no protocol. What is no TCP socket of its own, such
// as a connection inside another one, it leaves to Close.
package socket
