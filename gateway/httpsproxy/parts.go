package httpsproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Access brings the touch.
type Access interface {
	// TakeTicket takes a touch that was given ahead in that login; false: there
	// is none.
	TakeTicket(ctx context.Context, p gateway.Person, grantID, login string) (statement.Signed, bool, error)
}

// Accounts knows service accounts: who has proven which key, and what the
// machine states of it. Errors are *gateway.Error; a person beside one has
// proven his key.
type Accounts interface {
	ByCertificate(ctx context.Context, c *x509.Certificate) (gateway.Person, error)
	// ByToken uses the token up.
	ByToken(ctx context.Context, token, audience string) (gateway.Person, error)
	// Opening is the grant that the account would use now, and what takes the
	// place of a touch for one session under it.
	Opening(ctx context.Context, person, target string, proof statement.ServiceProof, source string) (grant string, touch statement.Signed, err error)
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
	Transport string    // empty: a browser's connections come and go
	Source    string    // address:port
	Client    string    // User-Agent, printable
	Until     time.Time // zero: the person was proven by a login's touch, which has no end of its own
}

// Refusal is a person who got no session.
type Refusal struct {
	Person, Vendor, Target, Account, Grant, Source, Rule, Sentence string
}

// Credential proves the account to the target. The proxy holds it while the
// session lives, since every request and every connection proves it anew; it
// never reaches the engineer's browser (P7).
type Credential struct {
	Proof       gateway.ProofKind
	Login       string
	Secret      string           // password, value of the header, token, client secret
	Certificate *tls.Certificate // ProofCertificate, ProofKey
}

// Live is an open session. Its context is cancelled with a *gateway.Ended.
type Live interface {
	ID() string
	Context() context.Context
	Target() gateway.Target
	Account() gateway.Account
	Abilities() gateway.Abilities
	// Credential may be asked again, when a certificate has run out.
	Credential(ctx context.Context) (Credential, error)
	// Attach and AttachClient hand over what the session closes at its end; they
	// refuse once it is ending.
	Attach(c io.Closer) error
	AttachClient(c io.Closer, farewell func(*gateway.Ended)) error
	Up(ctx context.Context) error
	// Channel judges and begins the one channel of the session.
	Channel(ctx context.Context, ch gateway.Channel) (Channel, error)
	// Spend takes bytes that are about to pass off the grant's volume in one
	// direction, which its sessions share. used above limit: they must not
	// pass, and were not taken; limit 0: there is none.
	Spend(in bool, n int) (used, limit int64)
	Refuse(ctx context.Context, what, sentence string) // writes the event
	Notices() <-chan string
	End(reason gateway.EndReason, by, detail string)
	Done() <-chan struct{}
}

// Channel records. Its methods may be called from many goroutines.
type Channel interface {
	// Exchange returns after the record is written. body stands in it for the
	// parts sent, shown and message, and is not kept by the callee. An error
	// means that what the record tells must not pass.
	Exchange(r gateway.HTTPRecord, body []byte) error
	// Exchanges is Exchange for parts of the target's side that pass together.
	Exchanges(pieces ...gateway.HTTPPiece) error
	// Passes says whether a piece may pass that Exchange is not called for. An
	// error means that the session is ending.
	Passes() error
	// Carried counts bytes of bodies and messages that pass: from the engineer,
	// and to him.
	Carried(in, out int)
	// Hold waits while the session is frozen. An error means that it ended.
	Hold() error
	// Exit tells that the channel does not run any more.
	Exit(status *uint32, signal string)
}
