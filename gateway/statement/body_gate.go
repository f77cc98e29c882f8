package statement

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// Suspend closes a vendor or a person.
type Suspend struct {
	ID     string        `json:"id"`
	Scope  gateway.Scope `json:"scope"`
	Epoch  uint64        `json:"epoch"` // the epoch that begins with it
	Reason string        `json:"reason"`
}

func (b *Suspend) Kind() Kind { return KindSuspend }

func (b *Suspend) Subject() string { return string(b.Scope.Kind) + ":" + b.Scope.Name }

// Sentence implements Body.
func (b *Suspend) Sentence() string {
	return fmt.Sprintf("Suspend %s now: end all sessions and keep all of it out. Reason: %s. Epoch %d.", b.Scope, strings.TrimRight(b.Reason, "."), b.Epoch)
}

// Check implements Body.
func (b *Suspend) Check() error {
	return first(gateway.CheckID("sus", b.ID), checkScope(b.Scope), gateway.CheckNeeded("reason", b.Reason, gateway.MaxReason, true), epoch(b.Epoch))
}

// Restore lets a suspended vendor or person in again, under a new epoch. Two
// people sign the same restoration; each signs a statement of his own.
type Restore struct {
	Suspension string         `json:"suspension"`
	Scope      gateway.Scope  `json:"scope"`
	Epoch      uint64         `json:"epoch"`  // the epoch that begins with it
	Report     gateway.Digest `json:"report"` // SHA-256 of the forensic report on file
	Reason     string         `json:"reason"`
}

func (b *Restore) Kind() Kind { return KindRestore }

func (b *Restore) Subject() string { return string(b.Scope.Kind) + ":" + b.Scope.Name }

// Sentence implements Body.
func (b *Restore) Sentence() string {
	return fmt.Sprintf("Restore %s after suspension %s. Forensic report on file: %s. Reason: %s. Epoch %d. Nothing old is opened again; its people enrol new keys.",
		b.Scope, b.Suspension, b.Report.Short(), strings.TrimRight(b.Reason, "."), b.Epoch)
}

// Check implements Body.
func (b *Restore) Check() error {
	if b.Report.IsZero() {
		return gateway.Invalid("report", "a restoration names the digest of the forensic report on file")
	}
	return first(gateway.CheckID("sus", b.Suspension), checkScope(b.Scope), gateway.CheckNeeded("reason", b.Reason, gateway.MaxReason, true), epoch(b.Epoch))
}

func checkScope(s gateway.Scope) error {
	if s.Kind != gateway.ScopeVendor && s.Kind != gateway.ScopePerson {
		return gateway.Invalid("scope", "scope %s is not one of vendor, person", gateway.Quote(string(s.Kind)))
	}
	return gateway.CheckName(string(s.Kind), s.Name)
}

func epoch(n uint64) error {
	if n < 2 {
		return gateway.Invalid("epoch", "a suspension or restoration begins an epoch of at least 2")
	}
	return nil
}
