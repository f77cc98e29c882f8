package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/portcullis/portcullis/gateway"
)

// ProviderInfo is what the sign-in page shows of a provider.
type ProviderInfo struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor,omitempty"` // empty: the staff
}

// Providers lists the identity providers in the order of the configuration.
func (s *Service) Providers() []ProviderInfo {
	list := make([]ProviderInfo, 0, len(s.providers))
	for _, p := range s.providers {
		list = append(list, ProviderInfo{Name: p.Name, Vendor: p.Vendor})
	}
	return list
}

const oidcPurpose = "oidc flow"

// flow is a sign-in at a provider under way, sealed in the browser's cookie.
type flow struct {
	Provider string `json:"p"`
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // PKCE (RFC 7636)
}

// BeginOIDC returns the provider's URL to send the browser to, and what to
// keep in a cookie until it comes back: HttpOnly, SameSite=Lax because it
// comes back from another site, five minutes. It takes no memory.
func (s *Service) BeginOIDC(ctx context.Context, name string) (to, stateCookie string, err error) {
	p, err := s.provider(name)
	if err != nil {
		return "", "", err
	}
	d, err := p.discover(ctx)
	if err != nil {
		return "", "", err
	}
	f := flow{Provider: name, Verifier: oauth2.GenerateVerifier()}
	f.State, _ = newSecret()
	f.State = s.homed(f.State) // the provider brings it back to any node
	f.Nonce, _ = newSecret()
	if stateCookie, err = s.sealer.seal(oidcPurpose, f, ceremonyTime); err != nil {
		return "", "", gateway.Internal(err)
	}
	to = p.oauth(d, "").AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier))
	return to, stateCookie, nil
}

// FinishOIDC takes the browser back from the provider and returns the new
// login's token. The provider speaks for the people of its own vendor (or for
// the staff) and for nobody else.
func (s *Service) FinishOIDC(ctx context.Context, name, stateCookie string, query url.Values, c Client) (string, gateway.Person, error) {
	token, p, err := s.finishOIDC(ctx, name, stateCookie, query, c)
	if err != nil {
		s.refuseLogin(ctx, p, c, err)
		return "", gateway.Person{}, err
	}
	return token, p, nil
}

func (s *Service) finishOIDC(ctx context.Context, name, stateCookie string, query url.Values, c Client) (string, gateway.Person, error) {
	var nobody gateway.Person
	p, err := s.provider(name)
	if err != nil {
		return "", nobody, err
	}
	var f flow
	if err := s.sealer.open(oidcPurpose, stateCookie, &f); err != nil {
		return "", nobody, signIn("oidc-state", "this sign-in was begun too long ago, in another browser, or before the gateway was restarted")
	}
	if _, used := s.spent.get(f.State, ""); used {
		return "", nobody, signIn("oidc-state", "this sign-in was finished before")
	}
	code, d, err := s.callback(ctx, p, f, query)
	if err != nil {
		return "", nobody, err
	}
	claims, err := p.exchange(ctx, d, code, f)
	if err != nil {
		return "", nobody, err
	}
	if !s.spent.putAs(f.State, "", struct{}{}, s.now().Add(ceremonyTime)) {
		return "", nobody, signIn("oidc-state", "this sign-in was finished before")
	}
	return s.signInAs(ctx, p, claims, c)
}

// callback judges what the browser brings back before anything is sent to
// the provider (RFC 9700 clause 4: state and mix-up).
func (s *Service) callback(ctx context.Context, p *provider, f flow, query url.Values) (string, *discovered, error) {
	for _, k := range []string{"state", "code", "iss", "error"} {
		if len(query[k]) > 1 || len(query.Get(k)) > maxParameter {
			return "", nil, gateway.Invalid(k, "parameter %s stands twice or is too long", k)
		}
	}
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(f.State)) != 1 {
		return "", nil, signIn("oidc-state", "the provider's answer does not belong to a sign-in of this browser")
	}
	if f.Provider != p.Name {
		return "", nil, signIn("oidc-mix-up", "the sign-in was begun at provider %s and answered at %s", f.Provider, p.Name)
	}
	d, err := p.discover(ctx)
	if err != nil {
		return "", nil, err
	}
	iss := query.Get("iss")
	if d.sendsIss && iss == "" || iss != "" && iss != p.Issuer {
		return "", nil, signIn("oidc-mix-up", "the answer does not come from the provider that was asked (RFC 9207)")
	}
	if e := query.Get("error"); e != "" {
		return "", nil, signIn("oidc-provider", "the provider refused: %s", gateway.Quote(e))
	}
	if query.Get("code") == "" {
		return "", nil, signIn("oidc-provider", "the provider's answer holds no code")
	}
	return query.Get("code"), d, nil
}

// signInAs finds whose account it is. The first time, the account is tied to
// the person of the provider's vendor with that verified mail address.
func (s *Service) signInAs(ctx context.Context, p *provider, claims claims, c Client) (string, gateway.Person, error) {
	name, err := s.store.Subject(ctx, p.Name, claims.Subject)
	bound := err == nil
	if errors.Is(err, gateway.ErrNotFound) {
		name, err = s.byEmail(ctx, p, claims)
	}
	if err != nil {
		return "", gateway.Person{}, stored(err)
	}
	who, err := s.stand(ctx, name)
	if err != nil {
		return "", who.Person, err
	}
	if who.Vendor != p.Vendor || !bound && who.Email != strings.ToLower(claims.Email) {
		return "", gateway.Person{}, errUnknown(p)
	}
	login, err := s.draftLogin(ctx, who, "oidc:"+p.Name, c)
	if err != nil {
		return "", who.Person, err
	}
	if !bound {
		login.event.Detail["bound"] = "first sign-in with this provider account"
	}
	err = s.store.Update(ctx, func(tx Tx) error {
		if !bound {
			if err := tx.BindSubject(p.Name, claims.Subject, who.Name); err != nil {
				return err
			}
		}
		return login.write(tx)
	})
	if errors.Is(err, gateway.ErrUsed) {
		return "", who.Person, gateway.Refused("oidc-account", "sign in with the account of your first time, or call the operator", "%s signs in with another account of this provider", who.Name)
	}
	return login.token, who.Person, stored(err)
}

func (s *Service) byEmail(ctx context.Context, p *provider, claims claims) (string, error) {
	if claims.Email == "" || !claims.EmailVerified {
		return "", gateway.Refused("oidc-email", "have your organisation verify the address, or sign in with a key", "provider %s does not confirm your mail address", p.Name)
	}
	found, err := s.store.PersonByEmail(ctx, p.Vendor, strings.ToLower(claims.Email))
	if errors.Is(err, gateway.ErrNotFound) {
		return "", errUnknown(p)
	}
	return found.Name, err
}

func errUnknown(p *provider) error {
	half := "the staff"
	if p.Vendor != "" {
		half = "vendor " + p.Vendor
	}
	return gateway.Refused("oidc-account", "ask the operator to admit you with the mail address of that account", "nobody of %s is on file with this account", half)
}

func (s *Service) provider(name string) (*provider, error) {
	for _, p := range s.providers {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, gateway.NotFound("identity provider", name)
}

// claims is what we read of an ID token.
type claims struct {
	Subject       string `json:"sub"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Azp           string `json:"azp"`
}

// exchange turns the code into verified claims.
func (p *provider) exchange(ctx context.Context, d *discovered, code string, f flow) (claims, error) {
	var none claims
	select {
	case p.busy <- struct{}{}:
		defer func() { <-p.busy }()
	default:
		return none, &gateway.Error{Code: gateway.CodeTooMany, Rule: "oidc", Text: "too many people sign in with " + p.Name + " at this moment", Next: "try again in a minute"}
	}
	secret, err := p.secret()
	if err != nil {
		return none, gateway.Internal(err)
	}
	ctx, stop := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, p.client), providerTime)
	defer stop()
	tokens, err := p.oauth(d, secret).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError {
			return none, notHeld(p, fmt.Errorf("exchange code: status %d, %q", refused.Response.StatusCode, refused.ErrorCode))
		}
		return none, p.down(err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok || len(raw) > maxIDToken {
		return none, notHeld(p, errors.New("the answer holds no ID token, or one that is too long"))
	}
	token, err := d.verifier.Verify(ctx, raw)
	if err != nil {
		return none, notHeld(p, err)
	}
	if err := token.Claims(&none); err != nil {
		return claims{}, notHeld(p, err)
	}
	return none, p.meant(token, none, f)
}

// meant verifies that the token was made for us and for this sign-in.
func (p *provider) meant(token *oidc.IDToken, c claims, f flow) error {
	switch {
	case token.Issuer != p.Issuer:
		return notHeld(p, errors.New("issuer is another"))
	case len(token.Audience) > 1 && c.Azp != p.ClientID, c.Azp != "" && c.Azp != p.ClientID:
		return notHeld(p, errors.New("the token was made for another client"))
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(f.Nonce)) != 1:
		return notHeld(p, errors.New("nonce is another"))
	case c.Subject == "" || len(c.Subject) > maxSubject:
		return notHeld(p, errors.New("subject is empty or too long"))
	}
	return nil
}

func notHeld(p *provider, cause error) error {
	e := gateway.Refused("oidc-token", "sign in again; if it happens again call the operator", "what provider %s says does not hold", p.Name)
	e.Cause = cause
	return e
}
