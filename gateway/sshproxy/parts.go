package sshproxy

import (
	"context"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Identity says who connects and brings the touch.
type Identity interface {
	// Owner finds whose enrolled key this is. It is asked for keys that are
	// not proven yet too, so it changes nothing.
	Owner(ctx context.Context, key ssh.PublicKey) (gateway.Person, gateway.SSHKey, error)
	// Await puts the connection up for a touch in the browser.
	Await(ctx context.Context, w Waiting) (Pending, error)
}

// Waiting is a connection that waits for a touch.
type Waiting struct {
	Person                      gateway.Person
	Grant                       gateway.Grant
	Request                     gateway.Request
	TransportID, Source, Client string
}

// Pending is the other end of a Waiting.
type Pending struct {
	ID, Code string // in the link; to be compared by eye
	// Wait returns the signed statement, or why there is none.
	Wait  func(ctx context.Context) (statement.Signed, error)
	Close func() // may be called twice
}

// Access knows which grant a connection would be under.
type Access interface {
	Usable(ctx context.Context, p gateway.Person, target, account string) (gateway.Grant, gateway.Request, error)
	// TakeTicket takes a touch that was given ahead; with a login, only one
	// that was given in it.
	TakeTicket(ctx context.Context, p gateway.Person, grantID, login string) (statement.Signed, bool, error)
}

// Sessions opens sessions.
type Sessions interface {
	// Open answers with a *gateway.Error whose sentence the person may read,
	// and has written the event then.
	Open(ctx context.Context, o Opening) (Live, error)
	// Refuse writes the event of a proven person who got no session.
	Refuse(ctx context.Context, r Refusal)
}

// Opening is what is known when a session is asked for.
type Opening struct {
	Touch     statement.Signed
	Ticket    bool
	Person    string
	Grant     string
	Protocol  gateway.TargetKind
	Transport string    // SSH session identifier, hexadecimal
	Source    string    // address:port
	Client    string    // SSH version string of the client, printable
	Until     time.Time // when the certificate that proved the person ends; zero: a key, which does not
}

// Refusal is a connection that got no session.
type Refusal struct {
	Person, Vendor, Target, Account, Grant, Source, Rule, Sentence string
}

// Live is an open session. Its context is cancelled with a *gateway.Ended.
type Live interface {
	ID() string
	Context() context.Context
	Target() gateway.Target
	Account() gateway.Account
	Credential(ctx context.Context) ([]ssh.AuthMethod, error)
	// Attach and AttachClient hand over sockets for the session to close; they
	// refuse once the session is ending.
	Attach(c io.Closer) error
	AttachClient(c io.Closer, farewell func(*gateway.Ended)) error
	// Weak keeps, for the event that Up writes, what was agreed on with the
	// target that is weak.
	Weak(algorithms []string)
	Up(ctx context.Context) error
	// Channel judges and begins one channel.
	Channel(ctx context.Context, ch gateway.Channel) (Channel, error)
	Refuse(ctx context.Context, what, sentence string) // writes the event
	Notices() <-chan string
	// Waits says why input is held before anything begins; empty if it is not.
	Waits() string
	End(reason gateway.EndReason, by, detail string)
	Done() <-chan struct{}
}

// Channel records bytes, then passes them on. Show and Send answer with the
// session's cause once it is ending, and pass nothing then.
type Channel interface {
	Show(stderr bool, p []byte, w io.Writer) error
	Send(p []byte, w io.Writer) error
	// Hold waits while the session is frozen. An error means that it ended.
	Hold() error
	Resize(cols, rows uint32) // records it, also while the session is frozen
	Exit(status *uint32, signal string)
	Note(text string)
	// Judge says whether an operation of a file transfer may happen; File
	// records what became of it.
	Judge(op gateway.FileOp) error
	File(f gateway.File)
}
