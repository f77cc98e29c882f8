// Package httpsproxy carries HTTPS: from the engineer's browser to a target's
// console, both legs terminated here (P7), net/http on both, WebSocket by its
// own frames.
//
// It never decides, signs or stores: access, session and the recording do,
// behind the interfaces of parts.go, which cmd joins. It knows no other proxy.
// Each request is judged by the session's abilities on the same bytes of its
// path that are sent, is held while the session is frozen, and passes after its
// record is written; so does each piece of a body and each message (P3). What
// may be kept of it package capture says.
//
// The way of one session:
//
//	page: Open, touch -> Enter: ticket, session.Open, dial, TLS, account proven, Up
//	  -> link https://TARGET.APPS/.portcullis/enter#NODE.SECRET, once, 30 s
//	  -> its page posts the secret -> cookie of that host alone -> 303 to /
//	request: host -> cookie -> session -> judged -> recorded -> target
//	end: both sides' sockets closed at once; the cookie shows the closing page
//
// Whatever is not carried (CONNECT, TRACE, other upgrades, service workers) is
// refused by a page that names the rule, or by a problem (RFC 9457) where a script asks, and
// stands in the recording. Pages are never rewritten: each console has a host
// of its own, so that its paths are its own; Location, Refresh, Set-Cookie and
// the names in Host, Origin and Referer are. Informational answers of a target
// (1xx) but 100 and 101 are not passed on.
//
// When anything behind it fails, the answer is a page and nothing passes. A
// panic of ours ends the session whose bytes found it, and no other.
//
// # Joining
//
// cmd makes one Proxy, calls Server on the http.Server that serves the apps
// domain, has it listen on what Listener returns, and hands the requests for which Hosts says yes to Handler.
// The listener's certificate must be for each console's own name or *.APPS; a
// request whose Host is not the name in SNI gets 421. Run must run until the
// session manager has stopped. Where there are several nodes, cmd asks Node for
// whose a request is and hands it over before Handler sees it. session.Manager
// is a Sessions, session.Live a Live, once their results are wrapped as those
// of sshproxy are; session.Credential's HTTP part has the fields of Credential.
// The gateway's page calls Enter behind the touch, on the node that is to hold
// the session, and sends the browser to the link that it returns.
package httpsproxy
