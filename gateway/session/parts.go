package session

import (
	"context"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
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
	Recording string // the recording rule that policy set
}

// Credential proves the account to the target. It lives in memory for one
// dial and never reaches the vendor (P7).
type Credential struct {
	Auth []ssh.AuthMethod
}

// Access verifies and mints. Entitle derives everything anew from signed
// bytes (P5); its refusals are *gateway.Error.
type Access interface {
	Entitle(ctx context.Context, grantID string, touch statement.Signed) (Entitlement, error)
	Credential(ctx context.Context, e Entitlement, sessionID string) (Credential, error)
}

// Meta is the header of a recording.
type Meta struct {
	Session, Grant, Request, Person, Vendor, Target, Account, Protocol, Node, Source, Client string

	Started, Until time.Time
	Rule           string
}

// Recorders starts recordings. Start returns after the header is durable.
type Recorders interface {
	Start(ctx context.Context, m Meta) (Recorder, error)
}

// Recorder is one session's recording. All methods may be called from many
// goroutines. Failed sends or closes once when a write or fsync has failed.
// Seal is called once; what comes after it is refused by the recorder.
type Recorder interface {
	Channel(id uint32, kind, command string, pty *Pty) (Track, error)
	Failed() <-chan error
	Seal(reason gateway.EndReason) (Sealed, error)
}

// Track is the recording of one channel. Output returns after the bytes are
// in the journal, not before.
type Track interface {
	Output(stream Stream, p []byte) error
	Input(p []byte) error
	Resize(cols, rows uint32)
	Exit(status *uint32, signal string)
	Note(text string)
}

// Stream says which of the target's two streams bytes came from.
type Stream uint8

// The two streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Pty is the terminal that was asked for.
type Pty struct {
	Term       string
	Cols, Rows uint32
}

// Sealed is what a finished recording weighs.
type Sealed struct {
	Digest            gateway.Digest
	BytesOut, BytesIn int64
	Segments          int
}
