package sshproxy_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/sshproxy"
	"github.com/portcullis/portcullis/gateway/statement"
)

// V-03: who is shown to be somebody is who signed, not whose key was offered
// on the way there; and a signature by one key never proves another.
func TestIdentityIsWhoSigned(t *testing.T) {
	bob := signer(t)
	var seen *seesPeople
	w := newWorld(t, func(c *sshproxy.Config) {
		c.Identity = alsoBob{c.Identity, bob.PublicKey()}
		seen = &seesPeople{Access: c.Access}
		c.Access = seen
	})
	w.fake(signer(t), exits(0))
	forger := keyed(t, w.addr)
	forger.service()
	forger.say(msgAuthRequest, forger.publicKey("root+pump-7", bob, w.user.PublicKey()))
	forger.cut("ana's key with bob's signature")
	e := keyed(t, w.addr)
	e.service()
	for range 2 { // ana's key is asked about, and never signed with
		e.say(msgAuthRequest, authRequest{"root+pump-7", connectionService, "publickey", ssh.Marshal(struct {
			Has       bool
			Algorithm string
			Key       []byte
		}{false, "ssh-ed25519", w.user.PublicKey().Marshal()})})
		e.must(msgAuthPKOK)
	}
	if names := seen.people(); len(names) != 0 {
		t.Errorf("a key that was not proven looked for a grant of %q", names)
	}
	e.say(msgAuthRequest, e.publicKey("root+pump-7", bob, bob.PublicKey()))
	e.must(msgAuthSuccess)
	if names := seen.people(); len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return n != "bob" }) {
		t.Errorf("the grant was looked up for %q", names)
	}
}

// alsoBob knows a second person.
type alsoBob struct {
	sshproxy.Identity
	key ssh.PublicKey
}

func (i alsoBob) Owner(ctx context.Context, key ssh.PublicKey) (gateway.Person, gateway.SSHKey, error) {
	if bytes.Equal(key.Marshal(), i.key.Marshal()) {
		return gateway.Person{Name: "bob", Vendor: "acme", State: gateway.Active, Epoch: 1}, gateway.SSHKey{Person: "bob"}, nil
	}
	return i.Identity.Owner(ctx, key)
}

// seesPeople notes for whom grants are looked up.
type seesPeople struct {
	sshproxy.Access
	mu    sync.Mutex
	names []string
}

func (a *seesPeople) Usable(ctx context.Context, p gateway.Person, target, account string) (gateway.Grant, gateway.Request, error) {
	a.mu.Lock()
	a.names = append(a.names, p.Name)
	a.mu.Unlock()
	return a.Access.Usable(ctx, p, target, account)
}

func (a *seesPeople) people() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.names)
}

// V-05: what the key settled still binds the connection after the touch that
// came second: the target and account, the abilities, the end of the window.
// A user name that is changed between the two changes none of it.
func TestFirstFactorStillBinds(t *testing.T) {
	for _, second := range []string{"root+pump-7", "root+pump-9", "pump-7"} {
		t.Run(second, func(t *testing.T) {
			w := newWorld(t)
			w.acc.noTicket = true
			w.may(gateway.Abilities{Exec: true})
			w.fake(signer(t), exits(0))
			e := keyed(t, w.addr)
			e.service()
			e.say(msgAuthRequest, e.publicKey("root+pump-7", w.user, w.user.PublicKey()))
			p := e.must(msgAuthFailure)
			var m struct {
				List    string
				Partial bool
			}
			if err := ssh.Unmarshal(p[1:], &m); err != nil || !m.Partial {
				t.Fatalf("%+v, %v", m, err)
			}
			if err := e.send(message(msgAuthRequest, authRequest{second, connectionService, "keyboard-interactive", ssh.Marshal(struct{ L, S string }{})})); err != nil {
				t.Fatal(err)
			}
			if second != "root+pump-7" {
				e.cut("another user name after the first factor")
				return
			}
			e.must(msgAuthInfoRequest)
			wt := <-w.id.waiting
			wt.touched <- touched{s: w.touch(statement.BindSSH, wt.TransportID)}
			for { // the rounds that keep a client awake
				e.say(61, struct{ N uint32 }{0})
				p, err := e.recv()
				if err != nil {
					t.Fatal(err)
				}
				if p[0] == msgAuthSuccess {
					break
				}
			}
			l := w.lastLive()
			if l.Target().Name != "pump-7" || l.Account().Name != "root" || wt.Grant.ID != grantID {
				t.Errorf("target %s, account %s, grant %s", l.Target().Name, l.Account().Name, wt.Grant.ID)
			}
			if r := l.Session(); !r.Until.Equal(w.acc.to) || r.Person != "ana" {
				t.Errorf("the session is %+v", r)
			}
			if _, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelShell}); err == nil {
				t.Error("a shell under a grant of exec")
			}
			e.exec(3, "id")
		})
	}
}
