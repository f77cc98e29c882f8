package statement

import (
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Restore lets a suspended scope in again, under a new epoch, as far as its
// first stage. Two people sign the same restoration; each signs a statement of
// his own. One without stays is of the operator's own staff, whose return has
// no stages.
type Restore struct {
	Suspension string         `json:"suspension"`
	Scope      gateway.Scope  `json:"scope"`
	Epoch      uint64         `json:"epoch"`                // the epoch that begins with it
	Report     gateway.Digest `json:"report"`               // SHA-256 of the forensic report on file
	WatchOnly  int64          `json:"watch_only,omitempty"` // shortest stay in the stage, in seconds
	Supervised int64          `json:"supervised,omitempty"` // and in this one
	Reason     string         `json:"reason"`
}

func (b *Restore) Kind() Kind { return KindRestore }

func (b *Restore) Subject() string { return string(b.Scope.Kind) + ":" + b.Scope.Name }

// Staged reports whether the scope comes back in stages.
func (b *Restore) Staged() bool { return b.WatchOnly > 0 }

// Stays are the shortest times that the two signed for.
func (b *Restore) Stays() gateway.Stays {
	return gateway.Stays{WatchOnly: time.Duration(b.WatchOnly) * time.Second, Supervised: time.Duration(b.Supervised) * time.Second}
}

// Sentence implements Body.
func (b *Restore) Sentence() string {
	s := fmt.Sprintf("Restore %s after suspension %s. Forensic report on file: %s. Reason: %s. Epoch %d. Nothing old is opened again; ",
		b.Scope, b.Suspension, b.Report.Short(), strings.TrimRight(b.Reason, "."), b.Epoch)
	if !b.Staged() {
		return s + "its people enrol new keys."
	}
	if b.Scope.Wide() {
		s += "whoever needs it asks anew."
	} else {
		s += "its people enrol new keys."
	}
	return s + fmt.Sprintf(" It begins watch-only, for at least %s; then supervised, for at least %s; then normal. Each step is signed for by itself.", days(b.WatchOnly), days(b.Supervised))
}

// Check implements Body.
func (b *Restore) Check() error {
	if b.Report.IsZero() {
		return gateway.Invalid("report", "a restoration names the digest of the forensic report on file")
	}
	return first(gateway.CheckID("sus", b.Suspension), checkScope(b.Scope), gateway.CheckNeeded("reason", b.Reason, gateway.MaxReason, true), epoch(b.Epoch), b.checkStays())
}

func (b *Restore) checkStays() error {
	const most = int64(gateway.MaxStay / time.Second)
	if b.WatchOnly < 0 || b.Supervised < 0 || (b.WatchOnly == 0) != (b.Supervised == 0) || b.WatchOnly > most || b.Supervised > most {
		return gateway.Invalid("stay", "a restoration states a shortest stay of at most %d days for each of the stages watch-only and supervised", gateway.MaxStay/(24*time.Hour))
	}
	return nil
}

// Advance takes a restored scope to its next stage.
type Advance struct {
	Suspension string         `json:"suspension"` // that the restoration lifted
	Scope      gateway.Scope  `json:"scope"`
	Epoch      uint64         `json:"epoch"` // that the restoration began
	To         gateway.Stage  `json:"to"`
	Previous   gateway.Digest `json:"previous"` // the statement that began the stage which it ends
	Reason     string         `json:"reason"`
}

func (b *Advance) Kind() Kind { return KindAdvance }

func (b *Advance) Subject() string { return string(b.Scope.Kind) + ":" + b.Scope.Name }

// Sentence implements Body.
func (b *Advance) Sentence() string {
	return fmt.Sprintf("Let %s go on to the stage %s after suspension %s. %s Reason: %s. Epoch %d, after %s.",
		b.Scope, b.To, b.Suspension, b.To.Lets(), strings.TrimRight(b.Reason, "."), b.Epoch, b.Previous.Short())
}

// Check implements Body.
func (b *Advance) Check() error {
	switch {
	case b.To != gateway.StageSupervised && b.To != gateway.StageNormal:
		return gateway.Invalid("to", "stage %s is not one of supervised, normal; a restoration itself begins watch-only", gateway.Quote(string(b.To)))
	case b.Previous.IsZero():
		return gateway.Invalid("previous", "a step names the statement that began the stage which it ends")
	}
	return first(gateway.CheckID("sus", b.Suspension), checkScope(b.Scope), gateway.CheckNeeded("reason", b.Reason, gateway.MaxReason, true), epoch(b.Epoch))
}

// days words whole days as such, and any other length as span does.
func days(seconds int64) string {
	const day = int64(24 * time.Hour / time.Second)
	switch {
	case seconds == day:
		return "1 day"
	case seconds > 0 && seconds%day == 0:
		return fmt.Sprintf("%d days", seconds/day)
	}
	return span(seconds)
}
