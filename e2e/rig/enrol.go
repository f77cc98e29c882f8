package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Enrol enrols the person's key by a one-time link, as the page does, which
// signs them in.
func (p *Person) Enrol(ctx context.Context, link string) error {
	_, token, ok := strings.Cut(link, "#")
	if !ok {
		return fmt.Errorf("%q is no enrolment link", link)
	}
	_ = json.RawMessage(token)
	return fmt.Errorf("not known yet")
}
