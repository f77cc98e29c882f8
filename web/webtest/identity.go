package webtest

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
)

// Identity returns the world behind the pages' interface. Whoever finishes a
// login there is ana.
func (w *World) Identity() web.Identity { return identity{w} }

type identity struct{ *World }

func (i identity) BeginLogin(context.Context) (web.Ceremony, error) {
	return web.Ceremony{ID: "login-1", Options: json.RawMessage(`{"challenge":"AAAA","userVerification":"required"}`)}, i.did("begin login")
}

func (i identity) FinishLogin(ctx context.Context, id string, _ []byte, c web.Client) (string, gateway.Person, error) {
	if id != "login-1" {
		return "", gateway.Person{}, gateway.Refused("login", "begin again", "this sign-in was not begun here")
	}
	p, err := directory(i).Person(ctx, "ana")
	if err != nil {
		return "", p, err
	}
	return i.SignIn("ana"), p, i.did("finish login %s", c.UserAgent)
}

func (i identity) ByToken(ctx context.Context, token string, _ web.Client) (gateway.Login, gateway.Person, error) {
	i.mu.Lock()
	name, ok := i.logins[token]
	i.mu.Unlock()
	if !ok {
		return gateway.Login{}, gateway.Person{}, &gateway.Error{Code: gateway.CodeSignIn, Rule: "login", Text: "this login has ended", Next: "sign in with your key"}
	}
	p, err := directory(i).Person(ctx, name)
	return gateway.Login{ID: "lgn_" + name, Person: name, Method: "webauthn", Source: "203.0.113.44"}, p, err
}

func (i identity) Peek(ctx context.Context, token string, c web.Client) (gateway.Login, gateway.Person, error) {
	l, p, err := i.ByToken(ctx, token, c)
	if err == nil {
		err = i.did("peek %s", token)
	}
	return l, p, err
}

func (i identity) Logout(_ context.Context, token string) error {
	i.mu.Lock()
	delete(i.logins, token)
	i.mu.Unlock()
	return i.did("logout %s", token)
}

func (i identity) Providers() []web.ProviderInfo {
	return []web.ProviderInfo{{Name: "acme", Title: "Acme Metering"}}
}

func (i identity) BeginOIDC(_ context.Context, provider string) (string, string, error) {
	if provider != "acme" {
		return "", "", gateway.NotFound("provider", provider)
	}
	return "https://login.acme.example/authorize?state=s", "state-of-acme", i.did("begin oidc")
}

func (i identity) FinishOIDC(ctx context.Context, _, state string, query url.Values, _ web.Client) (string, gateway.Person, error) {
	if state != "state-of-acme" || query.Get("code") == "" {
		return "", gateway.Person{}, gateway.Refused("state", "begin again", "the provider's answer does not belong to this browser")
	}
	p, err := directory(i).Person(ctx, "ana")
	return i.SignIn("ana"), p, err
}

func (i identity) InvitationByToken(ctx context.Context, token string) (gateway.Invitation, gateway.Person, error) {
	if token != "good" {
		return gateway.Invitation{}, gateway.Person{}, gateway.Refused("invitation", "ask an administrator for a new one", "this invitation was used, has expired, or never was")
	}
	p, err := directory(i).Person(ctx, "ben")
	return gateway.Invitation{Person: "ben", Expires: i.Now.Add(20 * time.Hour)}, p, err
}

func (i identity) BeginEnrol(_ context.Context, who web.Enroller, label string) (web.Ceremony, error) {
	return web.Ceremony{ID: "enrol-1", Options: json.RawMessage(`{"challenge":"AAAA"}`)}, i.did("begin enrol %s %s %s", who.Token, who.Person.Name, label)
}

func (i identity) EnrolCreated(context.Context, string, []byte) ([]api.Challenge, error) {
	return []api.Challenge{{ID: "enrol-1", Sentence: "Enrol key."}}, i.did("enrol created")
}

func (i identity) FinishEnrol(ctx context.Context, _ string, assertions [][]byte, _ web.Client) (string, gateway.Person, error) {
	p, err := directory(i).Person(ctx, "ben")
	if err != nil {
		return "", p, err
	}
	return i.SignIn("ben"), p, i.did("finish enrol %d", len(assertions))
}

func (i identity) Keys(_ context.Context, person string) ([]gateway.Authenticator, []gateway.SSHKey, error) {
	var keys []gateway.Authenticator
	for _, k := range i.World.Keys {
		if k.Person == person {
			keys = append(keys, k)
		}
	}
	var ssh []gateway.SSHKey
	for _, k := range i.SSHKeys {
		if k.Person == person {
			ssh = append(ssh, k)
		}
	}
	return keys, ssh, i.did("keys %s", person)
}

func (i identity) PendingOf(_ context.Context, id, person string) (web.Waiting, string, error) {
	if id != "pending-1" || person != "ana" {
		return web.Waiting{}, "", gateway.NotFound("waiting connection", id)
	}
	return web.Waiting{Person: i.World.People[0], Grant: i.Grants[0], Request: i.Requests[2], TransportID: "00ff", Source: "203.0.113.44:51822", Client: "SSH-2.0-OpenSSH_9.6"}, "K7-4Q2", nil
}

func (i identity) RefusePending(_ context.Context, id, person string) error {
	return i.did("refuse pending %s %s", id, person)
}
