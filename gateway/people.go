package gateway

import (
	"net/netip"
	"slices"
	"time"
)

// State of a vendor or a person.
type State string

// The closed list of states.
const (
	Active    State = "active"
	Suspended State = "suspended"
	Restoring State = "restoring" // a first person has signed the restoration, a second has not: still closed
	Removed   State = "removed"   // left for good; kept for the record
)

// Vendor is a supplier organisation.
type Vendor struct {
	Name      string         `json:"name"`
	Title     string         `json:"title"`
	Networks  []netip.Prefix `json:"networks,omitempty"` // source networks; empty means any
	Contact   string         `json:"contact,omitempty"`
	Contract  string         `json:"contract,omitempty"` // contract notes
	State     State          `json:"state"`
	Epoch     uint64         `json:"epoch"`   // rises with each suspension and each restoration; 1 at admission
	Version   uint64         `json:"version"` // of its admission statement; 1 at first, rises with each change
	Statement Digest         `json:"statement"`
	Changed   time.Time      `json:"changed"`
}

// Role is what a person may be.
type Role string

// The closed list of roles. Engineer and nominator belong to vendors, the
// others to the staff.
const (
	Engineer  Role = "engineer"
	Nominator Role = "nominator"
	Approver  Role = "approver"
	Responder Role = "responder"
	Reviewer  Role = "reviewer"
	Auditor   Role = "auditor"
	Admin     Role = "admin"
)

// VendorRoles and StaffRoles are the two halves of the list.
var (
	VendorRoles = []Role{Engineer, Nominator}
	StaffRoles  = []Role{Approver, Responder, Reviewer, Auditor, Admin}
)

// Person is a human: of exactly one vendor, or of the staff (Vendor empty). One
// with a Service is none, but a vendor's service account.
type Person struct {
	Name      string    `json:"name"`
	Title     string    `json:"title"` // as people call them: "Ana Ruiz"
	Email     string    `json:"email,omitempty"`
	Vendor    string    `json:"vendor,omitempty"`
	Roles     []Role    `json:"roles"`
	Service   *Service  `json:"service,omitempty"` // of a service account, and of nobody else
	State     State     `json:"state"`
	Epoch     uint64    `json:"epoch"`   // rises with each suspension and restoration of this person
	Version   uint64    `json:"version"` // of the admission statement
	Statement Digest    `json:"statement"`
	Changed   time.Time `json:"changed"`
}

// Staff reports whether the person is of the operator's own staff.
func (p Person) Staff() bool { return p.Vendor == "" }

// Is reports whether the person has any of the roles.
func (p Person) Is(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(p.Roles, r) })
}

// Epochs pins a credential or a grant to the life of its vendor and person:
// what was made under an older epoch is dead for ever.
type Epochs struct {
	Vendor uint64 `json:"vendor"` // 0 for staff
	Person uint64 `json:"person"`
}

// Authenticator is an enrolled FIDO2 key.
type Authenticator struct {
	ID             string    `json:"id"` // credential id, base64url without padding
	Person         string    `json:"person"`
	Label          string    `json:"label"`
	PublicKey      []byte    `json:"public_key"`      // COSE_Key (RFC 9052)
	AAGUID         string    `json:"aaguid"`          // model of the key, UUID text
	Format         string    `json:"format"`          // attestation format: none, packed, ...
	Attestation    string    `json:"attestation"`     // verdict: none, self, unanchored (signed by a maker whose root is not on file)
	BackupEligible bool      `json:"backup_eligible"` // a synced key could leave its owner's hands
	Counter        uint32    `json:"counter"`
	Epochs         Epochs    `json:"epochs"` // at enrolment
	Statement      Digest    `json:"statement"`
	Enrolled       time.Time `json:"enrolled"`
	Removed        time.Time `json:"removed,omitzero"`
}

// SSHKey is an SSH public key that says who connects. In the handshake it is
// never the touch; one that lives in a FIDO2 authenticator may give the touch
// for a session by SSHSIG, and Counter is of the last one that it gave.
type SSHKey struct {
	Fingerprint string    `json:"fingerprint"` // SHA256:... as ssh-keygen -l prints it
	Person      string    `json:"person"`
	Label       string    `json:"label"`
	Key         string    `json:"key"` // one authorized_keys line without options
	Counter     uint32    `json:"counter,omitempty"`
	Epochs      Epochs    `json:"epochs"`
	Statement   Digest    `json:"statement"`
	Added       time.Time `json:"added"`
	Removed     time.Time `json:"removed,omitzero"`

	Attested *SSHAttested `json:"attested,omitempty"` // as its statement proves it; no row says so
}

// Invitation lets one person enrol a first key. The token is a seed of an
// Ed25519 key whose public half stands here: whoever reads the database
// cannot enrol with it.
type Invitation struct {
	ID        string    `json:"id"`
	Person    string    `json:"person"`
	PublicKey []byte    `json:"public_key"` // Ed25519
	Epochs    Epochs    `json:"epochs"`
	Statement Digest    `json:"statement"`
	Expires   time.Time `json:"expires"`
	Used      time.Time `json:"used,omitzero"`
}

// Login is a browser's signed-in session. The cookie holds a random token;
// the store holds its SHA-256.
type Login struct {
	Hash    Digest    `json:"-"` // SHA-256 of the cookie's token
	ID      string    `json:"id"`
	Person  string    `json:"person"`
	Method  string    `json:"method"` // "webauthn" or "oidc:PROVIDER"
	Binding Digest    `json:"-"`      // of the client it was made for: User-Agent
	Source  string    `json:"source"` // address it was made from
	Epochs  Epochs    `json:"epochs"`
	Made    time.Time `json:"made"`
	Seen    time.Time `json:"seen"`
}
