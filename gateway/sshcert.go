package gateway

import (
	"net/netip"
	"strings"
	"time"
)

// SSHCertificate is a user certificate that an engineer signed in for with
// `portcullis login`: for one grant's window at most it lets a fresh SSH key say
// who connects. It is never the touch, and the authority that signs it is one
// that no target trusts.
type SSHCertificate struct {
	Fingerprint string         `json:"fingerprint"` // of the certified key: SHA256:...
	Key         string         `json:"key"`         // one authorized_keys line without options
	Person      string         `json:"person"`
	Grant       string         `json:"grant"`              // whose window bounds it
	Networks    []netip.Prefix `json:"networks,omitempty"` // it is good from these alone; empty means any
	From        time.Time      `json:"from"`
	To          time.Time      `json:"to"`
	Source      string         `json:"source"` // of the terminal that asked, address:port
	Client      string         `json:"client,omitempty"`
	Epochs      Epochs         `json:"epochs"`
	Statement   Digest         `json:"statement"`
	Issued      time.Time      `json:"issued"`
	Removed     time.Time      `json:"removed,omitzero"`
}

// certKeyID begins the key id of every such certificate.
const certKeyID = "portcullis-login:"

// KeyID is the certificate's key id (PROTOCOL.certkeys): it names the signed
// statement, so that every use can be followed back to a touch.
func (c SSHCertificate) KeyID() string { return certKeyID + c.Statement.String() }

// ParseCertKeyID returns the digest of the statement that a key id names;
// false if it is not one of ours.
func ParseCertKeyID(id string) (Digest, bool) {
	text, ok := strings.CutPrefix(id, certKeyID)
	if !ok {
		return Digest{}, false
	}
	d, err := ParseDigest(text)
	return d, err == nil && !d.IsZero() && d.String() == text
}
