package transfer

import (
	"strings"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
)

// Sink judges file operations and hears what became of them. Its methods are
// called from the goroutines that call the Tap, one at a time.
type Sink interface {
	// Judge says whether an operation may happen; a *gateway.Error's sentence
	// is shown to the engineer.
	Judge(op gateway.FileOp) error
	File(f gateway.File)
}

// Tap reads along with one channel that moves files. Client and Target are
// each called by one goroutine, with the bytes in their order; p is not kept. What may
// pass is given to forward, whose error comes back. Any error ends the channel:
// nothing may pass after it.
type Tap interface {
	Client(p []byte, forward func([]byte) error) error
	Target(p []byte, forward func([]byte) error) error
	// Close tells the Sink of what did not come to its end. It is called once,
	// after the last Client and Target have returned.
	Close()
}

// New returns the tap of a channel, or nil when it moves no files. What it
// answers to the client in the target's place goes to reply, never in the
// middle of a forward towards the client.
func New(ch gateway.Channel, s Sink, reply func([]byte) error) Tap {
	switch ch.Kind {
	case gateway.ChannelSFTP:
		return newSFTP(s, reply)
	case gateway.ChannelSCP:
		return newSCP(ch, s)
	case gateway.ChannelRsync, gateway.ChannelGit:
		return newStream(ch, s)
	}
	return nil
}

// rule names this room in the errors that end a channel.
const rule = "transfer"

func broken(format string, args ...any) error {
	return gateway.Refused(rule, "try again with another client, or ask for the ability to run commands", format, args...)
}

// sentence is what an engineer may read of a refusal.
func sentence(err error) string { return gateway.AsError(err).Sentence() }

// clean makes outside text fit for an index: valid UTF-8, no longer than max.
func clean(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
