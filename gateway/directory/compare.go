package directory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// line is one field of a body as text, as a person reads it in a change.
type line struct{ field, text string }

// lines spells a body out, without version and previous. Two bodies state the
// same exactly when their lines are the same.
func lines(b statement.Body) []line {
	switch b := b.(type) {
	case *statement.VendorAdmit:
		return []line{
			{"title", quote(b.Title)}, {"networks", list(b.Networks)}, {"contact", quote(b.Contact)},
			{"contract", quote(b.Contract)}, {"removed", flag(b.Removed)},
		}
	case *statement.PersonAdmit:
		var s gateway.Service
		if b.Service != nil {
			s = *b.Service
		}
		return []line{
			{"title", quote(b.Title)}, {"email", quote(b.Email)}, {"vendor", quote(b.Vendor)}, {"roles", list(b.Roles)},
			{"owner", quote(s.Owner)}, {"key", s.Key}, {"networks", list(s.Networks)}, {"removed", flag(b.Removed)},
		}
	case *statement.TargetDefine:
		l := []line{
			{"title", quote(b.Title)}, {"kind", quote(string(b.Kind_))}, {"address", quote(b.Address)}, {"zone", quote(b.Zone)},
			{"impact", quote(string(b.Impact))}, {"owner", quote(b.Owner)}, {"vendors", list(b.Vendors)}, {"host_keys", quotes(b.HostKeys)}, {"legacy", list(b.Legacy)}, {"https", console(b.HTTPS)}, {"network", network(b.Network)},
		}
		var accounts []string
		for _, a := range b.Accounts {
			accounts = append(accounts, account(a))
		}
		return append(l, line{"accounts", strings.Join(accounts, "; ")}, line{"removed", flag(b.Removed)})
	}
	return nil
}

// compare lists what b states otherwise than a, one line a field.
func compare(a, b statement.Body) []string {
	var out []string
	before := lines(a)
	for i, l := range lines(b) {
		if l != before[i] {
			out = append(out, fmt.Sprintf("%s: %s -> %s", l.field, orNone(before[i].text), orNone(l.text)))
		}
	}
	return out
}

// spell lists everything that b states, one line a field.
func spell(b statement.Body) []string {
	var out []string
	for _, l := range lines(b) {
		if l.text != "" {
			out = append(out, l.field+": "+l.text)
		}
	}
	return out
}

func quote(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%q", s)
}

func flag(b bool) string {
	if !b {
		return ""
	}
	return "true"
}

func list[T any](l []T) string {
	s := make([]string, len(l))
	for i, e := range l {
		s[i] = fmt.Sprint(e)
	}
	return strings.Join(s, ", ")
}

func quotes(l []string) string {
	s := slices.Clone(l)
	for i := range s {
		s[i] = quote(s[i])
	}
	return strings.Join(s, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}
