// Package terminal carries a shell to a browser: xterm.js at one end of a
// WebSocket, a shell of the proxy at the other.
//
// It owns the terminals that are open, what each has shown lately, and the
// messages of the socket. It opens nothing itself: Config.Open does, by the
// ticket of the person's touch, and everything between that and the target
// (recording, freeze, gate, window) is the proxy's. Who comes is told by its
// caller, who asks again for as long as a socket is open: a terminal ends with
// the login that opened it.
//
// A socket may be lost and come back within BackWithin, by the same login
// alone. Nothing is lost or doubled by that: both directions are counted in
// bytes, the page says what it has and gets the rest, and a shell that shows
// more than Ahead bytes that no page has acknowledged waits. After BackWithin
// the shell is hung up.
//
// Messages are JSON in text frames, the shell's bytes in binary ones:
//
//	page -> gateway  {"ack":N} {"size":[COLS,ROWS]} {"end":true}, typed bytes
//	gateway -> page  {"hello":…} {"took":N} {"beat":true} {"ended":…}, shown bytes
//
// Serve answers when its socket is closed; Run when every terminal has ended.
package terminal
