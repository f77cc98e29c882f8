package session

import (
	"context"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Entitlement is what the verified chain behind a grant lets a session do.
type Entitlement struct {
	Grant     gateway.Grant
	Request   gateway.Request
	Target    gateway.Target
	Account   gateway.Account
	Person    gateway.Person
	Vendor    gateway.Vendor
	Abilities gateway.Abilities
	From, To  time.Time
	Recording string        // the recording rule that policy set
	Idle      time.Duration // an idle session ends after this; zero: DefaultIdle
	// Supervised: what is typed passes only while somebody of the staff watches.
	Supervised bool
}

// Credential proves the account to the target. It lives in memory for one
// dial and never reaches the vendor (P7).
type Credential struct {
	Auth []ssh.AuthMethod        // ssh
	HTTP *gateway.HTTPCredential // https
	Mark string                  // tells held secrets of one account apart; empty of what no file holds
}

// Access verifies and mints. Entitle derives everything anew from signed
// bytes (P5); its refusals are *gateway.Error.
type Access interface {
	Entitle(ctx context.Context, grantID string, touch statement.Signed) (Entitlement, error)
	Credential(ctx context.Context, e Entitlement, sessionID string) (Credential, error)
}

// Recorders starts recordings. Start returns after the header is durable.
type Recorders interface {
	Start(ctx context.Context, m recording.Meta) (Recorder, error)
}

// Recorder is one session's recording; *recording.Recorder, but for what
// Channel returns. All methods may be called from many goroutines. Failed is
// done, with the cause, when a write or fsync has failed. Seal is called once;
// what comes after it is refused by the recorder.
type Recorder interface {
	Channel(id uint32, ch gateway.Channel) (Track, error)
	Note(text string) error
	Failed() context.Context
	Seal(reason gateway.EndReason) (recording.Sealed, error)
}

// Track is the recording of one channel; *recording.Channel is one. Output
// and Input return after the bytes are in the journal, not before.
type Track interface {
	Output(s recording.Stream, p []byte) error
	Input(p []byte) error
	Resize(cols, rows uint32) error
	Exit(status *uint32, signal string) error
	Note(text string) error
	File(f gateway.File) error
	Exchange(r gateway.HTTPRecord, body []byte) error
	Exchanges(pieces ...gateway.HTTPPiece) error
	NetworkFlow(f gateway.NetworkFlow) error
	Packets(batch []gateway.Packet) error
}

// Vault gives the recordings of v as Recorders.
func Vault(v *recording.Vault) Recorders { return vault{v} }

type vault struct{ v *recording.Vault }

func (v vault) Start(ctx context.Context, m recording.Meta) (Recorder, error) {
	r, err := v.v.Start(ctx, m)
	if err != nil {
		return nil, err
	}
	return recorder{r}, nil
}

type recorder struct{ *recording.Recorder }

func (r recorder) Channel(id uint32, ch gateway.Channel) (Track, error) {
	c, err := r.Recorder.Channel(id, ch)
	if err != nil {
		return nil, err
	}
	return c, nil
}
