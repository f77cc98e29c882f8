package statement

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

var bodies = map[Kind]func() Body{
	KindVendor:    func() Body { return new(VendorAdmit) },
	KindPerson:    func() Body { return new(PersonAdmit) },
	KindTarget:    func() Body { return new(TargetDefine) },
	KindInvite:    func() Body { return new(Invite) },
	KindEnrol:     func() Body { return new(Enrol) },
	KindKeyRemove: func() Body { return new(KeyRemove) },
	KindSSHKey:    func() Body { return new(SSHKeyAdd) },
	KindSSHRemove: func() Body { return new(SSHKeyRemove) },
	KindApprove:   func() Body { return new(Approve) },
	KindOpen:      func() Body { return new(Open) },
	KindSuspend:   func() Body { return new(Suspend) },
	KindRestore:   func() Body { return new(Restore) },
}

// VendorAdmit admits a vendor, changes what is on file, or removes it.
type VendorAdmit struct {
	Name     string         `json:"name"`
	Title    string         `json:"title"`
	Networks []netip.Prefix `json:"networks,omitempty"`
	Contact  string         `json:"contact,omitempty"`
	Contract string         `json:"contract,omitempty"`
	Version  uint64         `json:"version"`           // 1, then one more with each change
	Previous gateway.Digest `json:"previous,omitzero"` // the statement that this one replaces
	Removed  bool           `json:"removed,omitempty"`
}

func (b *VendorAdmit) Kind() Kind      { return KindVendor }
func (b *VendorAdmit) Subject() string { return "vendor:" + b.Name }

// Sentence implements Body.
func (b *VendorAdmit) Sentence() string {
	if b.Removed {
		return fmt.Sprintf("Remove vendor %s (%s) for good. Version %d.", b.Name, b.Title, b.Version)
	}
	s := fmt.Sprintf("Admit vendor %s (%s).", b.Name, b.Title)
	if len(b.Networks) > 0 {
		s += " Its people connect from " + joined(b.Networks) + "."
	} else {
		s += " Its people connect from any network."
	}
	if b.Contact != "" {
		s += " Contact: " + b.Contact + "."
	}
	if b.Contract != "" {
		s += " Contract: " + b.Contract + "."
	}
	return s + fmt.Sprintf(" Version %d.", b.Version)
}

// Check implements Body.
func (b *VendorAdmit) Check() error {
	return first(gateway.CheckName("vendor", b.Name), gateway.CheckNeeded("title", b.Title, gateway.MaxTitle, false),
		gateway.CheckText("contact", b.Contact, gateway.MaxTitle, false), gateway.CheckText("contract", b.Contract, gateway.MaxReason, true),
		version(b.Version, b.Previous), bounded("networks", len(b.Networks), 64))
}

// PersonAdmit admits a person with roles, changes them, or removes the person.
type PersonAdmit struct {
	Name     string         `json:"name"`
	Title    string         `json:"title"`
	Email    string         `json:"email,omitempty"`
	Vendor   string         `json:"vendor,omitempty"` // empty: the operator's staff
	Roles    []gateway.Role `json:"roles"`
	Version  uint64         `json:"version"`
	Previous gateway.Digest `json:"previous,omitzero"`
	Removed  bool           `json:"removed,omitempty"`
}

func (b *PersonAdmit) Kind() Kind      { return KindPerson }
func (b *PersonAdmit) Subject() string { return "person:" + b.Name }

// Sentence implements Body.
func (b *PersonAdmit) Sentence() string {
	of := "of the staff"
	if b.Vendor != "" {
		of = "of vendor " + b.Vendor
	}
	mail := ""
	if b.Email != "" {
		mail = ", " + b.Email
	}
	if b.Removed {
		return fmt.Sprintf("Remove %s (%s), %s, for good. Version %d.", b.Name, b.Title, of, b.Version)
	}
	return fmt.Sprintf("Admit %s (%s%s), %s, as %s. Version %d.", b.Name, b.Title, mail, of, joined(b.Roles), b.Version)
}

// Check implements Body.
func (b *PersonAdmit) Check() error {
	if b.Name == Machine {
		return gateway.Invalid("person", "the name %q stands for the machine itself; choose another", Machine)
	}
	allowed, half := gateway.StaffRoles, "the staff"
	if b.Vendor != "" {
		allowed, half = gateway.VendorRoles, "a vendor"
		if err := gateway.CheckName("vendor", b.Vendor); err != nil {
			return err
		}
	}
	if len(b.Roles) == 0 && !b.Removed {
		return gateway.Invalid("roles", "%s has no role; a person of %s is any of: %s", b.Name, half, joined(allowed))
	}
	for i, r := range b.Roles {
		if !slices.Contains(allowed, r) {
			return gateway.Invalid("roles", "role %s is not one of %s's roles: %s", gateway.Quote(string(r)), half, joined(allowed))
		}
		if slices.Contains(b.Roles[:i], r) {
			return gateway.Invalid("roles", "role %s stands twice", r)
		}
	}
	return first(gateway.CheckName("person", b.Name), gateway.CheckNeeded("title", b.Title, gateway.MaxTitle, false),
		email(b.Email), version(b.Version, b.Previous))
}

// TargetDefine defines a target, changes it, or removes it.
type TargetDefine struct {
	Name     string             `json:"name"`
	Title    string             `json:"title"`
	Kind_    gateway.TargetKind `json:"kind"`
	Address  string             `json:"address"`
	Zone     string             `json:"zone"`
	Impact   gateway.Impact     `json:"impact"`
	Owner    string             `json:"owner,omitempty"`
	Vendors  []string           `json:"vendors"`
	HostKeys []string           `json:"host_keys"`
	Accounts []gateway.Account  `json:"accounts"`
	Version  uint64             `json:"version"`
	Previous gateway.Digest     `json:"previous,omitzero"`
	Removed  bool               `json:"removed,omitempty"`
}

func (b *TargetDefine) Kind() Kind      { return KindTarget }
func (b *TargetDefine) Subject() string { return "target:" + b.Name }

// Sentence implements Body.
func (b *TargetDefine) Sentence() string {
	if b.Removed {
		return fmt.Sprintf("Remove target %s (%s) for good. Version %d.", b.Name, b.Title, b.Version)
	}
	var acc []string
	for _, a := range b.Accounts {
		s := fmt.Sprintf("%s (user %s by %s", a.Name, a.Login, a.Proof)
		if a.SecretFile != "" {
			s += " from " + a.SecretFile
		}
		acc = append(acc, s+")")
	}
	var keys []string
	for _, k := range b.HostKeys {
		keys = append(keys, hostKeyName(k))
	}
	owner := ""
	if b.Owner != "" {
		owner = ", owned by " + b.Owner
	}
	return fmt.Sprintf("Define target %s (%s): %s at %s, zone %s, impact %s%s. Asked for by people of %s. Accounts: %s. Host keys: %s. Version %d.",
		b.Name, b.Title, b.Kind_, b.Address, b.Zone, b.Impact, owner, orNobody(b.Vendors), strings.Join(acc, ", "), strings.Join(keys, ", "), b.Version)
}

// Check implements Body.
func (b *TargetDefine) Check() error {
	if b.Kind_ != gateway.KindSSH {
		return gateway.Invalid("kind", "kind %s is not carried by this version; ssh is", gateway.Quote(string(b.Kind_)))
	}
	if !slices.Contains([]gateway.Impact{gateway.Low, gateway.Medium, gateway.High}, b.Impact) {
		return gateway.Invalid("impact", "impact %s is not one of low, medium, high", gateway.Quote(string(b.Impact)))
	}
	if err := first(gateway.CheckName("target", b.Name), gateway.CheckNeeded("title", b.Title, gateway.MaxTitle, false), address(b.Address),
		gateway.CheckName("zone", b.Zone), version(b.Version, b.Previous), bounded("accounts", len(b.Accounts), 32),
		bounded("host_keys", len(b.HostKeys), 32), bounded("vendors", len(b.Vendors), 256)); err != nil {
		return err
	}
	if b.Owner != "" {
		if err := gateway.CheckName("owner", b.Owner); err != nil {
			return err
		}
	}
	if len(b.Accounts) == 0 && !b.Removed {
		return gateway.Invalid("accounts", "target %s has no account; a session needs one", b.Name)
	}
	if len(b.HostKeys) == 0 && !b.Removed {
		return gateway.Invalid("host_keys", "target %s has no host key; pin one, as `ssh-keyscan` prints it and the target's owner confirms it, or a certificate authority as \"@cert-authority KEY\"", b.Name)
	}
	for _, v := range b.Vendors {
		if err := gateway.CheckName("vendor", v); err != nil {
			return err
		}
	}
	for _, k := range b.HostKeys {
		if err := checkHostKey(k); err != nil {
			return err
		}
	}
	for i, a := range b.Accounts {
		if err := first(gateway.CheckName("account", a.Name), gateway.CheckLogin(a.Login), secret(a)); err != nil {
			return err
		}
		if slices.ContainsFunc(b.Accounts[:i], func(o gateway.Account) bool { return o.Name == a.Name }) {
			return gateway.Invalid("accounts", "account %s stands twice in target %s", a.Name, b.Name)
		}
	}
	return nil
}

// Invite lets one person enrol a first key within its time.
type Invite struct {
	ID        string         `json:"id"`
	Person    string         `json:"person"`
	PublicKey []byte         `json:"public_key"` // Ed25519; its seed is the token in the link
	Epochs    gateway.Epochs `json:"epochs"`
	Expires   time.Time      `json:"expires"`
}

func (b *Invite) Kind() Kind      { return KindInvite }
func (b *Invite) Subject() string { return "invitation:" + b.ID }

// Sentence implements Body.
func (b *Invite) Sentence() string {
	return fmt.Sprintf("Invite %s to enrol a first key until %s.", b.Person, stamp(b.Expires))
}

// Check implements Body.
func (b *Invite) Check() error {
	if len(b.PublicKey) != ed25519.PublicKeySize {
		return gateway.Invalid("public_key", "an invitation's key has %d bytes", ed25519.PublicKeySize)
	}
	return first(gateway.CheckID("inv", b.ID), gateway.CheckName("person", b.Person), when("expires", b.Expires))
}

// Enrol enrols a FIDO2 key. It is signed by the new key itself and by what
// lets it in: the invitation's key, or a key that the person has enrolled
// before.
type Enrol struct {
	Credential     string         `json:"credential"`
	PublicKey      []byte         `json:"public_key"` // COSE_Key
	AAGUID         string         `json:"aaguid"`
	Format         string         `json:"format"`
	Attestation    string         `json:"attestation"`
	BackupEligible bool           `json:"backup_eligible"`
	Person         string         `json:"person"`
	Label          string         `json:"label"`
	Epochs         gateway.Epochs `json:"epochs"`
	Invitation     string         `json:"invitation,omitempty"` // empty: let in by a key enrolled before
}

func (b *Enrol) Kind() Kind      { return KindEnrol }
func (b *Enrol) Subject() string { return "authenticator:" + b.Credential }

// Sentence implements Body.
func (b *Enrol) Sentence() string {
	kind := "a key that cannot be copied"
	if b.BackupEligible {
		kind = "a key that can be copied to other devices"
	}
	by := "let in by a key of the same person"
	if b.Invitation != "" {
		by = "let in by invitation " + b.Invitation
	}
	return fmt.Sprintf("Enrol key %q for %s: model %s, attestation %s (%s), %s, %s.", b.Label, b.Person, b.AAGUID, b.Format, b.Attestation, kind, by)
}

// Check implements Body.
func (b *Enrol) Check() error {
	id, err := base64.RawURLEncoding.Strict().DecodeString(b.Credential)
	if err != nil || len(id) < 16 || len(id) > 1023 {
		return gateway.Invalid("credential", "a credential id is the base64url of 16 to 1023 bytes")
	}
	if len(b.PublicKey) == 0 || len(b.PublicKey) > 2048 {
		return gateway.Invalid("public_key", "the public key has %d bytes; 1 to 2048 are allowed", len(b.PublicKey))
	}
	if b.Invitation != "" {
		if err := gateway.CheckID("inv", b.Invitation); err != nil {
			return err
		}
	}
	return first(gateway.CheckName("person", b.Person), gateway.CheckNeeded("label", b.Label, gateway.MaxTitle, false),
		gateway.CheckText("aaguid", b.AAGUID, 36, false), gateway.CheckText("format", b.Format, 32, false), gateway.CheckText("attestation", b.Attestation, 32, false))
}

// KeyRemove removes a FIDO2 key.
type KeyRemove struct {
	Credential string `json:"credential"`
	Person     string `json:"person"`
	Label      string `json:"label"`
}

func (b *KeyRemove) Kind() Kind      { return KindKeyRemove }
func (b *KeyRemove) Subject() string { return "authenticator:" + b.Credential }
func (b *KeyRemove) Sentence() string {
	return fmt.Sprintf("Remove key %q of %s for good.", b.Label, b.Person)
}

// Check implements Body.
func (b *KeyRemove) Check() error {
	return first(gateway.CheckName("person", b.Person), gateway.CheckNeeded("label", b.Label, gateway.MaxTitle, false),
		gateway.CheckNeeded("credential", b.Credential, 1400, false))
}

// SSHKeyAdd adds an SSH public key, which says who connects.
type SSHKeyAdd struct {
	Fingerprint string         `json:"fingerprint"`
	Key         string         `json:"key"`
	Person      string         `json:"person"`
	Label       string         `json:"label"`
	Epochs      gateway.Epochs `json:"epochs"`
}

func (b *SSHKeyAdd) Kind() Kind      { return KindSSHKey }
func (b *SSHKeyAdd) Subject() string { return "sshkey:" + b.Fingerprint }

// Sentence implements Body.
func (b *SSHKeyAdd) Sentence() string {
	return fmt.Sprintf("Add SSH key %q (%s) for %s.", b.Label, b.Fingerprint, b.Person)
}

// Check implements Body.
func (b *SSHKeyAdd) Check() error {
	return first(gateway.CheckName("person", b.Person), gateway.CheckNeeded("label", b.Label, gateway.MaxTitle, false), checkSSHKey(b.Key, b.Fingerprint))
}

// SSHKeyRemove removes an SSH public key.
type SSHKeyRemove struct {
	Fingerprint string `json:"fingerprint"`
	Person      string `json:"person"`
	Label       string `json:"label"`
}

func (b *SSHKeyRemove) Kind() Kind      { return KindSSHRemove }
func (b *SSHKeyRemove) Subject() string { return "sshkey:" + b.Fingerprint }

// Sentence implements Body.
func (b *SSHKeyRemove) Sentence() string {
	return fmt.Sprintf("Remove SSH key %q (%s) of %s.", b.Label, b.Fingerprint, b.Person)
}

// Check implements Body.
func (b *SSHKeyRemove) Check() error {
	return first(gateway.CheckName("person", b.Person), gateway.CheckNeeded("label", b.Label, gateway.MaxTitle, false),
		gateway.CheckNeeded("fingerprint", b.Fingerprint, 64, false))
}

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
	Asked           time.Time         `json:"asked"`
	Lapse           time.Time         `json:"lapse"`
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
}

func (b *Approve) Kind() Kind      { return KindApprove }
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
	return fmt.Sprintf("Let %s of vendor %s use %s on %s (%s) %s. Reason given: %s.%s Request %s, digest %s.",
		b.Person, b.Vendor, b.Account, b.Target, strings.Join(b.Abilities.List(), ", "), window, strings.TrimRight(b.Reason, "."), n, b.Request, b.Digest.Short())
}

// Check implements Body.
func (b *Approve) Check() error {
	if b.Digest.IsZero() {
		return gateway.Invalid("digest", "an approval names the digest of the request")
	}
	if b.From.IsZero() != b.To.IsZero() || b.From.IsZero() == (b.Seconds == 0) || b.Seconds < 0 {
		return gateway.Invalid("window", "an approval names either a window or a length")
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
)

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

func (b *Open) Kind() Kind      { return KindOpen }
func (b *Open) Subject() string { return "grant:" + b.Grant }

// Sentence implements Body.
func (b *Open) Sentence() string {
	via := fmt.Sprintf("one SSH connection, made within %s", span(int64(Fresh/time.Second)))
	if b.Binding == BindSSH {
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
	if b.Binding != BindSSH && b.Binding != BindLogin || b.Transport == "" || len(b.Transport) > 256 {
		return gateway.Invalid("binding", "a session is bound to an SSH connection or to a browser's login")
	}
	return first(gateway.CheckID("grt", b.Grant), gateway.CheckName("person", b.Person), gateway.CheckName("vendor", b.Vendor),
		gateway.CheckName("target", b.Target), gateway.CheckName("account", b.Account), when("from", b.From), when("to", b.To),
		gateway.CheckText("transport", b.Transport, 256, false), gateway.CheckText("source", b.Source, 64, false), gateway.CheckText("code", b.Code, 16, false))
}

// Suspend closes a vendor or a person.
type Suspend struct {
	ID     string        `json:"id"`
	Scope  gateway.Scope `json:"scope"`
	Epoch  uint64        `json:"epoch"` // the epoch that begins with it
	Reason string        `json:"reason"`
}

func (b *Suspend) Kind() Kind      { return KindSuspend }
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

func (b *Restore) Kind() Kind      { return KindRestore }
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

func version(n uint64, previous gateway.Digest) error {
	if n == 0 || (n == 1) != previous.IsZero() {
		return gateway.Invalid("version", "version %d must name the statement it replaces, and only version 1 replaces none", n)
	}
	return nil
}

func bounded(what string, n, most int) error {
	if n > most {
		return gateway.Invalid(what, "%s has %d entries; at most %d are allowed", what, n, most)
	}
	return nil
}

func when(what string, t time.Time) error {
	if t.IsZero() || !t.Equal(gateway.Instant(t)) {
		return gateway.Invalid(what, "%s is not a time in whole microseconds", what)
	}
	return nil
}

func email(s string) error {
	if s == "" {
		return nil
	}
	if err := gateway.CheckText("email", s, 254, false); err != nil {
		return err
	}
	if at := strings.LastIndexByte(s, '@'); at < 1 || at == len(s)-1 || strings.ContainsAny(s, " \t\"<>(),;:\\") || s != strings.ToLower(s) {
		return gateway.Invalid("email", "email %s is not a plain lower-case address such as ana@example.com", gateway.Quote(s))
	}
	return nil
}

func address(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return gateway.Invalid("address", "address %s is not host:port", gateway.Quote(s))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port != strconv.FormatUint(n, 10) {
		return gateway.Invalid("address", "address %s has no port between 1 and 65535", gateway.Quote(s))
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if len(host) > 253 || host == "" {
		return gateway.Invalid("address", "address %s has no host", gateway.Quote(s))
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" || label[0] == '-' {
			return gateway.Invalid("address", "address %s has a host that is neither an IP address nor a DNS name", gateway.Quote(s))
		}
	}
	return nil
}

func secret(a gateway.Account) error {
	switch a.Proof {
	case gateway.ProofCertificate:
		if a.SecretFile != "" {
			return gateway.Invalid("secret_file", "account %s is proven by certificate and needs no secret file", a.Name)
		}
		return nil
	case gateway.ProofKey, gateway.ProofPassword:
		if !strings.HasPrefix(a.SecretFile, "/") || strings.Contains(a.SecretFile, "/../") {
			return gateway.Invalid("secret_file", "account %s is proven by %s: name the absolute path of the file that holds it", a.Name, a.Proof)
		}
		return gateway.CheckText("secret_file", a.SecretFile, 1024, false)
	}
	return gateway.Invalid("proof", "proof %s of account %s is not one of certificate, key, password", gateway.Quote(string(a.Proof)), a.Name)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// span words a length as people say it: "1 hour 30 minutes".
func span(seconds int64) string {
	var parts []string
	for _, unit := range []struct {
		seconds int64
		name    string
	}{{3600, "hour"}, {60, "minute"}, {1, "second"}} {
		n := seconds / unit.seconds
		seconds %= unit.seconds
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit.name)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit.name))
		}
	}
	if len(parts) == 0 {
		return "0 seconds"
	}
	return strings.Join(parts, " ")
}

func joined[T any](list []T) string {
	s := make([]string, len(list))
	for i, e := range list {
		s[i] = fmt.Sprint(e)
	}
	return strings.Join(s, ", ")
}

func orNobody(list []string) string {
	if len(list) == 0 {
		return "nobody"
	}
	return joined(list)
}
