package api

import (
	"net/url"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// MaxPage bounds one page of a list.
const MaxPage = 200

// Page is one page of a list. Next is what before= takes to go on, empty at
// the end.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

func page[T any](items []T, limit int, id func(T) string) Page[T] {
	p := Page[T]{Items: items}
	if items == nil {
		p.Items = []T{}
	}
	if len(items) > 0 && len(items) >= limit {
		p.Next = id(items[len(items)-1])
	}
	return p
}

// limitOf reads limit=; none means MaxPage.
func limitOf(q url.Values) (int, error) {
	s := q.Get("limit")
	if s == "" {
		return MaxPage, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxPage {
		return 0, gateway.Invalid("limit", "limit %s is not a number from 1 to %d", gateway.Quote(s), MaxPage)
	}
	return n, nil
}

// timeOf reads an RFC 3339 time; none is the zero time.
func timeOf(q url.Values, key string) (time.Time, error) {
	s := q.Get(key)
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, gateway.Invalid(key, "%s %s is not a time such as 2026-11-22T10:00:00Z", key, gateway.Quote(s))
	}
	return gateway.Instant(t), nil
}

// filterOf reads the query of a list; a vendor's people see their own alone.
func filterOf(c call) (Filter, error) {
	q := c.URL.Query()
	limit, err := limitOf(q)
	if err != nil {
		return Filter{}, err
	}
	f := Filter{Vendor: q.Get("vendor"), Person: q.Get("person"), Target: q.Get("target"), States: q["state"], Before: q.Get("before"), Limit: limit}
	if !c.who.Machine() && !Holds(c.who.Person, SeeAll) {
		f.Vendor, f.Person = c.who.Person.Vendor, c.who.Person.Name
	}
	return f, nil
}
