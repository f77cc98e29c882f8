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
	var begun Challenge
	if err := p.Post(ctx, "/enrol/begin", map[string]string{"token": token, "label": p.Name + "'s key"}, &begun); err != nil {
		return err
	}
	made, err := p.Key.Create(begun.Options)
	if err != nil {
		return err
	}
	var created struct {
		Challenges []Challenge `json:"challenges"`
	}
	if err := p.Post(ctx, "/enrol/created", map[string]any{"id": begun.ID, "credential": made}, &created); err != nil {
		return err
	}
	var assertions []json.RawMessage
	for _, c := range created.Challenges {
		a, err := p.Key.Get(c.Options)
		if err != nil {
			return err
		}
		assertions = append(assertions, a)
	}
	if len(created.Challenges) == 0 {
		return fmt.Errorf("nothing to sign for the new key")
	}
	return p.Post(ctx, "/enrol/finish", map[string]any{"id": created.Challenges[0].ID, "assertions": assertions}, nil)
}

// Login signs in with the person's key.
func (p *Person) Login(ctx context.Context) error {
	var begun Challenge
	if err := p.Post(ctx, "/login/begin", struct{}{}, &begun); err != nil {
		return err
	}
	credential, err := p.Key.Get(begun.Options)
	if err != nil {
		return err
	}
	return p.Post(ctx, "/login/finish", map[string]any{"id": begun.ID, "credential": credential, "next": "/"}, nil)
}
