package directory

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Action is what Apply does with one entry.
type Action string

// The closed list of actions.
const (
	Added     Action = "added"
	Changed   Action = "changed"
	Unchanged Action = "unchanged"
	Removed   Action = "removed"
)

// Change is one entry of a file and what it comes to. Lines say it field by
// field, for a person.
type Change struct {
	Kind   string   `json:"kind"` // "vendor", "person", "service", "target"
	Name   string   `json:"name"`
	Action Action   `json:"action"`
	Lines  []string `json:"lines,omitempty"`

	body statement.Body // what is to be signed; nil if unchanged
}

// Apply brings the directory to what the file says: each entry that differs
// is signed by sign and committed; what the file does not name is left alone;
// an entry with "removed: true" is removed for good. Everything is checked
// before the first is written; an error names the line. With dryRun nothing is
// written. When a commit fails midway, the changes made so far are returned
// with the error, and applying the same file again goes on from there.
func (d *Directory) Apply(ctx context.Context, file []byte, sign func(statement.Body) (statement.Signed, error), dryRun bool) ([]Change, error) {
	plan, err := d.plan(ctx, file)
	if err != nil || dryRun {
		return plan, err
	}
	for i, c := range plan {
		if c.body == nil {
			continue
		}
		s, err := sign(c.body)
		if err == nil {
			_, err = d.Commit(ctx, s)
		}
		if err != nil {
			return plan[:i], err
		}
	}
	return plan, nil
}

// plan checks a file against the present and says what it would change.
func (d *Directory) plan(ctx context.Context, file []byte) ([]Change, error) {
	items, err := readFile(file)
	if err != nil {
		return nil, err
	}
	c := make(coming)
	for _, e := range items {
		switch b := e.body.(type) {
		case *statement.VendorAdmit:
			c[b.Subject()] = !b.Removed
		case *statement.PersonAdmit:
			c[b.Subject()] = !b.Removed && b.Vendor == ""
			c[ofVendor(b.Name, b.Vendor)] = !b.Removed && b.Vendor != "" && b.Service == nil
		}
	}
	plan := make([]Change, 0, len(items))
	for _, e := range items {
		change, err := d.planItem(ctx, e, c)
		if err != nil {
			if gateway.IsCode(err, gateway.CodeUnavailable) {
				return nil, err
			}
			return nil, lined(e.line, err)
		}
		plan = append(plan, change)
	}
	return plan, nil
}

func (d *Directory) planItem(ctx context.Context, e item, c coming) (Change, error) {
	switch b := e.body.(type) {
	case *statement.VendorAdmit:
		head, exists, err := d.vendorHead(ctx, b.Name)
		if err != nil {
			return Change{}, err
		}
		return settle(e, b.Removed, past{&head, exists, head.Removed}, func() (statement.Body, error) {
			if b.Removed {
				*b = head
				b.Removed = true
			}
			b.Version, b.Previous = head.Version+1, head.Previous
			return b, d.checkVendor(b)
		})
	case *statement.PersonAdmit:
		head, exists, err := d.personHead(ctx, b.Name)
		if err != nil {
			return Change{}, err
		}
		if !b.Removed && !head.Removed {
			if err := stays(exists, &head, b); err != nil {
				return Change{}, err
			}
		}
		return settle(e, b.Removed, past{&head, exists, head.Removed}, func() (statement.Body, error) {
			if b.Removed {
				*b = head
				b.Removed = true
			}
			b.Version, b.Previous = head.Version+1, head.Previous
			if err := d.enrolled(ctx, b, exists, &head, c); err != nil {
				return nil, err
			}
			if err := b.Check(); err != nil {
				return nil, err
			}
			return b, d.referPerson(ctx, b, c)
		})
	case *statement.TargetDefine:
		head, exists, err := d.targetHead(ctx, b.Name)
		if err != nil {
			return Change{}, err
		}
		return settle(e, b.Removed, past{&head, exists, head.Removed}, func() (statement.Body, error) {
			if b.Removed {
				*b = head
				b.Removed = true
			}
			b.Version, b.Previous = head.Version+1, head.Previous
			if err := b.Check(); err != nil {
				return nil, err
			}
			return b, d.referTarget(ctx, b, c)
		})
	}
	return Change{}, gateway.Invalid("file", "there is no such kind of entry")
}

// past is what an entry finds.
type past struct {
	head            statement.Body
	exists, removed bool
}

// settle decides what an entry comes to; draft fills in the body that is to
// be signed and checks it.
func settle(e item, remove bool, p past, draft func() (statement.Body, error)) (Change, error) {
	out := Change{Kind: e.kind, Name: e.name, Action: Unchanged}
	switch {
	case remove && (!p.exists || p.removed):
		return out, nil
	case p.removed:
		return out, gateway.Conflict(e.kind, "%s %s was removed for good; choose another name", e.kind, e.name)
	case remove:
		out.Action = Removed
	case !p.exists:
		out.Action, out.Lines = Added, spell(e.body)
	default:
		out.Lines = compare(p.head, e.body)
		if len(out.Lines) == 0 {
			// What is on file may not read by today's grammar; nothing is signed, so nothing is checked.
			return out, nil
		}
		out.Action = Changed
	}
	var err error
	if out.body, err = draft(); err != nil {
		return Change{}, err
	}
	return out, nil
}
