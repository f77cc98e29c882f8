package main

import (
	"crypto/ed25519"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

const asked = "https://gate.example"

// drawn is what a gateway of that URL draws up.
func drawn(t *testing.T, gate string, body statement.Body) api.SSHChallenge {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := statement.MachineKey{Private: key, Gateway: gate}.Sign(time.Now(), body)
	if err != nil {
		t.Fatal(err)
	}
	return api.SSHChallenge{Statement: string(s.Bytes), Sentence: body.Sentence(), Namespace: statement.OrderNamespace("gate.example")}
}

// A gateway, or who sits before it, has nothing signed but the order that was
// asked for.
func TestOrderIsHeldToWhatWasAsked(t *testing.T) {
	base, err := url.Parse(asked)
	if err != nil {
		t.Fatal(err)
	}
	acme := gateway.Scope{Kind: gateway.ScopeVendor, Name: "acme"}
	in := api.OrderParams{Scope: acme, Mode: gateway.ModeCut, Reason: "drill", Valid: 30 * 24 * 3600}
	good := func(edit func(*statement.Order)) *statement.Order {
		from := gateway.Instant(time.Now())
		b := &statement.Order{ID: gateway.NewID("ord", from), Scope: acme, Reason: "drill", From: from, To: from.Add(30 * 24 * time.Hour)}
		if edit != nil {
			edit(b)
		}
		return b
	}
	token := &statement.KeyRemove{Credential: "c", Person: "ben", Label: "laptop"}
	for name, c := range map[string]struct {
		got  api.SSHChallenge
		says string // empty: it is taken
	}{
		"what was asked":      {drawn(t, asked, good(nil)), ""},
		"another vendor":      {drawn(t, asked, good(func(b *statement.Order) { b.Scope.Name = "bolt" })), "the order is for vendor bolt"},
		"a milder mode":       {drawn(t, asked, good(func(b *statement.Order) { b.Mode = gateway.ModeNoNew })), "did not ask for"},
		"another reason":      {drawn(t, asked, good(func(b *statement.Order) { b.Reason = "no drill" })), "did not ask for"},
		"good for longer":     {drawn(t, asked, good(func(b *statement.Order) { b.To = b.To.Add(time.Hour) })), "is good for 721h"},
		"for another gateway": {drawn(t, "https://other.example", good(nil)), "for the gateway https://other.example"},
		"no order":            {drawn(t, asked, token), "something else signed than an order"},
		"no statement":        {api.SSHChallenge{Statement: "sign here"}, "does not read as a statement"},
		"another sentence": {func() api.SSHChallenge {
			c := drawn(t, asked, good(nil))
			c.Sentence = "I agree to nothing."
			return c
		}(), "a sentence that the statement does not say"},
		"another namespace": {func() api.SSHChallenge {
			c := drawn(t, asked, good(nil))
			c.Namespace = "file"
			return c
		}(), "for the gateway"},
	} {
		order, err := orderFor(c.got, base, in)
		switch {
		case c.says == "" && (err != nil || order.Scope != acme):
			t.Errorf("%s: %v", name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
