package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of one entry.
const (
	MaxBody   = 64 << 10 // bytes of OCSF JSON
	maxField  = 4 << 10  // bytes of one text; what is longer is cut and ends in "…"
	maxDetail = 64       // members of Detail
)

const (
	ocsfVersion = "1.9.0"
	productName = "Portcullis"
)

// class is an OCSF event class: class_uid, and category_uid = class_uid/1000.
type class int

const (
	classFinding   class = 2004 // Detection Finding
	classAuth      class = 3002 // Authentication
	classAuthorize class = 3003 // Authorize Session
	classEntity    class = 3004 // Entity Management
	classUser      class = 3007 // User Management
	classSSH       class = 4007 // SSH Activity
	classTunnel    class = 4014 // Tunnel Activity
	classLifecycle class = 6002 // Application Lifecycle
	classFile      class = 6006 // File Hosting Activity
	classRemedy    class = 7001 // Remediation Activity
)

const activityOther = 99 // the name of the activity then stands in activity_name alone

// face is how one event name looks to an OCSF reader.
type face struct {
	class    class
	activity int
	severity int // OCSF severity_id: 1 informational, 2 low, 3 medium, 4 high, 5 critical
}

// faces is the closed class map: a name that is not here is not an event.
var faces = map[Name]face{
	GatewayStarted: {classLifecycle, 3, 1}, GatewayDraining: {classLifecycle, activityOther, 1}, GatewayStopped: {classLifecycle, 4, 1},

	VendorAdmitted: {classEntity, 3, 2}, TargetDefined: {classEntity, 3, 2}, SecretRotated: {classEntity, 3, 2},
	PersonAdmitted: {classUser, 2, 2}, PersonInvited: {classUser, 4, 2},
	KeyEnrolled: {classUser, 12, 2}, KeyRemoved: {classUser, 13, 2},
	SSHKeyAdded: {classUser, 2, 2}, SSHKeyRemoved: {classUser, 2, 2},
	SSHCertIssued: {classUser, 2, 2}, SSHCertEnded: {classUser, 2, 2},

	LoginMade: {classAuth, 1, 1}, LoginRefused: {classAuth, 1, 3}, LoginEnded: {classAuth, 2, 1},
	TouchRefused: {classAuth, activityOther, 3},

	RequestAsked: {classAuthorize, activityOther, 1}, RequestApproved: {classAuthorize, activityOther, 2},
	RequestRefused: {classAuthorize, activityOther, 1}, RequestWithdrawn: {classAuthorize, activityOther, 1},
	RequestLapsed: {classAuthorize, activityOther, 1}, RequestDenied: {classAuthorize, activityOther, 2},
	GrantMade: {classAuthorize, 1, 2}, GrantOpened: {classAuthorize, 1, 1}, GrantClosed: {classAuthorize, activityOther, 1},
	TicketMade: {classAuthorize, activityOther, 1}, TicketTaken: {classAuthorize, activityOther, 1},

	SessionOpened: {classSSH, 1, 1}, SessionLive: {classSSH, activityOther, 1}, SessionRefused: {classSSH, 5, 3},
	SessionEnded: {classSSH, 2, 1}, SessionChannel: {classSSH, activityOther, 1},
	SessionAlarm: {classSSH, activityOther, 3}, SessionRoamed: {classSSH, activityOther, 1},
	SessionFrozen: {classSSH, activityOther, 3}, SessionThawed: {classSSH, activityOther, 2},
	SessionHeld: {classSSH, activityOther, 2}, SessionReleased: {classSSH, activityOther, 2},

	RecordingSealed: {classFile, 1, 1}, RecordingRecovered: {classFile, 8, 3},
	RecordingWatched: {classFile, 9, 1}, RecordingLeft: {classFile, activityOther, 1}, InputRead: {classFile, 14, 3},

	Suspended: {classRemedy, 2, 5}, SuspensionReport: {classRemedy, 1, 4},
	RestorationSigned: {classRemedy, 3, 3}, Restored: {classRemedy, 3, 4}, StageBegun: {classRemedy, 3, 3},
	OrderSigned: {classRemedy, activityOther, 3}, OrderUsed: {classRemedy, 2, 5}, OrderRefused: {classRemedy, activityOther, 3}, OrderWithdrawn: {classRemedy, activityOther, 3},
	TokenIssued: {classUser, activityOther, 3}, TokenRemoved: {classUser, activityOther, 2},

	ChainBroken: {classFinding, 1, 5}, ClockStep: {classFinding, 1, 3}, ClockOff: {classFinding, 1, 4}, StoreLost: {classFinding, 1, 4}, SpoolBroken: {classFinding, 1, 5},
}

// faceOf is the face of e. A network's session is a tunnel, whose class has
// neither a refusal nor anything but its opening and its end.
func faceOf(e Event) face {
	f := faces[e.Name]
	if f.class == classSSH && e.Protocol == gateway.KindNetwork {
		f.class = classTunnel
		if f.activity > 2 {
			f.activity = activityOther
		}
	}
	return f
}

// Known reports whether n is on the closed list.
func (n Name) Known() bool { _, ok := faces[n]; return ok }

type ocsfBody struct {
	ActivityID   int          `json:"activity_id"`
	ActivityName string       `json:"activity_name"`
	CategoryUID  int          `json:"category_uid"`
	ClassUID     int          `json:"class_uid"`
	TypeUID      int          `json:"type_uid"`
	SeverityID   int          `json:"severity_id"`
	StatusID     int          `json:"status_id"` // 1 success, 2 failure
	StatusCode   string       `json:"status_code,omitempty"`
	StatusDetail string       `json:"status_detail,omitempty"`
	Time         int64        `json:"time"` // Unix milliseconds
	Metadata     ocsfMetadata `json:"metadata"`

	Actor    *ocsfActor    `json:"actor,omitempty"`
	User     *ocsfNamed    `json:"user,omitempty"`
	Session  *ocsfID       `json:"session,omitempty"`
	Source   *ocsfEndpoint `json:"src_endpoint,omitempty"`
	Target   *ocsfEndpoint `json:"dst_endpoint,omitempty"`
	Entity   *ocsfNamed    `json:"entity,omitempty"`
	App      *ocsfNamed    `json:"app,omitempty"`
	File     *ocsfFile     `json:"file,omitempty"`
	Finding  *ocsfFinding  `json:"finding_info,omitempty"`
	Command  string        `json:"command_uid,omitempty"`
	Rights   []string      `json:"privileges,omitempty"`
	Unmapped unmapped      `json:"unmapped"`
}

type (
	ocsfMetadata struct {
		Product  ocsfProduct `json:"product"`
		Version  string      `json:"version"`
		Profiles []string    `json:"profiles"`
		Sequence int64       `json:"sequence"`
		UID      string      `json:"uid"`
	}
	ocsfProduct struct {
		Name   string `json:"name"`
		Vendor string `json:"vendor_name"`
	}
	ocsfActor struct {
		User ocsfNamed `json:"user"`
	}
	ocsfNamed struct {
		Name string `json:"name"`
		Type string `json:"type,omitempty"`
		Org  *struct {
			Name string `json:"name"`
		} `json:"org,omitempty"`
	}
	ocsfID struct {
		UID string `json:"uid"`
	}
	ocsfEndpoint struct {
		Name string `json:"name,omitempty"`
		IP   string `json:"ip,omitempty"`
		Port uint16 `json:"port,omitempty"`
	}
	ocsfFile struct {
		Name string `json:"name"`
		Type int    `json:"type_id"` // 1: regular file
	}
	ocsfFinding struct {
		Title string `json:"title"`
		UID   string `json:"uid"`
	}
	unmapped struct {
		Portcullis *record `json:"portcullis"`
	}
)

// record is the event in our own words; ParseEntry reads nothing else.
type record struct {
	Name       Name               `json:"name"`
	At         int64              `json:"at_us"` // Unix microseconds: OCSF's time has milliseconds only
	Actor      string             `json:"actor,omitempty"`
	Vendor     string             `json:"vendor,omitempty"`
	Person     string             `json:"person,omitempty"`
	Target     string             `json:"target,omitempty"`
	Account    string             `json:"account,omitempty"`
	Request    string             `json:"request,omitempty"`
	Grant      string             `json:"grant,omitempty"`
	Session    string             `json:"session,omitempty"`
	Suspension string             `json:"suspension,omitempty"`
	Source     string             `json:"source,omitempty"`
	Statement  gateway.Digest     `json:"statement,omitzero"`
	Protocol   gateway.TargetKind `json:"protocol,omitempty"`
	Outcome    Outcome            `json:"outcome"`
	Rule       string             `json:"rule,omitempty"`
	Reason     string             `json:"reason,omitempty"`
	Detail     map[string]string  `json:"detail,omitempty"`
}

func recordOf(e Event) *record {
	return &record{
		Name: e.Name, At: e.At.UnixMicro(), Actor: e.Actor, Vendor: e.Vendor, Person: e.Person, Target: e.Target, Account: e.Account,
		Request: e.Request, Grant: e.Grant, Session: e.Session, Suspension: e.Suspension, Source: e.Source, Statement: e.Statement,
		Protocol: e.Protocol, Outcome: e.Outcome, Rule: e.Rule, Reason: e.Reason, Detail: e.Detail,
	}
}

// event reads the event back, and holds it to the closed lists.
func (r *record) event() (Event, error) {
	return Event{
		Name: r.Name, At: time.UnixMicro(r.At).UTC(), Actor: r.Actor, Vendor: r.Vendor, Person: r.Person, Target: r.Target, Account: r.Account,
		Request: r.Request, Grant: r.Grant, Session: r.Session, Suspension: r.Suspension, Source: r.Source, Statement: r.Statement,
		Protocol: r.Protocol, Outcome: r.Outcome, Rule: r.Rule, Reason: r.Reason, Detail: r.Detail,
	}.tidy()
}

// Encode returns the OCSF JSON of e as entry seq of the log. An event of an
// unknown name or outcome, or without a time, is refused: what cannot be told
// must not be done.
func Encode(e Event, seq int64) ([]byte, error) {
	row, err := NewRow(e, seq)
	return row.Body, err
}

// NewRow returns e as it is stored as entry seq of the log; see Encode.
func NewRow(e Event, seq int64) (Row, error) {
	e, err := e.tidy()
	if err != nil {
		return Row{}, err
	}
	body, err := encode(e, seq)
	if err != nil {
		return Row{}, err
	}
	return Row{Entry{Seq: seq, Body: body, Leaf: LeafHash(body)}, KeysOf(e)}, nil
}

func encode(e Event, seq int64) ([]byte, error) {
	f := faceOf(e)
	b := ocsfBody{
		ActivityID: f.activity, ActivityName: string(e.Name), CategoryUID: int(f.class) / 1000, ClassUID: int(f.class),
		TypeUID: int(f.class)*100 + f.activity, SeverityID: f.severity, StatusID: 1, StatusCode: e.Rule, StatusDetail: e.Reason,
		Time: e.At.UnixMilli(),
		Metadata: ocsfMetadata{
			Product: ocsfProduct{productName, productName}, Version: ocsfVersion, Profiles: []string{"record_integrity"},
			Sequence: seq, UID: gateway.NewID("evt", e.At),
		},
		Unmapped: unmapped{recordOf(e)},
	}
	if e.Outcome != OK {
		b.StatusID = 2
	}
	b.dress(e, f.class)
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b); err != nil {
		return nil, fmt.Errorf("encode event %q: %w", e.Name, err)
	}
	body := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if len(body) > MaxBody {
		return nil, fmt.Errorf("encode event %q: %d bytes, at most %d are allowed", e.Name, len(body), MaxBody)
	}
	return body, nil
}

// dress adds the objects that e's class requires or recommends.
func (b *ocsfBody) dress(e Event, c class) {
	if e.Actor != "" {
		b.Actor = &ocsfActor{ocsfNamed{Name: e.Actor}}
	}
	if e.Session != "" {
		b.Session = &ocsfID{e.Session}
	}
	if from, err := netip.ParseAddrPort(e.Source); err == nil {
		b.Source = &ocsfEndpoint{IP: from.Addr().String(), Port: from.Port()}
	} else if e.Source != "" {
		b.Source = &ocsfEndpoint{Name: e.Source}
	}
	if e.Target != "" {
		b.Target = &ocsfEndpoint{Name: e.Target}
	}
	whom := or(e.Person, e.Actor, "unknown")
	switch c {
	case classAuth, classUser, classSSH, classTunnel, classAuthorize:
		b.User = &ocsfNamed{Name: whom}
		if e.Vendor != "" {
			b.User.Org = &struct {
				Name string `json:"name"`
			}{e.Vendor}
		}
		if c == classAuthorize {
			b.Rights = []string{or(e.Account, "any account") + " on " + or(e.Target, "any target")}
		}
	case classEntity:
		b.Entity = &ocsfNamed{Name: or(e.Target, e.Vendor, "unknown"), Type: "vendor"}
		if e.Target != "" {
			b.Entity.Type = "target"
		}
	case classLifecycle:
		b.App = &ocsfNamed{Name: productName}
	case classFile:
		b.File = &ocsfFile{Name: or(e.Session, "recording"), Type: 1}
	case classRemedy:
		b.Command = or(e.Suspension, string(e.Name))
	case classFinding:
		b.Finding = &ocsfFinding{Title: or(e.Reason, string(e.Name)), UID: b.Metadata.UID}
	}
}

// tidy holds e to the closed lists and cuts what is too long, so that long
// input from outside cannot keep its own refusal out of the log.
func (e Event) tidy() (Event, error) {
	if e.Outcome == "" {
		e.Outcome = OK
	}
	if !e.Name.Known() {
		return e, fmt.Errorf("event %q is not on the closed list of names", e.Name)
	}
	if e.Outcome != OK && e.Outcome != Refused && e.Outcome != Failed {
		return e, fmt.Errorf("event %q: outcome %q is not on the closed list", e.Name, e.Outcome)
	}
	if e.At.IsZero() {
		return e, fmt.Errorf("event %q has no time", e.Name)
	}
	if len(e.Detail) > maxDetail {
		return e, fmt.Errorf("event %q has %d details, at most %d are allowed", e.Name, len(e.Detail), maxDetail)
	}
	e.At = gateway.Instant(e.At)
	for _, s := range []*string{&e.Actor, &e.Vendor, &e.Person, &e.Target, &e.Account, &e.Request, &e.Grant, &e.Session, &e.Suspension, &e.Source, &e.Rule, &e.Reason} {
		*s = clip(*s)
	}
	if len(e.Detail) == 0 {
		e.Detail = nil
		return e, nil
	}
	e.Detail = maps.Clone(e.Detail)
	for k, v := range e.Detail {
		e.Detail[k] = clip(v)
	}
	return e, nil
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= maxField {
		return s
	}
	cut := maxField
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// ParseEntry reads the event back from an entry's body. It takes what Encode
// of this or an older version wrote: the members of OCSF may differ, ours may
// not.
func ParseEntry(body []byte) (Event, error) {
	e, _, err := parse(body)
	return e, err
}

// Event reads the event back.
func (e Entry) Event() (Event, error) { return ParseEntry(e.Body) }

// parse is ParseEntry with the sequence number that stands inside the body.
func parse(body []byte) (Event, int64, error) {
	if len(body) > MaxBody {
		return Event{}, 0, fmt.Errorf("entry has %d bytes, at most %d are allowed", len(body), MaxBody)
	}
	var b struct {
		Metadata struct {
			Sequence *int64 `json:"sequence"`
		} `json:"metadata"`
		Unmapped unmapped `json:"unmapped"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&b); err != nil {
		return Event{}, 0, fmt.Errorf("read entry: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Event{}, 0, errors.New("read entry: something follows the event")
	}
	r := b.Unmapped.Portcullis
	if r == nil || b.Metadata.Sequence == nil || *b.Metadata.Sequence < 0 {
		return Event{}, 0, errors.New("read entry: it is OCSF, but not an event of this log")
	}
	e, err := r.event()
	if err != nil {
		return Event{}, 0, fmt.Errorf("read entry: %w", err)
	}
	return e, *b.Metadata.Sequence, nil
}

func or(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
