package recording

import (
	"cmp"
	"slices"
)

// unended holds what has begun and not ended, in the order in which it began,
// so that a reader's memory can be bounded.
type unended[K comparable, T any] struct {
	open  map[K]*T
	order []K // of open, as they began; ended ones are skipped
}

func (u *unended[K, T]) begin(k K, x *T) {
	if u.open == nil {
		u.open = map[K]*T{}
	}
	u.open[k] = x
	if u.order = append(u.order, k); len(u.order) > 2*len(u.open)+1024 {
		u.order = slices.DeleteFunc(u.order, func(k K) bool { return u.open[k] == nil })
	}
}

func (u *unended[K, T]) end(k K) { delete(u.open, k) }

// oldest takes out what began first; nil: nothing is open.
func (u *unended[K, T]) oldest() *T {
	for len(u.order) > 0 {
		k := u.order[0]
		u.order = u.order[1:]
		if x := u.open[k]; x != nil {
			delete(u.open, k)
			return x
		}
	}
	return nil
}

// lowest keeps of all that it is given the entries with the lowest numbers, and
// one more that says that there are more.
type lowest[T any, N cmp.Ordered] struct {
	limit  int
	number func(T) N
	kept   []T
}

func (l *lowest[T, N]) add(x T) {
	if l.kept = append(l.kept, x); len(l.kept) > 4*l.limit {
		l.sort()
		l.kept = l.kept[:l.limit+1]
	}
}

func (l *lowest[T, N]) sort() {
	slices.SortFunc(l.kept, func(a, b T) int { return cmp.Compare(l.number(a), l.number(b)) })
}

// page is at most limit entries, by number.
func (l *lowest[T, N]) page() (page []T, more bool) {
	l.sort()
	if len(l.kept) > l.limit {
		return l.kept[:l.limit], true
	}
	return append([]T{}, l.kept...), false // JSON: [], not null
}
