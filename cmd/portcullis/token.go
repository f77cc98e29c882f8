package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a token that can order suspensions and nothing else; it is printed once."`
	List   tokenListCmd   `cmd:"" help:"List tokens."`
	Remove tokenRemoveCmd `cmd:"" help:"Make a token worthless."`
}

type tokenCreateCmd struct {
	SuspendOnly bool   `help:"The one kind of token there is." required:""`
	Name        string `help:"What it is for, as soar." required:""`
	Days        int64  `help:"How long it is good." default:"365"`
	Scope       string `help:"The one scope that it can close, as vendor:acme; any by default." placeholder:"KIND:NAME"`
}

// Run makes a token.
func (c *tokenCreateCmd) Run(r *run) error {
	in := api.TokenParams{Name: c.Name, Valid: c.Days * int64(day/time.Second)}
	if c.Scope != "" {
		kind, name, ok := strings.Cut(c.Scope, ":")
		if !ok {
			return usagef("--scope %q is not of the form vendor:NAME", c.Scope)
		}
		in.Scope = gateway.Scope{Kind: gateway.ScopeKind(kind), Name: name}
	}
	var out api.TokenMade
	if err := r.act(string(statement.KindToken), in, &out); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, out)
	}
	fmt.Fprintf(r.errOut, "Token %s (%s) is good until %s. It is shown this once:\n", out.Name, out.ID, moment(out.Expires))
	_, err := fmt.Fprintln(r.out, out.Secret)
	return err
}

type tokenListCmd struct{}

// Run lists tokens.
func (tokenListCmd) Run(r *run) error {
	return list(r, "/tokens", nil, "There is no token.", []string{"TOKEN", "NAME", "SCOPE", "BY", "UNTIL", "REMOVED"}, func(x gateway.Token) []string {
		scope := "any"
		if x.Scope != (gateway.Scope{}) {
			scope = x.Scope.String()
		}
		return []string{x.ID, x.Name, scope, x.By, moment(x.Expires), moment(x.Removed)}
	})
}

type tokenRemoveCmd struct {
	ID string `arg:"" help:"The token's identifier."`
}

// Run removes a token.
func (c *tokenRemoveCmd) Run(r *run) error {
	var x gateway.Token
	if err := r.post("/tokens/"+url.PathEscape(c.ID)+"/remove", map[string]string{}, &x); err != nil {
		return err
	}
	_, err := fmt.Fprintf(r.out, "Token %s (%s) is worth nothing now.\n", x.Name, x.ID)
	return err
}
