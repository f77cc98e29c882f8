package statement

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

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

func (b *Enrol) Kind() Kind { return KindEnrol }

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

func (b *KeyRemove) Kind() Kind { return KindKeyRemove }

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
	Fingerprint string          `json:"fingerprint"`
	Key         string          `json:"key"`
	Person      string          `json:"person"`
	Label       string          `json:"label"`
	Epochs      gateway.Epochs  `json:"epochs"`
	Attestation *SSHAttestation `json:"attestation,omitempty"`
}

func (b *SSHKeyAdd) Kind() Kind { return KindSSHKey }

func (b *SSHKeyAdd) Subject() string { return "sshkey:" + b.Fingerprint }

// Sentence implements Body.
func (b *SSHKeyAdd) Sentence() string {
	sentence := fmt.Sprintf("Add SSH key %q (%s) for %s.", b.Label, b.Fingerprint, b.Person)
	if strings.HasPrefix(b.Key, "sk-") { // the two types of OpenSSH's PROTOCOL.u2f
		sentence += " It is a security key: touched and with its PIN, it opens sessions without a browser."
	}
	return sentence + b.Attestation.words()
}

// Check implements Body.
func (b *SSHKeyAdd) Check() error {
	return first(gateway.CheckName("person", b.Person), gateway.CheckNeeded("label", b.Label, gateway.MaxTitle, false), checkSSHKey(b.Key, b.Fingerprint), b.Attestation.check(b.Key))
}

// SSHKeyRemove removes an SSH public key.
type SSHKeyRemove struct {
	Fingerprint string `json:"fingerprint"`
	Person      string `json:"person"`
	Label       string `json:"label"`
}

func (b *SSHKeyRemove) Kind() Kind { return KindSSHRemove }

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
