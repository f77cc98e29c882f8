package gateway

import "time"

// Path is a way back in that is tried after a suspension.
type Path string

// The closed list of paths, in the order in which a report shows them. The
// last four are of protocols that are not carried yet: they are named, and not
// tried.
const (
	PathSSHKey         Path = "ssh-key"          // a new connection with an enrolled key
	PathSSHCertificate Path = "ssh-certificate"  // a certificate of `portcullis login`
	PathSSHTouch       Path = "ssh-touch"        // a touch by an SSH security key, without a browser
	PathChannel        Path = "second-channel"   // on a connection that was live
	PathWaiting        Path = "waiting-touch"    // the touch for a connection that waited for one
	PathGrant          Path = "grant"            // opening under a grant of before
	PathTicket         Path = "ticket"           // a touch given ahead, under a grant of before
	PathBrowserShell   Path = "browser-shell"    // a shell in the browser, under a grant of before
	PathGrantRow       Path = "grant-row"        // a grant whose row was put back by hand
	PathClock          Path = "clock-back"       // that, with the clock set back into its window
	PathRequest        Path = "request"          // agreeing now to a request of before
	PathRequestRow     Path = "request-row"      // a request whose row was put back by hand
	PathLogin          Path = "login"            // a browser's cookie of before, its row put back by hand
	PathInvitation     Path = "invitation"       // a link of before, its row put back by hand
	PathStalePage      Path = "stale-page"       // an administrator invites from a page of before
	PathColleague      Path = "colleague"        // a person of the vendor invites another
	PathRows           Path = "rows"             // anything that the order should have cancelled and did not
	PathRestoration    Path = "old-restoration"  // a restoration of an older epoch, handed in again
	PathBackup         Path = "backup"           // a store put back to before the order
	PathOtherVendor    Path = "other-vendor"     // the same human under another vendor
	PathHTTPS          Path = "https"            // cookies, WebSockets, HTTP/2 streams and downloads of an HTTPS target
	PathWireGuard      Path = "wireguard"        // a new handshake, another source, an old configuration
	PathToken          Path = "api-token"        // API tokens, refresh tokens, service accounts
	PathPartition      Path = "partitioned-node" // what a node that is cut off still carries
)

// ProbeResult is what came of trying a path.
type ProbeResult string

// The closed list of results. Only an open path fails a report.
const (
	ProbeRefused  ProbeResult = "refused"        // as often as it was tried
	ProbeOpen     ProbeResult = "open"           // somebody would have been let in
	ProbeNothing  ProbeResult = "nothing to try" // there is no key, grant, request or the like
	ProbeSilent   ProbeResult = "no answer"      // not in time: the report stays PENDING
	ProbeNotTried ProbeResult = "not tried"
	ProbeFinding  ProbeResult = "look" // nothing is open, but somebody should look
)

// Probed is one path with what came of trying it. Where it was tried several
// times, the rule and the sentence are of the first refusal; of an open path
// Subject is what was let in.
type Probed struct {
	Path     Path          `json:"path"`
	Result   ProbeResult   `json:"result"`
	Tried    int           `json:"tried"`
	Left     int           `json:"left,omitempty"` // more of the kind that were not tried, for the bound on one report
	Subject  string        `json:"subject,omitempty"`
	At       time.Time     `json:"at"`
	Took     time.Duration `json:"took_ns"`
	Rule     string        `json:"rule,omitempty"`
	Sentence string        `json:"sentence,omitempty"`
}

// Judged is the verdict that remains of v when the paths are looked at too: an
// open one fails it, and one that did not answer leaves it pending.
func (v Verdict) Judged(probes []Probed) Verdict {
	for _, p := range probes {
		switch {
		case p.Result == ProbeOpen:
			return Fail
		case p.Result == ProbeSilent && v == Pass:
			v = Pending
		}
	}
	return v
}

// Closes are the first and the last close of all sessions that the order
// ended, from the order on; zero where none was.
func (r Report) Closes() (first, last time.Duration) {
	for _, n := range r.Nodes {
		for _, c := range n.Sessions {
			if !c.Closed {
				continue
			}
			if first == 0 || c.After < first {
				first = c.After
			}
			last = max(last, c.After)
		}
	}
	return first, last
}

// Method is how a session was ended or held.
type Method string

// The closed list of methods.
const (
	MethodSockets Method = "both sockets shut"
	MethodHeld    Method = "input held"
	MethodStopped Method = "its node stopped"
)
