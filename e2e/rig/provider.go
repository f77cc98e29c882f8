package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Provider is a real OpenID provider (npm oidc-provider) in a process of its
// own.
type Provider struct {
	*Process
	Issuer string
	Client string
	Secret string
}

// ProviderAccount is what the provider says about one login.
type ProviderAccount struct {
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
}

// StartProvider starts a provider on loopback. dir is the folder e2e/oidc;
// accounts are by login; redirects are the callbacks that it may send to.
func StartProvider(ctx context.Context, dir string, accounts map[string]ProviderAccount, redirects ...string) (*Provider, error) {
	if !exists(filepath.Join(dir, "..", "node_modules", "oidc-provider")) {
		return nil, fmt.Errorf("oidc-provider is missing; run npm ci in e2e, or make test")
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	people, err := json.Marshal(accounts)
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	p := &Provider{Issuer: "http://" + addr, Client: "portcullis", Secret: "a-secret-of-the-test-alone-0123456789"}
	args := append([]string{filepath.Join(dir, "provider.mjs"), port, string(people), p.Client, p.Secret}, redirects...)
	if p.Process, err = start("node", nil, args...); err != nil {
		return nil, err
	}
	err = Until(ctx, 30*time.Second, func() error {
		if !strings.Contains(p.Log(), "ready "+p.Issuer) {
			return fmt.Errorf("the provider is not ready:\n%s", p.Log())
		}
		return nil
	})
	if err != nil {
		p.Kill()
	}
	return p, err
}
