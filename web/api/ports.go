package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/policy"
)

// Directory answers who and what there is. Lists are ordered by name and hold
// what was removed.
type Directory interface {
	Vendor(ctx context.Context, name string) (gateway.Vendor, error)
	Vendors(ctx context.Context) ([]gateway.Vendor, error)
	Person(ctx context.Context, name string) (gateway.Person, error)
	People(ctx context.Context) ([]gateway.Person, error)
	Target(ctx context.Context, name string) (gateway.Target, error)
	Targets(ctx context.Context) ([]gateway.Target, error)
}

// The API speaks the rooms' own words.
type (
	// AskInput is a request before it is written.
	AskInput = access.AskInput
	// Preview is what would become of it.
	Preview = access.Preview
	// Card is all that belongs to one request.
	Card = access.Card
	// Filter narrows a list of requests or grants.
	Filter = access.Filter
	// Verdict is what policy says.
	Verdict = policy.Verdict
	// SessionFilter narrows a list of sessions.
	SessionFilter = session.Filter
	// Index is what happened in a recording.
	Index = recording.Index
)

// Access asks, agrees and takes back. Its refusals are *gateway.Error and are
// events already when they are returned.
type Access interface {
	Preview(ctx context.Context, p gateway.Person, in AskInput) (Preview, error)
	Ask(ctx context.Context, p gateway.Person, in AskInput) (gateway.Request, error)
	Withdraw(ctx context.Context, p gateway.Person, id string) (gateway.Request, error)
	Refuse(ctx context.Context, by gateway.Person, id, word string) (gateway.Request, error)
	Revoke(ctx context.Context, by gateway.Person, grant, word string) (gateway.Grant, error)
	Request(ctx context.Context, id string) (Card, error)
	Requests(ctx context.Context, f Filter) ([]gateway.Request, error)
	Grant(ctx context.Context, id string) (gateway.Grant, error)
	Grants(ctx context.Context, f Filter) ([]gateway.Grant, error)
}

// Sessions shows, freezes and ends sessions.
type Sessions interface {
	Session(ctx context.Context, id string) (gateway.Session, error)
	Sessions(ctx context.Context, f SessionFilter) ([]gateway.Session, error)
	// Live lists the sessions of this node with their byte counts of now.
	Live() []gateway.Session
	// End returns when both sockets are closed.
	End(ctx context.Context, id, by, detail string) error
	// Freeze holds what the engineer types until Thaw; both are events.
	Freeze(ctx context.Context, id, by, word string) error
	Thaw(ctx context.Context, id, by string) error
	// Watch notes who watches a live session until leave is called.
	Watch(ctx context.Context, id, by string) (leave func(), err error)
	Watchers(id string) []string
}

// Nodes are the other nodes of a cluster.
type Nodes interface {
	// Others names those that can be asked in the name of ctx's caller; none
	// where it is another node that asks.
	Others(ctx context.Context) []string
	// Ask makes a GET of one of them as that caller, who is judged there.
	Ask(ctx context.Context, node, path string) ([]byte, error)
}

// Share reports whether a name may once more, over all nodes together.
type Share interface {
	Allow(ctx context.Context, name string) bool
}

// SuspendPreview is what a suspension would close if it were ordered now.
type SuspendPreview struct {
	Scope    gateway.Scope     `json:"scope"`
	State    gateway.State     `json:"state"`
	Sessions []gateway.Session `json:"sessions"`
	Requests []gateway.Request `json:"requests"`
	Grants   []gateway.Grant   `json:"grants"`
	People   []gateway.Person  `json:"people"`
	Lease    time.Duration     `json:"lease_ns"` // after which a node that hears nothing ends everything by itself
	Nodes    []NodeState       `json:"nodes,omitempty"`
}

// InForce are, of all suspensions newest first, those whose scope is closed: of
// each scope the newest, unless that was lifted.
func InForce(all []gateway.Suspension) []gateway.Suspension {
	var list []gateway.Suspension
	seen := map[gateway.Scope]bool{}
	for _, x := range all {
		if !seen[x.Scope] && x.Lifted.IsZero() {
			list = append(list, x)
		}
		seen[x.Scope] = true
	}
	return list
}

// KillSwitch shows suspensions; ordering one is a signed act.
type KillSwitch interface {
	Preview(ctx context.Context, scope gateway.Scope) (SuspendPreview, error)
	Suspension(ctx context.Context, id string) (gateway.Suspension, error)
	Suspensions(ctx context.Context) ([]gateway.Suspension, error)
	Ladder(ctx context.Context, scope gateway.Scope) (gateway.Ladder, error)
	Stays() gateway.Stays // in the stages of what is restored from now on
}

// RecordingInfo is what is known of a recording without reading it.
type RecordingInfo struct {
	Session     string         `json:"session"`
	Started     time.Time      `json:"started"`
	Length      time.Duration  `json:"length_ns"`
	BytesOut    int64          `json:"bytes_out"`
	BytesIn     int64          `json:"bytes_in"`
	Segments    int            `json:"segments"`
	Sealed      bool           `json:"sealed"`
	Interrupted bool           `json:"interrupted"` // the gateway stopped without warning; sealed at the next start
	TornBytes   int64          `json:"torn_bytes,omitempty"`
	Input       int64          `json:"input,omitempty"` // bytes of the files that hold what was typed, or a tunnel's packets
	Digest      gateway.Digest `json:"digest,omitzero"`
}

// Recordings replays and searches.
type Recordings interface {
	Indexer
	Find(ctx context.Context, session string) (RecordingInfo, error)
	// Asciicast writes the recording as asciicast of version 2 or 3.
	Asciicast(ctx context.Context, w io.Writer, session string, version int) error
	// Input writes what was typed, as asciicast "i" events.
	Input(ctx context.Context, w io.Writer, session string) error
	// HAR writes a console's recording as HTTP Archive 1.2; typed: with the
	// bytes that the engineer's browser sent.
	HAR(ctx context.Context, w io.Writer, session string, typed bool) error
	// Timeline and Visit tell what a console's session did; typed: with the
	// bytes that the engineer's browser sent.
	Timeline(ctx context.Context, session string, q recording.TimelineQuery) (recording.Timeline, error)
	Visit(ctx context.Context, session string, n uint32, typed bool) (recording.VisitDetail, error)
	// FlowLines writes a tunnel's flows as JSON lines, Capture its packets as
	// pcapng, and FlowTimeline answers a page of its flows.
	FlowLines(ctx context.Context, w io.Writer, session string) error
	Capture(ctx context.Context, w io.Writer, session string) error
	FlowTimeline(ctx context.Context, session string, q recording.FlowQuery) (recording.FlowTimeline, error)
	// Follow hands over asciicast lines from the beginning on, header first,
	// as they come, until the recording is sealed or ctx ends.
	Follow(ctx context.Context, session string, line func([]byte) error) error
	// File writes the bytes with that sum which a transfer has moved on that
	// channel.
	File(ctx context.Context, w io.Writer, session string, channel uint32, sum gateway.Digest) error
	Search(ctx context.Context, q RecordingQuery) (Hits, error)
	Verify(ctx context.Context, session string) error
}

// Line is one line of the audit log.
type Line struct {
	Seq   int64
	Event audit.Event
	Body  json.RawMessage // the OCSF JSON that is hashed
}

// Query narrows a search of the log; empty fields do not. Newest first, below
// Before where that is not zero.
type Query struct {
	Text, Name, Vendor, Person, Session string
	From, To                            time.Time
	Before                              int64
	Limit                               int
}

// Verified is the log's word about itself.
type Verified struct {
	Size   int64    `json:"size"`
	Root   string   `json:"root,omitempty"`
	Faults []string `json:"faults"` // each names what is wrong; empty when all holds
}

// Audit reads the log and appends to it.
type Audit interface {
	Search(ctx context.Context, q Query) ([]Line, error)
	// Follow hands over lines as they become durable; the channel is closed
	// when ctx ends or the reader is too slow.
	Follow(ctx context.Context) <-chan Line
	Verify(ctx context.Context) (Verified, error)
	// Append is durable when it returns: what it announces happens after it.
	Append(ctx context.Context, events ...audit.Event) error
}

// Challenge is a statement drawn up for one person, and what the browser
// needs to have it signed.
type Challenge struct {
	ID        string          `json:"id"`
	Sentence  string          `json:"sentence"`
	Statement json.RawMessage `json:"statement"`
	Options   json.RawMessage `json:"options"` // PublicKeyCredentialRequestOptionsJSON
	Expires   time.Time       `json:"expires"`
}

// Touches draws up statements and verifies what comes back signed.
type Touches interface {
	Draft(ctx context.Context, login gateway.Login, p gateway.Person, body statement.Body) (Challenge, error)
	Sign(ctx context.Context, login gateway.Login, id string, credential []byte) (statement.Signed, error)
}

// Act is one signed act: how its statement is drawn up and what is done when
// it is signed. Draft gets a nil login at the local socket, where by is the
// machine. Commit's answer is shown to the signer as JSON.
type Act struct {
	Draft  func(ctx context.Context, by gateway.Person, login *gateway.Login, params json.RawMessage) (statement.Body, error)
	Commit func(ctx context.Context, s statement.Signed) (any, error)
}

// Policy adds to the floor of roles; a nil Policy adds nothing. Object names
// what is touched, as "session:ses_…", and may be empty.
type Policy interface {
	May(ctx context.Context, p gateway.Person, c Capability, object string) error
}

// Config is what a Server is made of. Every field but Policy, Machine,
// Certificates and SSHTouches is needed; without SSHTouches a touch needs a
// browser.
type Config struct {
	Directory  Directory
	Access     Access
	Sessions   Sessions
	KillSwitch KillSwitch
	Recordings Recordings
	Audit      Audit
	Touches    Touches
	SSHTouches SSHTouches
	// Certificates issues SSH certificates; nil: none here.
	Certificates Certificates
	// Tunnels brings tunnels to machines without a browser; nil: none is carried.
	Tunnels Tunnels
	// OutOfBand takes signed orders and tokens; nil: none here.
	OutOfBand OutOfBand
	// Proofs writes proofs of suspensions; nil: none here.
	Proofs Proofs
	// Secrets tells who had the targets' credentials; nil: nobody here.
	Secrets Secrets
	// Nodes are the others of a cluster; nil: this one is alone.
	Nodes Nodes
	// Share holds each network to a limit over all nodes, as touches are held to
	// one here; nil: nobody else counts.
	Share  Share
	Node   string // this one's name
	Policy Policy
	Acts   map[statement.Kind]Act
	// Machine signs for root at the local socket; nil refuses signed acts there.
	Machine func(statement.Body) (statement.Signed, error)
	Now     func() time.Time
	Logger  *slog.Logger
	Version string
}
