package sshproxy

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// userKeys are the algorithms that an engineer's key may sign with. No
// certificates: whose key it is stands in a signed statement, not in them.
var userKeys = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
}

// admission is what the finished handshake says. It travels in the
// permissions, which the library returns for the factors that were proven and
// for no others.
type admission struct {
	person          gateway.Person
	account, target string
	grant           gateway.Grant
	request         gateway.Request
	touch           statement.Signed
	ticket          bool
}

type admissionKey struct{}

func admissionOf(p *ssh.Permissions) *admission {
	if p == nil {
		return nil
	}
	ad, _ := p.ExtraData[admissionKey{}].(*admission)
	return ad
}

func (ad *admission) permissions() *ssh.Permissions {
	return &ssh.Permissions{ExtraData: map[any]any{admissionKey{}: ad}}
}

// handshake is one connection until it is authenticated. The library calls
// its methods one after another, from the goroutine that calls run.
type handshake struct {
	ctx     context.Context
	p       *Proxy
	nc      net.Conn
	pending *Pending // one a connection, over all tries of its client
	asked   time.Time
	refused error // said once; further tries get it again without a banner
	strange bool  // told that no key is enrolled
}

func newHandshake(ctx context.Context, p *Proxy, nc net.Conn) *handshake {
	return &handshake{ctx: ctx, p: p, nc: nc}
}

func (h *handshake) close() {
	if h.pending != nil {
		h.pending.Close()
	}
}

// run does the handshake. The socket's deadline bounds each of its parts.
func (h *handshake) run() (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	cfg := &ssh.ServerConfig{
		Config:                      algorithms(),
		PublicKeyAuthAlgorithms:     userKeys,
		MaxAuthTries:                maxAuthTries,
		PublicKeyCallback:           h.offered,
		VerifiedPublicKeyCallback:   h.proven,
		KeyboardInteractiveCallback: h.stranger,
		ServerVersion:               ownVersion,
	}
	for _, s := range h.p.c.HostSigners {
		cfg.AddHostKey(s)
	}
	until := time.Now().Add(h.p.c.HandshakeTime)
	if err := h.nc.SetDeadline(until); err != nil {
		return nil, nil, nil, err
	}
	sc, chans, reqs, err := serverConn(h.nc, cfg, until)
	if err != nil {
		return nil, nil, nil, err
	}
	return sc, chans, reqs, h.nc.SetDeadline(time.Time{})
}

// offered answers for a key that is not proven: it looks, and changes nothing.
// A key that is on file and refused may be proven all the same: its holder
// alone is told why.
func (h *handshake) offered(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if _, k, err := h.p.c.Identity.Owner(h.ctx, key); err != nil && k.Person == "" {
		return nil, err
	}
	return nil, nil
}

// proven runs once the client has signed with the key. A ticket lets it in at
// once; else the touch is asked for.
func (h *handshake) proven(meta ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
	if h.refused != nil {
		return nil, h.refused
	}
	person, k, err := h.p.c.Identity.Owner(h.ctx, key)
	ad := &admission{person: person}
	if err != nil {
		ad.person.Name = k.Person
		return nil, h.refuse(ad, err)
	}
	if ad.account, ad.target, err = ParseUser(meta.User()); err != nil {
		return nil, h.refuse(ad, err)
	}
	if ad.grant, ad.request, err = h.p.c.Access.Usable(h.ctx, person, ad.target, ad.account); err != nil {
		return nil, h.refuse(ad, err)
	}
	if ad.touch, ad.ticket, err = h.p.c.Access.TakeTicket(h.ctx, person, ad.grant.ID); err != nil {
		return nil, h.refuse(ad, err)
	}
	if ad.ticket {
		return ad.permissions(), nil
	}
	return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
		KeyboardInteractiveCallback: func(meta ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			return h.touch(meta, ad, key, ask)
		},
	}}
}

// stranger answers a client none of whose keys is enrolled. It lets nobody in.
func (h *handshake) stranger(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	err := errors.New("no enrolled key")
	if h.refused != nil || h.strange {
		return nil, err
	}
	h.strange = true
	return nil, &ssh.BannerError{Err: err, Message: line("none of the keys that your client offered is enrolled; add one at " + h.p.c.URL + "/keys, then connect again")}
}

// refuse says no to a proven person: banner, event, and the same answer to
// every further try on this connection.
func (h *handshake) refuse(ad *admission, err error) error {
	e := gateway.AsError(err)
	h.refused = e
	h.p.c.Sessions.Refuse(h.ctx, Refusal{
		Person: ad.person.Name, Vendor: ad.person.Vendor, Target: ad.target, Account: ad.account, Grant: ad.grant.ID,
		Source: h.nc.RemoteAddr().String(), Rule: e.Rule, Sentence: e.Sentence(),
	})
	return &ssh.BannerError{Err: e, Message: line(e.Sentence())}
}

// touch shows link and code and waits. An empty round each second keeps the
// client awake and notices when it has gone.
func (h *handshake) touch(meta ssh.ConnMetadata, ad *admission, key ssh.PublicKey, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	if h.refused != nil {
		return nil, h.refused
	}
	if h.pending == nil {
		w := Waiting{
			Person: ad.person, Grant: ad.grant, Request: ad.request, TransportID: hex.EncodeToString(meta.SessionID()),
			Source: h.nc.RemoteAddr().String(), Client: clientName(meta),
		}
		pending, err := h.p.c.Identity.Await(h.ctx, w)
		if err != nil {
			return nil, h.refuse(ad, err)
		}
		h.pending, h.asked = &pending, time.Now()
	}
	ctx, cancel := context.WithDeadline(h.ctx, h.asked.Add(h.p.c.TouchTime))
	defer cancel()
	type answer struct {
		touch statement.Signed
		err   error
	}
	answered := make(chan answer, 1)
	wait := h.pending.Wait
	go func() { // ends with ctx, which this call cancels and then waits for
		s, err := wait(ctx)
		answered <- answer{s, err}
	}()
	rounds := time.NewTicker(RoundEvery)
	defer rounds.Stop()
	text := h.invitation(ad)
	for {
		if err := h.round(ask, text); err != nil {
			cancel()
			<-answered
			return nil, fmt.Errorf("client left while waiting for the touch: %w", err)
		}
		text = ""
		select {
		case a := <-answered:
			return h.touched(ad, a.touch, a.err)
		case <-rounds.C:
			if err := h.still(ad, key); err != nil {
				cancel()
				<-answered
				return nil, h.refuse(ad, err)
			}
		}
	}
}

// still asks again what let the connection wait: a key of a vendor that was
// suspended meanwhile, or a grant that is over, waits for nothing.
func (h *handshake) still(ad *admission, key ssh.PublicKey) error {
	if _, _, err := h.p.c.Identity.Owner(h.ctx, key); err != nil {
		return err
	}
	_, _, err := h.p.c.Access.Usable(h.ctx, ad.person, ad.target, ad.account)
	return err
}

func (h *handshake) touched(ad *admission, touch statement.Signed, err error) (*ssh.Permissions, error) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, h.refuse(ad, gateway.Refused("touch-time", "connect again when you have your key at hand", "nobody touched within %s", h.p.c.TouchTime))
	case err != nil:
		return nil, h.refuse(ad, err)
	}
	ad.touch = touch
	return ad.permissions(), h.nc.SetDeadline(time.Now().Add(h.p.c.HandshakeTime))
}

// round sends one information request without prompts (RFC 4256 clause 3.2).
func (h *handshake) round(ask ssh.KeyboardInteractiveChallenge, text string) error {
	if err := h.nc.SetDeadline(time.Now().Add(RoundTime)); err != nil {
		return err
	}
	_, err := ask("", text, nil, nil)
	return err
}

func (h *handshake) invitation(ad *admission) string {
	return fmt.Sprintf("Touch your security key to open %s on %s (until %s):\n\n    %s/touch/%s\n\nGo on only if that page shows the code %s. Waiting for the touch; Ctrl-C gives up.\n",
		ad.grant.Account, ad.grant.Target, ad.grant.To.UTC().Format("15:04 UTC"), h.p.c.URL, h.pending.ID, h.pending.Code)
}

func clientName(meta ssh.ConnMetadata) string {
	return printable(strings.TrimPrefix(string(meta.ClientVersion()), "SSH-2.0-"), maxClientName)
}

// line words a sentence for a terminal, in raw mode or not.
func line(s string) string { return "portcullis: " + s + ".\r\n" }
