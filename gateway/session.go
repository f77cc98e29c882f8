package gateway

import "time"

// SessionState is how far a session has come.
type SessionState string

// The closed list of session states.
const (
	SessionStarting SessionState = "starting"
	SessionLive     SessionState = "live"
	SessionEnding   SessionState = "ending"
	SessionEnded    SessionState = "ended"
)

// EndReason is why a session or a grant is over.
type EndReason string

// The closed list of end reasons. Sentence words each for the person in front
// of the terminal.
const (
	EndClientLeft EndReason = "client-left"        // the engineer closed it, or the connection went
	EndTargetLeft EndReason = "target-left"        // the target closed it
	EndWindow     EndReason = "window-ended"       // the grant's time is over
	EndSuspended  EndReason = "suspended"          // vendor, person, target, zone or everybody was suspended
	EndRevoked    EndReason = "revoked"            // the grant was taken back
	EndByStaff    EndReason = "ended-by-staff"     // a person of the staff ended this session
	EndRecorder   EndReason = "recorder-failed"    // nothing unrecorded passes
	EndStore      EndReason = "store-lost"         // the lease ran out without the store
	EndTarget     EndReason = "target-unreachable" // it could not be reached or did not let us in
	EndHostKey    EndReason = "host-key-changed"
	EndIdle       EndReason = "idle"
	EndStopping   EndReason = "gateway-stopping"
	EndCrashed    EndReason = "gateway-crashed" // found open at the next start
	EndNotGranted EndReason = "not-granted"     // the chain behind the grant does not hold
	EndVolume     EndReason = "volume-used"     // as many bytes have passed under the grant as it lets
	EndFault      EndReason = "fault"           // a fault of our own
)

var endSentences = map[EndReason]string{
	EndClientLeft: "you left",
	EndTargetLeft: "the target closed the connection",
	EndWindow:     "the window that was agreed is over; ask for another if the work is not done",
	EndSuspended:  "access was suspended by the operator; call the operator's control room",
	EndRevoked:    "the grant was taken back by the operator; ask who took it back, then ask anew",
	EndByStaff:    "a person of the operator's staff ended this session",
	EndRecorder:   "the session could not be recorded any more, and nothing unrecorded passes; the operator has been told",
	EndStore:      "the gateway lost touch with its store for longer than its lease; try again in a moment",
	EndTarget:     "the target could not be reached or did not let the gateway in; the operator has been told",
	EndHostKey:    "the target showed another host key than the one on file; the operator must look at it before anybody gets in",
	EndIdle:       "nothing was typed or shown for too long",
	EndStopping:   "the gateway is being restarted; connect again in a minute",
	EndCrashed:    "the gateway stopped without warning",
	EndNotGranted: "what stands behind this grant does not hold; ask anew",
	EndVolume:     "as many bytes have passed as were agreed to under this grant; ask for another if the work is not done",
	EndFault:      "something failed inside the gateway; the operator's log has the reason",
}

// Sentence words the reason for the person in front of the terminal.
func (r EndReason) Sentence() string {
	if s, ok := endSentences[r]; ok {
		return s
	}
	return string(r)
}

// Known reports whether r is on the closed list.
func (r EndReason) Known() bool { _, ok := endSentences[r]; return ok }

// Ended is the cause with which a session's context is cancelled. By and
// Detail may be empty; Detail may be shown to the vendor.
type Ended struct {
	Reason EndReason
	By     string
	Detail string
}

// Error returns the sentence that the person reads.
func (e *Ended) Error() string {
	if e.Detail != "" {
		return e.Reason.Sentence() + ": " + e.Detail
	}
	return e.Reason.Sentence()
}

// Session is one live connection under a grant, as the store and the pages
// know it.
type Session struct {
	ID       string       `json:"id"`
	Grant    string       `json:"grant"`
	Request  string       `json:"request"`
	Person   string       `json:"person"`
	Vendor   string       `json:"vendor"`
	Target   string       `json:"target"`
	Zone     string       `json:"zone,omitempty"` // of the target, when the session was opened
	Account  string       `json:"account"`
	Protocol TargetKind   `json:"protocol"`
	Node     string       `json:"node"`
	Source   string       `json:"source"` // address:port the engineer came from
	Client   string       `json:"client"` // what the client calls itself, made printable
	Touch    Digest       `json:"touch"`  // the statement that was signed to open it
	Epochs   Epochs       `json:"epochs"`
	Wide     WideEpochs   `json:"wide_epochs,omitempty"` // when the session was opened
	State    SessionState `json:"state"`
	Started  time.Time    `json:"started"`
	Until    time.Time    `json:"until"`           // the window's end, or of a live one when an order ends it before
	Frozen   time.Time    `json:"frozen,omitzero"` // since when its input is held; zero: it passes
	FrozenBy string       `json:"frozen_by,omitempty"`
	// Supervised: what is typed passes only while somebody of the staff watches.
	// Unwatched is since when nobody does, of one that is live on this node.
	Supervised bool      `json:"supervised,omitempty"`
	Unwatched  time.Time `json:"unwatched,omitzero"`
	// Running are the kinds of the channels that are open now, each once, in the
	// order of the closed list; of a session that is live on this node.
	Running  []ChannelKind `json:"running,omitempty"`
	Ended    time.Time     `json:"ended,omitzero"`
	Reason   EndReason     `json:"reason,omitempty"`
	Detail   string        `json:"detail,omitempty"`
	EndedBy  string        `json:"ended_by,omitempty"`
	BytesIn  int64         `json:"bytes_in"`      // from the engineer
	BytesOut int64         `json:"bytes_out"`     // from the target
	Seal     Digest        `json:"seal,omitzero"` // of the sealed recording
}
