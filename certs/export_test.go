package certs

import "time"

// SetNow lets a test say what time it is.
func (a *Authority) SetNow(now func() time.Time) { a.now = now }
