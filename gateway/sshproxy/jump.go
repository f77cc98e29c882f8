package sshproxy

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// MaxJumps is how many channels an outer connection may have open, each of
// them one inner connection.
const MaxJumps = 16

// targetPort is the one port of a target that can be jumped to. The number is
// a word for "its SSH": where it really listens stands in its definition.
const targetPort = 22

// jump is what an inner connection has from its outer one: who, and where to.
type jump struct {
	outer  *admission
	target string
}

// outerName is whether a user name that opens nothing may still be that of a
// connection that is jumped from. Clients send the local login name there.
func outerName(s string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@\\"
	return s != "" && len(s) <= gateway.MaxName && strings.Trim(s, allowed) == ""
}

// serveJumps serves a connection that is jumped from. It is no session: it
// says who, lives while something inner does, and reaches nothing.
func (c *conn) serveJumps(ctx context.Context, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	defer c.wg.Wait()
	defer c.sc.Close()
	c.wg.Go(func() { _ = c.sc.Wait(); close(c.gone) })
	c.wg.Go(func() { ssh.DiscardRequests(reqs) })
	ended := make(chan struct{}, MaxJumps)
	open := 0
	idle := time.NewTimer(FirstChannelTime)
	defer idle.Stop()
	for {
		select {
		case n, ok := <-chans:
			if !ok {
				return
			}
			serve := c.jumpTo(ctx, n)
			if open == MaxJumps {
				_ = n.Reject(ssh.ResourceShortage, "no more channels on this connection; make a new one")
				continue
			}
			open++
			idle.Stop()
			c.wg.Go(c.contained(func() {
				defer func() { ended <- struct{}{} }()
				serve()
			}))
		case <-ended:
			if open--; open == 0 {
				idle.Reset(FirstChannelTime)
			}
		case <-idle.C:
			return
		case <-ctx.Done(): // what is inner says its farewell and ends
			for ; open > 0; open-- {
				<-ended
			}
			return
		}
	}
}

// jumpTo says how to serve a channel of an outer connection.
func (c *conn) jumpTo(ctx context.Context, n ssh.NewChannel) func() {
	switch kind := n.ChannelType(); kind {
	case "session":
		return func() { c.opensNothing(n) }
	case "direct-tcpip":
		target, err := parseJump(n.ExtraData())
		if err != nil {
			return func() { c.refuseJump(n, target, err) }
		}
		return func() { c.inner(ctx, n, target) }
	default:
		why, ok := notCarried[kind]
		if !ok {
			why = "channels of this kind are not carried"
		}
		return func() { c.refuseJump(n, "", gateway.Refused("channel", "", "%s", why)) }
	}
}

// parseJump reads what a direct-tcpip channel is asked for (RFC 4254 clause
// 7.2). Only targets by name are jumped to.
func parseJump(payload []byte) (target string, err error) {
	var m struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if ssh.Unmarshal(payload, &m) != nil {
		return "", gateway.Refused("jump", "write ssh -J gateway ACCOUNT@TARGET", "the address cannot be read")
	}
	_, notAddress := netip.ParseAddr(m.Host)
	if gateway.CheckName("target", m.Host) != nil || notAddress == nil || m.Port != targetPort {
		return "", gateway.Refused("jump", "write ssh -J gateway ACCOUNT@TARGET with the target's name",
			"port forwarding is not carried, and %s port %d names no target to jump to", gateway.Quote(printable(m.Host, gateway.MaxName)), m.Port)
	}
	return m.Host, nil
}

func (c *conn) refuseJump(n ssh.NewChannel, target string, err error) {
	e := gateway.AsError(err)
	c.p.c.Sessions.Refuse(c.h.ctx, Refusal{
		Person: c.ad.person.Name, Vendor: c.ad.person.Vendor, Target: target, Source: c.nc.RemoteAddr().String(), Rule: e.Rule, Sentence: e.Sentence(),
	})
	_ = n.Reject(ssh.Prohibited, e.Sentence())
}

// opensNothing answers a shell or command on a connection whose user name
// names nothing that this person may open.
func (c *conn) opensNothing(n ssh.NewChannel) {
	e := gateway.AsError(c.ad.outer)
	c.p.c.Sessions.Refuse(c.h.ctx, Refusal{
		Person: c.ad.person.Name, Vendor: c.ad.person.Vendor, Target: c.ad.target, Account: c.ad.account,
		Source: c.nc.RemoteAddr().String(), Rule: e.Rule, Sentence: e.Sentence(),
	})
	ch := &channel{c: c}
	ch.nowhere(n, &gateway.Ended{Reason: gateway.EndNotGranted, Detail: e.Sentence()})
}

// inner answers the SSH of an inner connection itself, under the target's
// name. Nothing is dialled for it but by its own session.
func (c *conn) inner(ctx context.Context, n ssh.NewChannel, target string) {
	signers, err := c.p.c.TargetSigners(target)
	if err != nil {
		c.p.log.Error("no host certificate", "target", target, "error", err)
		_ = n.Reject(ssh.ConnectionFailed, "the gateway has no host certificate for it")
		return
	}
	ch, reqs, err := n.Accept()
	if err != nil {
		return
	}
	s := newStream(c, ch, reqs)
	defer func() { _ = s.Close() }()
	h := newHandshake(ctx, c.p, s)
	h.signers, h.jump = signers, &jump{outer: c.ad, target: target}
	c.p.converse(ctx, h, func() {})
}

// trustOuter makes the handshake one of an inner connection: whoever proved
// the outer one is let in without a key, or with one of the same person.
func (h *handshake) trustOuter(cfg *ssh.ServerConfig) {
	cfg.KeyboardInteractiveCallback = nil
	cfg.NoClientAuth = true
	cfg.NoClientAuthCallback = h.jumped
	cfg.VerifiedPublicKeyCallback = func(meta ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
		person, _, err := h.owner(key)
		if err != nil || person.Name != h.jump.outer.person.Name {
			return nil, errors.New("a key of somebody else than the outer connection's")
		}
		return h.jumped(meta)
	}
}

// jumped lets the outer connection's person in, if everything that let the
// person in there still holds.
func (h *handshake) jumped(meta ssh.ConnMetadata) (*ssh.Permissions, error) {
	if h.refused != nil {
		return nil, h.refused
	}
	person, k, err := h.owner(h.jump.outer.key)
	ad := &admission{person: person, key: h.jump.outer.key, target: h.jump.target}
	if err != nil {
		ad.person.Name = k.Person
		return nil, h.refuse(ad, err)
	}
	if err := gateway.CheckName("account", meta.User()); err != nil {
		return nil, h.refuse(ad, gateway.Refused("user-name", "write ssh -J gateway ACCOUNT@TARGET, in lower case", "the user name %s does not name an account", gateway.Quote(printable(meta.User(), gateway.MaxName))))
	}
	ad.account = meta.User()
	if err := h.find(ad); err != nil {
		return nil, h.refuse(ad, err)
	}
	if ad.ticket {
		return ad.permissions(), nil
	}
	return h.letHold(meta, ad)
}
