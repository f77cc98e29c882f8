package vpn

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Sessions opens sessions.
type Sessions interface {
	// Open answers with a *gateway.Error whose sentence the person may read,
	// and has written the event then. It refuses a key that was used before.
	Open(ctx context.Context, o Opening) (Live, error)
}

// Opening is what is known when a session is asked for.
type Opening struct {
	Touch     statement.Signed
	Ticket    bool
	Person    string
	Grant     string
	Protocol  gateway.TargetKind
	Transport string    // the peer's public key, base64
	Source    string    // address:port
	Client    string    // what the client calls itself, printable
	Until     time.Time // zero: the person was proven by a login's touch, which has no end of its own
}

// Live is an open session. Its context is cancelled with a *gateway.Ended.
type Live interface {
	ID() string
	Context() context.Context
	Target() gateway.Target
	Abilities() gateway.Abilities
	Until() time.Time
	// Sources are the networks that the peer's packets may come from; none means any.
	Sources() []netip.Prefix
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
	// Refuse writes the event of a flow that did not pass; Alarm that something
	// is about to; Roamed that the peer's packets come from elsewhere now. All
	// may be called often, and bound what they write.
	Refuse(ctx context.Context, what, sentence string)
	Alarm(ctx context.Context, what, sentence string)
	Roamed(ctx context.Context, from, to netip.AddrPort)
	Notices() <-chan string
	End(reason gateway.EndReason, by, detail string)
	Done() <-chan struct{}
}

// Channel records. Its methods may be called from many goroutines.
type Channel interface {
	// NetworkFlow returns after the record is written. An error means that
	// nothing of the flow may pass.
	NetworkFlow(f gateway.NetworkFlow) error
	// Packets returns after all of them are written; it keeps nothing of their
	// Data. An error means that none of them may be delivered.
	Packets(batch []gateway.Packet) error
	// Carried counts bytes of payload that pass: from the engineer, and to him.
	Carried(in, out int)
	// Hold waits while the session is frozen. An error means that it ended.
	Hold() error
	// Frozen reports whether the session is.
	Frozen() bool
	// Exit tells that the channel does not run any more.
	Exit(status *uint32, signal string)
}
