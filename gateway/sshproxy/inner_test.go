package sshproxy

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// keyring knows people by their keys, and puts nobody up for a touch.
type keyring map[string]string

func (k keyring) Owner(_ context.Context, key ssh.PublicKey) (gateway.Person, gateway.SSHKey, error) {
	name, ok := k[string(key.Marshal())]
	if !ok {
		return gateway.Person{}, gateway.SSHKey{}, gateway.NotFound("key", "x")
	}
	return gateway.Person{Name: name}, gateway.SSHKey{Person: name}, nil
}

func (keyring) Await(context.Context, Waiting) (Pending, error) {
	return Pending{}, errors.New("nobody waits here")
}

// V-03: the outer connection's person is the inner's.
//
// Of an inner connection that skips "none" only a key of the outer person is
// taken, however well another is enrolled.
func TestInnerKeyOfSomebodyElse(t *testing.T) {
	var keys [3]ssh.PublicKey
	for i := range keys {
		pub, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if keys[i], err = ssh.NewPublicKey(pub); err != nil {
			t.Fatal(err)
		}
	}
	ring := keyring{string(keys[0].Marshal()): "ana", string(keys[1].Marshal()): "bob"}
	h := &handshake{
		ctx: t.Context(), p: &Proxy{c: Config{Identity: ring}}, refused: errors.New("as ana"),
		jump: &jump{outer: &admission{person: gateway.Person{Name: "ana"}, key: keys[0]}, target: "pump-7"},
	}
	var cfg ssh.ServerConfig
	h.trustOuter(&cfg)
	for i, want := range []string{"as ana", "somebody else", "somebody else"} {
		if _, err := cfg.VerifiedPublicKeyCallback(nil, keys[i], nil, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("key %d: %v", i, err)
		}
	}
}
