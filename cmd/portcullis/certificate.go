package main

import (
	"context"
	"encoding/json"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
)

// windows is access as package identity asks for it. It is joined before
// access is open, and asked after.
type windows struct{ r *rooms }

func (w windows) Longest(ctx context.Context, p gateway.Person) (gateway.Grant, error) {
	return w.r.access.Longest(ctx, p)
}

func (w windows) Standing(ctx context.Context, p gateway.Person, id string) (gateway.Grant, error) {
	return w.r.access.Standing(ctx, p, id)
}

// certificates is identity as the pages and the API ask for SSH certificates.
type certificates struct{ *gatewayd }

func (c certificates) Begin(ctx context.Context, in api.TerminalParams, source string) (api.TerminalBegun, error) {
	b, err := c.identity.BeginSSHCertificate(ctx, in.Key, in.Client, source)
	return api.TerminalBegun{Link: c.cfg.URL + "/certificate/" + b.Link, Code: b.Code, Ticket: b.Ticket, Expires: b.Expires}, err
}

// Wait says how to use what was issued, too.
func (c certificates) Wait(ctx context.Context, ticket string) (api.SSHCertified, error) {
	got, done, err := c.identity.AwaitSSHCertificate(ctx, ticket)
	if err != nil || !done {
		return api.SSHCertified{Waiting: !done}, err
	}
	out := api.SSHCertified{Certificate: got.Line, Terms: &got.Certificate}
	g, err := c.access.Grant(ctx, got.Certificate.Grant)
	if err == nil {
		out.Command = sshCommand(g.Account, g.Target, c.sshAddress())
	}
	return out, err
}

func (c certificates) Terminal(link string) (web.SSHTerminal, error) {
	t, err := c.identity.SSHTerminal(link)
	return web.SSHTerminal(t), err
}

func (c certificates) RefuseTerminal(link string) error { return c.identity.RefuseSSHTerminal(link) }

func (c certificates) Preview(ctx context.Context, p gateway.Person, link string) (gateway.SSHCertificate, error) {
	b, err := c.identity.DraftSSHCertificate(ctx, p, link)
	if err != nil {
		return gateway.SSHCertificate{}, err
	}
	return b.Certificate(gateway.Digest{}), nil
}

func (c certificates) List(ctx context.Context, person string) ([]gateway.SSHCertificate, error) {
	return c.identity.SSHCertificates(ctx, person)
}

func (c certificates) Revoke(ctx context.Context, by gateway.Person, fingerprint, source string) error {
	return c.identity.RevokeSSHCertificate(ctx, by, fingerprint, source)
}

func (c certificates) AttestChallenge(person string) (string, error) {
	return c.identity.AttestChallenge(person)
}

// sshCertAct issues a certificate to the terminal behind a link.
func (r *rooms) sshCertAct() api.Act {
	return api.Act{
		Draft: func(ctx context.Context, by gateway.Person, login *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return drafted(raw, func(in api.SSHCertParams) (*statement.SSHCertIssue, error) {
				if login == nil {
					return nil, gateway.Refused("touch", "the engineer opens the link in the browser", "a person signs in by touch, never the machine")
				}
				return r.identity.DraftSSHCertificate(ctx, by, in.Terminal)
			})
		},
		Commit: func(ctx context.Context, s statement.Signed) (any, error) {
			return r.identity.CommitSSHCertificate(ctx, s)
		},
	}
}
