// Package web serves the pages: server-rendered HTML that works with a
// keyboard, a screen reader, a phone and, but for the touches, without
// JavaScript.
//
// It owns how things look, the cookies, and the protection of a browser
// against other origins. It owns no state and decides nothing: what a person
// may see is package api's floor of roles, and every act is asked of the rooms
// through small interfaces. What needs a signature goes by the API's acts: the
// page's script draws up the statement, shows its sentence, checks that the
// sentence is what the key will sign, and hands in the assertion.
//
// cmd makes one Server and serves its Handler on the web listener. When a room
// does not answer, the page says which and stays closed; a page that cannot
// be rendered whole is not sent at all.
//
//	server.go   routes and wiring          guard.go    headers, origins, logins
//	render.go   templates                  format.go   times, sizes, states in words
//	terminal/   shells in the browser
//	templates/  the pages                  assets/     styles and scripts, bundled by build/ into dist/
package web
