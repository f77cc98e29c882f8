package statement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Ask is a request's document. It is not signed by the asker; its digest is
// what the approvers sign. Its canonical JSON is kept with the request.
type Ask struct {
	ID              string            `json:"id"`
	Person          string            `json:"person"`
	Vendor          string            `json:"vendor"`
	Target          string            `json:"target"`
	TargetStatement gateway.Digest    `json:"target_statement"`
	Account         string            `json:"account"`
	From            time.Time         `json:"from,omitzero"`
	To              time.Time         `json:"to,omitzero"`
	Seconds         int64             `json:"seconds,omitempty"` // length, where From is zero
	Abilities       gateway.Abilities `json:"abilities"`
	Reason          string            `json:"reason"`
	Ticket          string            `json:"ticket,omitempty"`
	Epochs          gateway.Epochs    `json:"epochs"`
	// Of a service account: who asked in its name, and the pin of the key that it
	// had then.
	Asker string    `json:"asker,omitempty"`
	Key   string    `json:"key,omitempty"`
	Asked time.Time `json:"asked"`
	Lapse time.Time `json:"lapse"`
}

// ParseAsk reads a request's document, strictly and in canonical form only.
func ParseAsk(raw []byte) (Ask, error) {
	var a Ask
	if len(raw) > MaxBytes {
		return a, fmt.Errorf("request document has %d bytes, at most %d are allowed", len(raw), MaxBytes)
	}
	if err := strict(raw, &a); err != nil {
		return a, fmt.Errorf("read request document: %w", err)
	}
	again, err := Canonical(a)
	if err != nil || string(again) != string(raw) {
		return a, fmt.Errorf("request document is not in canonical form")
	}
	return a, nil
}

// Approve agrees to a request, as asked or narrower.
type Approve struct {
	Request   string            `json:"request"`
	Digest    gateway.Digest    `json:"digest"` // of the Ask that was shown
	Person    string            `json:"person"`
	Vendor    string            `json:"vendor"`
	Target    string            `json:"target"`
	Account   string            `json:"account"`
	From      time.Time         `json:"from,omitzero"`
	To        time.Time         `json:"to,omitzero"`
	Seconds   int64             `json:"seconds,omitempty"`
	Lapse     time.Time         `json:"lapse"`
	Abilities gateway.Abilities `json:"abilities"`
	Reason    string            `json:"reason"`
	Narrowed  bool              `json:"narrowed,omitempty"`
	Asker     string            `json:"asker,omitempty"` // of a service account: who asked in its name
	Key       string            `json:"key,omitempty"`   // of a service account: its pin
}

func (b *Approve) Kind() Kind { return KindApprove }

func (b *Approve) Subject() string { return "request:" + b.Request }

// Sentence implements Body.
func (b *Approve) Sentence() string {
	window := fmt.Sprintf("for %s from the moment the last approval is given, which must be before %s", span(b.Seconds), stamp(b.Lapse))
	if !b.From.IsZero() {
		window = fmt.Sprintf("from %s to %s", stamp(b.From), stamp(b.To))
	}
	n := ""
	if b.Narrowed {
		n = " This is narrower than what was asked."
	}
	who := b.Person
	if b.Key != "" {
		who = fmt.Sprintf("service account %s, without a person behind it, for whom %s asked and which proves its key %s,", b.Person, b.Asker, b.Key)
	}
	return fmt.Sprintf("Let %s of vendor %s use %s on %s (%s) %s. Reason given: %s.%s Request %s, digest %s.",
		who, b.Vendor, b.Account, b.Target, strings.Join(b.Abilities.List(), ", "), window, strings.TrimRight(b.Reason, "."), n, b.Request, b.Digest.Short())
}

// Check implements Body.
func (b *Approve) Check() error {
	if b.Digest.IsZero() {
		return gateway.Invalid("digest", "an approval names the digest of the request")
	}
	if b.From.IsZero() != b.To.IsZero() || b.From.IsZero() == (b.Seconds == 0) || b.Seconds < 0 {
		return gateway.Invalid("window", "an approval names either a window or a length")
	}
	if (b.Key == "") != (b.Asker == "") {
		return gateway.Invalid("key", "an approval for a service account names its key and who asked")
	}
	if b.Key != "" {
		if err := first(checkPin(b.Key), gateway.CheckName("asker", b.Asker)); err != nil {
			return err
		}
	}
	return first(gateway.CheckID("req", b.Request), gateway.CheckName("person", b.Person), gateway.CheckName("vendor", b.Vendor),
		gateway.CheckName("target", b.Target), gateway.CheckName("account", b.Account), gateway.CheckNeeded("reason", b.Reason, gateway.MaxReason, true))
}

// BindingKind is the transport that a session is bound to.
type BindingKind string

// The closed list of bindings.
const (
	BindSSH   BindingKind = "ssh"   // the SSH session identifier (RFC 4253 clause 7.2), hexadecimal
	BindLogin BindingKind = "login" // what a ticket was made with: the id of the browser login, or the fingerprint of the SSH security key
	BindPeer  BindingKind = "peer"  // the public key of the one WireGuard peer, as PeerKey reads it
)

// peerShown is how many characters of a peer's key a sentence shows.
const peerShown = 12

// Open opens one session under a grant, on one transport.
type Open struct {
	Grant     string            `json:"grant"`
	Request   gateway.Digest    `json:"request"` // digest of the Ask
	Person    string            `json:"person"`
	Vendor    string            `json:"vendor"`
	Target    string            `json:"target"`
	Account   string            `json:"account"`
	Abilities gateway.Abilities `json:"abilities"`
	From      time.Time         `json:"from"`
	To        time.Time         `json:"to"`
	Binding   BindingKind       `json:"binding"`
	Transport string            `json:"transport"`
	Source    string            `json:"source"`         // where the connection or the browser comes from
	Code      string            `json:"code,omitempty"` // the matching code shown in the terminal
}

func (b *Open) Kind() Kind { return KindOpen }

func (b *Open) Subject() string { return "grant:" + b.Grant }

// Sentence implements Body.
func (b *Open) Sentence() string {
	via := fmt.Sprintf("one SSH connection, made within %s", span(int64(Fresh/time.Second)))
	if len(b.Abilities.Methods) > 0 { // of a console
		via = fmt.Sprintf("one console in the browser of this login, opened within %s", span(int64(Fresh/time.Second)))
	}
	switch b.Binding {
	case BindPeer:
		via = fmt.Sprintf("one WireGuard tunnel of the key %s…, opened within %s", b.Transport[:min(peerShown, len(b.Transport))], span(int64(Fresh/time.Second)))
	case BindSSH:
		via = fmt.Sprintf("the SSH connection from %s that shows the code %s", b.Source, b.Code)
	}
	return fmt.Sprintf("Open a session of %s (vendor %s) as %s on %s (%s), to end by %s, for %s. Grant %s, request digest %s.",
		b.Person, b.Vendor, b.Account, b.Target, strings.Join(b.Abilities.List(), ", "), stamp(b.To), via, b.Grant, b.Request.Short())
}

// ByKey reports whether this is a ticket that an SSH security key signs for,
// without a browser: Transport is its fingerprint, and no login's id looks
// like one.
func (b *Open) ByKey() bool {
	return b.Binding == BindLogin && strings.HasPrefix(b.Transport, "SHA256:")
}

// Check implements Body.
func (b *Open) Check() error {
	if !slices.Contains([]BindingKind{BindSSH, BindLogin, BindPeer}, b.Binding) || b.Transport == "" || len(b.Transport) > 256 {
		return gateway.Invalid("binding", "a session is bound to an SSH connection, to a browser's login or to a WireGuard key")
	}
	if peer := b.Binding == BindPeer; peer != (len(b.Abilities.Flows) > 0) {
		return gateway.Invalid("binding", "a tunnel is bound to its WireGuard key, and nothing else is")
	} else if peer {
		if _, err := PeerKey(b.Transport); err != nil {
			return err
		}
	}
	return first(gateway.CheckID("grt", b.Grant), gateway.CheckName("person", b.Person), gateway.CheckName("vendor", b.Vendor),
		gateway.CheckName("target", b.Target), gateway.CheckName("account", b.Account), when("from", b.From), when("to", b.To),
		gateway.CheckText("transport", b.Transport, 256, false), gateway.CheckText("source", b.Source, 64, false), gateway.CheckText("code", b.Code, 16, false))
}
