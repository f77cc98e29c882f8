package policy

import (
	"fmt"
	"strings"
)

// Explain words a verdict for a person, one fact a line, with the file and
// line of each rule that decided.
func (s *Set) Explain(f Facts) string {
	v := s.Decide(f)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: may %s %s?\n", v.Effect, f.Person.Name, f.sentence())
	for _, r := range v.Reasons {
		fmt.Fprintf(&b, "  because of %s: %s", r.Rule, r.Text)
		for id, o := range s.obliges {
			if string(id) == r.Rule {
				fmt.Fprintf(&b, " (%s:%d)", o.at.File, o.at.Line)
			}
		}
		b.WriteByte('\n')
		if r.Next != "" {
			fmt.Fprintf(&b, "  next: %s\n", r.Next)
		}
	}
	if v.Effect == NeedsApproval {
		fmt.Fprintf(&b, "  needs: %d from %s; at most %s; recording %s\n", v.Approvals, anyOf(v.Roles), Span(v.Longest), v.Recording)
	}
	fmt.Fprintf(&b, "  policy: %s\n", s.hash.Short())
	return b.String()
}
