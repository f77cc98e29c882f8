package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/portcullis/portcullis/e2e/rig"
)

// TestOIDCLogin: a person signs in through the provider of their own vendor;
// the same provider speaks for nobody else, and its word opens nothing by
// itself.
func TestOIDCLogin(t *testing.T) {
	t.Parallel()
	accounts := map[string]rig.ProviderAccount{
		"ana":     {Email: "ana@acme.example", Verified: true},
		"bob":     {Email: "bob@bolt.example", Verified: true}, // acme's provider names bolt's engineer
		"adm":     {Email: "adm@utility.example", Verified: true},
		"mallory": {Email: "nobody@acme.example", Verified: true},
		"loose":   {Email: "ana@acme.example", Verified: false},
	}
	// The callback's address is known before the provider starts, and the
	// provider's before the gateway does.
	s := &story{T: t, ctx: t.Context()}
	dir := t.TempDir()
	g, err := rig.NewGateway(built, dir, "")
	s.must(err)
	p, err := rig.StartProvider(s.ctx, "oidc", accounts, g.URL+"/oidc/acme/callback")
	s.must(err)
	t.Cleanup(func() { _ = p.Stop() })
	secret := filepath.Join(dir, "secret")
	s.must(os.WriteFile(secret, []byte(p.Secret+"\n"), 0o600))
	g.Configure(fmt.Sprintf("identity:\n  providers:\n    - {name: acme, issuer: %q, client: %s, secret_file: %s, vendor: acme}\n", p.Issuer, p.Client, secret))
	if _, err := g.Init(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.must(g.Start(s.ctx))
	s.Stage = &rig.Stage{Gateway: g, Plant: &rig.Plant{Addr: "127.0.0.1:22", HostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGKh6cIEFmDP4ZzEJZ0CGV4v0fjd5hPYbCNvLVYkhhQz", Login: "ops"}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", tail(g.Log(), 10_000))
		}
		g.Kill()
	})
	s.must(s.Apply(s.ctx, s.PlantFile()))

	chrome := chromium(t)
	ana := newSeat(t, chrome, g.URL)
	t.Run("her own provider", func(t *testing.T) {
		ana.provider("ana")
		ana.until("home", "location.pathname === '/'")
		ana.reads("Ana Ruiz")
		// Signed in is not touched: a statement cannot be signed without a key.
		status := js[int](ana, `fetch('/api/v1/acts', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({kind: 'sshkey.add', params: {key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGKh6cIEFmDP4ZzEJZ0CGV4v0fjd5hPYbCNvLVYkhhQz', label: 'x'}})}).then(r => r.status)`)
		if status < 400 {
			t.Errorf("a statement was drawn up for somebody without a key: %d", status)
		}
	})
	for _, who := range []string{"bob", "adm", "mallory", "loose"} {
		t.Run("refused: "+who, func(t *testing.T) {
			seat := newSeat(t, chrome, g.URL)
			seat.provider(who)
			seat.until("the refusal", "location.pathname.endsWith('/callback') || location.pathname === '/login'")
			if seat.has("body.in") {
				t.Errorf("acme's provider signed %s in:\n%s", who, seat.text())
			}
			if seat.text() == "" {
				t.Error("refused without a word")
			}
		})
	}
	s.told("login.refused", "")
	// nobody new signs in, and nothing else waits for it; the gate falls
	// by the socket.
	t.Run("the provider is down", func(t *testing.T) {
		s.must(p.Stop())
		seat := newSeat(t, chrome, g.URL)
		seat.open("/login")
		seat.press("Continue with")
		seat.until("a sentence", "document.body.innerText.length > 80")
		if got := s.Machine().Get(s.ctx, "/api/v1/me", nil); got != nil {
			t.Errorf("the gateway does not answer while a provider is down: %v", got)
		}
		ana.open("/")
		ana.reads("Ana Ruiz") // who was signed in stays so
		s.suspend("vendor", rig.Acme, "their provider does not answer")
		ana.open("/")
		ana.until("the login page", "location.pathname === '/login'")
	})
}

// provider signs in at the provider's own pages.
func (s *seat) provider(login string) {
	s.t.Helper()
	s.open("/login")
	s.press("Continue with")
	s.until("the provider's page", "document.querySelector('[name=login]')")
	s.fill("login", login)
	s.fill("password", "any")
	s.press("Sign-in")
	s.until("consent", "[...document.querySelectorAll('button')].some(b => b.innerText.trim() === 'Continue')")
	s.press("Continue")
	s.until("back at the gateway", fmt.Sprintf("location.origin === %q && document.readyState === 'complete'", s.base))
}
