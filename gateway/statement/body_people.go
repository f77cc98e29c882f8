package statement

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

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

func (b *VendorAdmit) Kind() Kind { return KindVendor }

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
	Name     string           `json:"name"`
	Title    string           `json:"title"`
	Email    string           `json:"email,omitempty"`
	Vendor   string           `json:"vendor,omitempty"` // empty: the operator's staff
	Roles    []gateway.Role   `json:"roles"`
	Service  *gateway.Service `json:"service,omitempty"` // of a service account
	Version  uint64           `json:"version"`
	Previous gateway.Digest   `json:"previous,omitzero"`
	Removed  bool             `json:"removed,omitempty"`
}

func (b *PersonAdmit) Kind() Kind { return KindPerson }

func (b *PersonAdmit) Subject() string { return "person:" + b.Name }

// Sentence implements Body.
func (b *PersonAdmit) Sentence() string {
	if b.Service != nil && !b.Removed {
		return b.serviceSentence()
	}
	of := "of the staff"
	if b.Vendor != "" {
		of = "of vendor " + b.Vendor
	}
	mail := ""
	if b.Email != "" {
		mail = ", " + b.Email
	}
	if b.Service != nil {
		return fmt.Sprintf("Remove service account %s (%s), %s, for good. Version %d.", b.Name, b.Title, of, b.Version)
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
	if b.Service != nil {
		return first(gateway.CheckName("person", b.Name), gateway.CheckNeeded("title", b.Title, gateway.MaxTitle, false),
			gateway.CheckName("vendor", b.Vendor), version(b.Version, b.Previous), b.checkService())
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

// Invite lets one person enrol a first key within its time.
type Invite struct {
	ID        string         `json:"id"`
	Person    string         `json:"person"`
	PublicKey []byte         `json:"public_key"` // Ed25519; its seed is the token in the link
	Epochs    gateway.Epochs `json:"epochs"`
	Expires   time.Time      `json:"expires"`
}

func (b *Invite) Kind() Kind { return KindInvite }

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

func version(n uint64, previous gateway.Digest) error {
	if n == 0 || (n == 1) != previous.IsZero() {
		return gateway.Invalid("version", "version %d must name the statement it replaces, and only version 1 replaces none", n)
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
