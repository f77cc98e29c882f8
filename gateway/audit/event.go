package audit

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Name says what happened. The list is closed: the OCSF class of each name
// stands in ocsf.go, and an event of another name is refused.
type Name string

// The closed list of event names.
const (
	GatewayStarted  Name = "gateway.started"
	GatewayDraining Name = "gateway.draining" // a restart: nothing new opens, what is live has until its end
	GatewayStopped  Name = "gateway.stopped"

	VendorAdmitted Name = "vendor.admitted" // admitted, changed or removed
	PersonAdmitted Name = "person.admitted"
	TargetDefined  Name = "target.defined"
	PersonInvited  Name = "person.invited"

	KeyEnrolled   Name = "authenticator.enrolled"
	KeyRemoved    Name = "authenticator.removed"
	SSHKeyAdded   Name = "sshkey.added"
	SSHKeyRemoved Name = "sshkey.removed"
	SSHCertIssued Name = "sshcert.issued"
	SSHCertEnded  Name = "sshcert.revoked"
	LoginMade     Name = "login.made"
	LoginRefused  Name = "login.refused"
	LoginEnded    Name = "login.ended"
	TouchRefused  Name = "touch.refused" // an assertion that did not hold

	RequestAsked     Name = "request.asked"
	RequestApproved  Name = "request.approved" // one approval, perhaps not the last
	RequestRefused   Name = "request.refused"  // by an approver
	RequestWithdrawn Name = "request.withdrawn"
	RequestLapsed    Name = "request.lapsed"
	RequestDenied    Name = "request.denied" // by policy or as bad input, before it was written

	GrantMade   Name = "grant.made"
	GrantOpened Name = "grant.opened"
	GrantClosed Name = "grant.closed"
	TicketMade  Name = "ticket.made"
	TicketTaken Name = "ticket.taken"

	SessionOpened   Name = "session.opened" // written before the target is dialled
	SessionLive     Name = "session.live"   // the target let us in
	SessionRefused  Name = "session.refused"
	SessionEnded    Name = "session.ended"
	SessionAlarm    Name = "session.alarm"   // a bound of the session is almost used up
	SessionRoamed   Name = "session.roamed"  // a tunnel's packets come from elsewhere now
	SessionChannel  Name = "session.channel" // a shell or exec began, or a channel was refused
	SessionFrozen   Name = "session.frozen"  // input is held; reason is the word that was said
	SessionThawed   Name = "session.thawed"
	SessionHeld     Name = "session.held"     // supervised, and the last who watched has left: input is held
	SessionReleased Name = "session.released" // supervised, and somebody watches: input passes

	RecordingSealed    Name = "recording.sealed"
	RecordingRecovered Name = "recording.recovered" // found unsealed at the start
	RecordingWatched   Name = "recording.watched"
	RecordingLeft      Name = "recording.left"       // who watched a live session watches no more
	InputRead          Name = "recording.input-read" // what was typed was looked at

	Suspended         Name = "suspension.ordered"
	SuspensionReport  Name = "suspension.report"
	RestorationSigned Name = "restoration.signed" // the first of two
	Restored          Name = "restoration.done"
	StageBegun        Name = "restoration.stage" // the next stage was signed for
	OrderSigned       Name = "order.signed"      // ahead, for whoever hands it in
	OrderUsed         Name = "order.used"
	OrderRefused      Name = "order.refused"
	OrderWithdrawn    Name = "order.withdrawn"
	TokenIssued       Name = "token.issued"
	TokenRemoved      Name = "token.removed"

	SecretRotated Name = "secret.rotated" // somebody says that a target's credential is another now

	ChainBroken Name = "chain.broken" // a row does not have a signed statement behind it
	ClockStep   Name = "clock.stepped"
	ClockOff    Name = "clock.off" // the node's clock has parted from the store's, or (ok) is with it again
	StoreLost   Name = "store.lost"
	SpoolBroken Name = "spool.broken" // something in a node's spool is not what the node wrote, or the store would not have it
)

// Outcome is how it went.
type Outcome string

// The closed list of outcomes.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused"
	Failed  Outcome = "failed"
)

// Event is one line of the audit log before it is encoded. Every field may be
// read by an auditor: nothing secret belongs in any of them.
type Event struct {
	Name       Name
	At         time.Time // when it was decided; the zero time means now
	Actor      string    // person, "machine" (root at the local socket) or "gateway"
	Vendor     string
	Person     string // whom it is about, where that is not the actor
	Target     string
	Account    string
	Request    string
	Grant      string
	Session    string
	Suspension string
	Source     string // address:port, where it came from outside
	Statement  gateway.Digest
	Protocol   gateway.TargetKind // of a session; empty: ssh, or no session
	Outcome    Outcome            // the empty outcome means OK
	Reason     string             // the sentence the person was told, or the end reason
	Rule       string             // the rule that said no
	Detail     map[string]string
}

// Marks is the Detail of SessionEnded that tells, by their marks, which held
// secrets the session was given; blanks between them.
const Marks = "secret_marks"

// Tx appends events inside the transaction that makes the change they
// announce: both become durable, or neither (P9).
type Tx interface {
	Append(Event) error
}

// Entry is one stored line.
type Entry struct {
	Seq  int64          // 0, 1, 2, …: the leaf's index in the log
	Body []byte         // OCSF JSON, exactly the bytes that are hashed
	Leaf gateway.Digest // RFC 6962 leaf hash of Body: SHA-256(0x00 || Body)
}

// Checkpoint is a signed tree head (C2SP tlog-checkpoint), made in the
// transaction that appended the entries below it.
type Checkpoint struct {
	Size int64
	Note []byte // signed note
}
