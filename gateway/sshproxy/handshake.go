package sshproxy

import (
	"bytes"
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

// userKeys are the algorithms that an engineer's key may sign with, a
// certified one too: whose it is stands in a signed statement, not in it.
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
	key             ssh.PublicKey     // that proved the person
	held            bool              // let in by the key alone: the touch is still to come
	outer           error             // why the user name opens nothing; the connection can be jumped from
	opened          func(Live, error) // told what became of the session, before anything of it is shown; may be nil
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
	signers []ssh.Signer
	jump    *jump      // what an inner connection came through; nil for all others
	inside  *admission // of the gateway's own client; nil for all others
	wire    *wire      // of the connection, once its first bytes are there
	pre     ssh.ServerPreAuthConn
	pending *Pending // one a connection, over all tries of its client
	asked   time.Time
	refused error      // said once; further tries get it again without a banner
	strange bool       // told that no key is enrolled
	offers  int        // of keys
	asks    bool       // the client wanted to be asked before it offered a key
	proof   *admission // by the first key; the same key again means that the client does not ask
}

func newHandshake(ctx context.Context, p *Proxy, nc net.Conn) *handshake {
	signers, err := p.c.HostSigners()
	if err != nil {
		p.c.Logger.Error("no host certificate", "error", err) // the handshake finds no key, and says so
	}
	return &handshake{ctx: ctx, p: p, nc: nc, signers: signers}
}

func (h *handshake) close() {
	if h.pending != nil {
		h.pending.Close()
	}
}

// run does the handshake. The socket's deadline bounds each of its parts.
func (h *handshake) run() (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	cfg := &ssh.ServerConfig{
		Config:                      strictAlgorithms(),
		PublicKeyAuthAlgorithms:     userKeys,
		MaxAuthTries:                maxAuthTries,
		PublicKeyCallback:           h.offered,
		VerifiedPublicKeyCallback:   h.proven,
		KeyboardInteractiveCallback: h.stranger,
		ServerVersion:               ownVersion,
		PreAuthConnCallback:         func(pre ssh.ServerPreAuthConn) { h.pre = pre },
	}
	if h.jump != nil {
		h.trustOuter(cfg)
	}
	if h.inside != nil {
		h.trustInside(cfg)
	}
	for _, s := range h.signers {
		cfg.AddHostKey(s)
	}
	until := time.Now().Add(h.p.c.HandshakeTime)
	if err := h.nc.SetDeadline(until); err != nil {
		return nil, nil, nil, err
	}
	sc, chans, reqs, err := serverConn(h.nc, cfg, until, &h.wire)
	if err != nil {
		return nil, nil, nil, err
	}
	return sc, chans, reqs, h.nc.SetDeadline(time.Time{})
}

// offered answers for a key that is not proven: it looks, and changes nothing.
// A key that is on file and refused may be proven all the same: its holder
// alone is told why.
func (h *handshake) offered(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	h.offers++
	_, k, err := h.owner(key)
	switch {
	case err == nil || k.Person != "":
		return nil, nil
	case h.asks && !h.strange: // stranger is not reached any more
		h.strange = true
		return nil, &ssh.BannerError{Err: err, Message: line("a key that your client offered is not enrolled; if it has no other, add one at " + h.p.c.URL + "/keys, then connect again")}
	}
	return nil, err
}

// proven runs once the client has signed with the key. A ticket lets it in at
// once; else the touch is asked for.
func (h *handshake) proven(meta ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
	if h.refused != nil {
		return nil, h.refused
	}
	if h.proof != nil {
		return h.letHold(meta, h.proof)
	}
	person, k, err := h.owner(key)
	ad := &admission{person: person, key: key}
	if err != nil {
		ad.person.Name = k.Person
		return nil, h.refuse(ad, err)
	}
	if ad.account, ad.target, err = ParseUser(meta.User()); err == nil {
		err = h.find(ad)
	}
	switch {
	case err != nil && h.p.c.TargetSigners != nil && outerName(meta.User()):
		ad.outer = err
		return ad.permissions(), nil
	case err != nil:
		return nil, h.refuse(ad, err)
	case ad.ticket:
		return ad.permissions(), nil
	}
	return h.askOrHold(meta, ad)
}

// find looks for the grant and for a ticket under it.
func (h *handshake) find(ad *admission) (err error) {
	if ad.grant, ad.request, err = h.p.c.Access.Usable(h.ctx, ad.person, ad.target, ad.account); err != nil {
		return err
	}
	ad.touch, ad.ticket, err = h.p.c.Access.TakeTicket(h.ctx, ad.person, ad.grant.ID, "")
	return err
}

// askOrHold chooses how the link is shown. Both ways are equally safe, so
// that hints decide which is the kinder; DESIGN.md tells what each is worth.
func (h *handshake) askOrHold(meta ssh.ConnMetadata, ad *admission) (*ssh.Permissions, error) {
	ask := ssh.ServerAuthCallbacks{
		KeyboardInteractiveCallback: func(meta ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			return h.touch(meta, ad, ask)
		},
	}
	switch {
	case h.asks:
		return nil, &ssh.PartialSuccessError{Next: ask}
	case strings.HasPrefix(string(meta.ClientVersion()), "SSH-2.0-OpenSSH"), strings.HasPrefix(ad.key.Type(), "sk-"):
		return h.letHold(meta, ad) // a second proof would tell nothing, or cost a second touch
	case strings.HasPrefix(string(meta.ClientVersion()), "SSH-2.0-paramiko"):
		return h.letHold(meta, ad) // it asks for the service anew before each method, which our library takes for an error
	}
	h.proof = ad
	ask.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), ad.key.Marshal()) {
			return nil, errors.New("another key than the one that was proven")
		}
		return nil, nil
	}
	return nil, &ssh.PartialSuccessError{Next: ask}
}

// letHold lets the key in alone. Its channels are held until the touch, and
// link and code are shown at once to clients that show banners.
func (h *handshake) letHold(meta ssh.ConnMetadata, ad *admission) (*ssh.Permissions, error) {
	if err := h.await(meta, ad); err != nil {
		return nil, h.refuse(ad, err)
	}
	ad.held = true
	if err := h.pre.SendAuthBanner(strings.ReplaceAll(h.invitation(ad), "\n", "\r\n")); err != nil {
		return nil, err
	}
	return ad.permissions(), nil
}

// stranger answers a client that wants to be asked before it has proven a
// key. It lets nobody in: one that has not offered a key yet is sent to its
// keys by a round that counts for nothing, and asked after them.
func (h *handshake) stranger(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	err := errors.New("no enrolled key")
	switch {
	case h.refused != nil || h.strange:
		return nil, err
	case h.offers == 0 && !h.asks:
		h.asks = true
		if err := h.round(ask, line("next your client is asked for a key of yours; if it has none, add one at "+h.p.c.URL+"/keys and connect again")); err != nil {
			return nil, err
		}
		if err := h.nc.SetDeadline(time.Now().Add(h.p.c.HandshakeTime)); err != nil {
			return nil, err
		}
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{PublicKeyCallback: h.offered}}
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

// await puts the connection up for a touch, once.
func (h *handshake) await(meta ssh.ConnMetadata, ad *admission) error {
	if h.pending != nil {
		return nil
	}
	pending, err := h.p.c.Identity.Await(h.ctx, Waiting{
		Person: ad.person, Grant: ad.grant, Request: ad.request, TransportID: hex.EncodeToString(meta.SessionID()),
		Source: h.nc.RemoteAddr().String(), Client: clientName(meta),
	})
	if err == nil {
		h.pending, h.asked = &pending, time.Now()
	}
	return err
}

type answer struct {
	touch statement.Signed
	err   error
}

// answered waits for the touch in its own goroutine, which ends with ctx. Its
// answer comes in any case, so that the caller can wait for it.
func (h *handshake) answered(ctx context.Context) <-chan answer {
	came := make(chan answer, 1)
	wait := h.pending.Wait
	go func() {
		s, err := wait(ctx)
		came <- answer{s, err}
	}()
	return came
}

// touch shows link and code and waits. An empty round each second keeps the
// client awake and notices when it has gone.
func (h *handshake) touch(meta ssh.ConnMetadata, ad *admission, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	if h.refused != nil {
		return nil, h.refused
	}
	if err := h.await(meta, ad); err != nil {
		return nil, h.refuse(ad, err)
	}
	ctx, cancel := context.WithDeadline(h.ctx, h.asked.Add(h.p.c.TouchTime))
	defer cancel()
	answered := h.answered(ctx)
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
			if a.err != nil {
				return nil, h.refuse(ad, h.unanswered(a.err))
			}
			ad.touch = a.touch
			return ad.permissions(), h.nc.SetDeadline(time.Now().Add(h.p.c.HandshakeTime))
		case <-rounds.C:
			if err := h.still(ad); err != nil {
				cancel()
				<-answered
				return nil, h.refuse(ad, err)
			}
		}
	}
}

// still asks again what let the connection wait: a key of a vendor that was
// suspended meanwhile, or a grant that is over, waits for nothing.
func (h *handshake) still(ad *admission) error {
	if _, _, err := h.owner(ad.key); err != nil {
		return err
	}
	_, _, err := h.p.c.Access.Usable(h.ctx, ad.person, ad.target, ad.account)
	return err
}

// unanswered words why no touch came.
func (h *handshake) unanswered(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return gateway.Refused("touch-time", "connect again when you have your key at hand", "nobody touched within %s", h.p.c.TouchTime)
	}
	return err
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
