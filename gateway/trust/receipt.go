package trust

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// filing is how long after its touch a statement may be filed: the touch took
// at most statement.Fresh, and a store that is busy takes the rest.
const filing = 30 * time.Second

// received holds a statement to a machine's receipt. Whoever holds a key that
// was good once can sign for any day; that a gateway of roots[] filed the
// statement when it was drawn up is nothing that he can add. One that was just
// handed in has no receipt yet, and must be of this moment instead.
func (w *walk) received(f *fact) error {
	r := f.s.Receipt
	if r.IsZero() {
		if f.handed && f.timely(w.now()) {
			return nil
		}
		return f.broken("no gateway has received it")
	}
	for _, root := range w.roots {
		if r.Key != statement.FormatRoot(root) {
			continue
		}
		if err := r.Verify(f.s.Digest, root); err != nil {
			return f.wrap("its receipt", err)
		}
		if !f.timely(r.At) {
			return f.broken("it says that it was drawn up %s from when it was received", r.At.Sub(f.st.At).Abs().Round(time.Second))
		}
		return nil
	}
	return f.broken("the machine key %s that received it is not in roots[] of this node's configuration", gateway.Quote(r.Key))
}

// timely reports whether the statement was filed in its time. An order may lie
// in a drawer until its own validity ends; DESIGN.md says why that is no hole.
func (f *fact) timely(filed time.Time) bool {
	age := filed.Sub(f.st.At)
	if o, ok := f.body.(*statement.Order); ok {
		return age >= -ahead && !filed.After(o.To)
	}
	return age >= -ahead && age <= statement.Fresh+filing
}
