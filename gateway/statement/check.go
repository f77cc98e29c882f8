package statement

import (
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

func bounded(what string, n, most int) error {
	if n > most {
		return gateway.Invalid(what, "%s has %d entries; at most %d are allowed", what, n, most)
	}
	return nil
}

func when(what string, t time.Time) error {
	if t.IsZero() || !t.Equal(gateway.Instant(t)) {
		return gateway.Invalid(what, "%s is not a time in whole microseconds", what)
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// span words a length as people say it: "1 hour 30 minutes".
func span(seconds int64) string {
	var parts []string
	for _, unit := range []struct {
		seconds int64
		name    string
	}{{3600, "hour"}, {60, "minute"}, {1, "second"}} {
		n := seconds / unit.seconds
		seconds %= unit.seconds
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit.name)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit.name))
		}
	}
	if len(parts) == 0 {
		return "0 seconds"
	}
	return strings.Join(parts, " ")
}

func joined[T any](list []T) string {
	s := make([]string, len(list))
	for i, e := range list {
		s[i] = fmt.Sprint(e)
	}
	return strings.Join(s, ", ")
}

func orNobody(list []string) string {
	if len(list) == 0 {
		return "nobody"
	}
	return joined(list)
}
