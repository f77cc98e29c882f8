package trust

import (
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// history is every version of one record, oldest first, never empty.
type history []*fact

// ed is what versions of any record have in common.
type ed struct {
	subject  string // "vendor:acme"
	version  uint64
	previous gateway.Digest
	removed  bool
	half     string // the vendor of a person, and whether it is a service account: they may not change
}

// edition reads a body as a version; the zero ed says that it is none.
func edition(b statement.Body) ed {
	switch b := b.(type) {
	case *statement.VendorAdmit:
		return ed{b.Subject(), b.Version, b.Previous, b.Removed, ""}
	case *statement.PersonAdmit:
		half := b.Vendor
		if b.Service != nil {
			half += " service"
		}
		return ed{b.Subject(), b.Version, b.Previous, b.Removed, half}
	case *statement.TargetDefine:
		return ed{b.Subject(), b.Version, b.Previous, b.Removed, ""}
	}
	return ed{}
}

// history follows a record's versions from the newest, which its row names,
// to the first, and holds the newest to the floor.
func (w *walk) history(subject string, head gateway.Digest, version uint64) (history, error) {
	if seen := w.floor.At(subject); version < seen {
		return nil, broken("version %d of %s is older than what this machine has seen (version %d)", version, subject, seen)
	}
	if version == 0 || version > maxWalk {
		return nil, broken("the row of %s names version %d, which cannot be", subject, version)
	}
	h := make(history, version)
	var above ed
	for i := int(version) - 1; i >= 0; i-- {
		f, err := w.need(head)
		if err != nil {
			return nil, err
		}
		e := edition(f.body)
		switch {
		case e.subject != subject:
			return nil, broken("version %d of %s is in truth a statement about %s", i+1, subject, gateway.Quote(f.body.Subject()))
		case e.version != uint64(i)+1:
			return nil, broken("%s: version %d stands where version %d belongs", subject, e.version, i+1)
		case above.version > 0 && e.removed:
			return nil, broken("%s was removed for good by version %d and cannot have a version %d", subject, e.version, above.version)
		case above.version > 0 && e.half != above.half:
			return nil, broken("%s changes vendor, or whether it is a service account, in version %d, which no statement can do", subject, above.version)
		}
		h[i], above, head = f, e, e.previous
	}
	return h, nil
}
