package sshproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/socket"
	"github.com/portcullis/portcullis/gateway/statement"
)

// leg is the connection to the target.
type leg struct {
	ssh.Conn
	chans <-chan ssh.NewChannel
	reqs  <-chan *ssh.Request
	pulse *pulse
	said  []string // before it let us in
}

// dial reaches the target, holds its host key to what is on file, and proves
// the account. The error is the cause that the session ends with.
func dial(live Live, patience time.Duration, every beat) (*leg, *gateway.Ended, error) {
	ctx, cancel := context.WithTimeout(live.Context(), DialTime)
	defer cancel()
	t := live.Target()
	unreachable := func(why string, err error) (*leg, *gateway.Ended, error) {
		return nil, &gateway.Ended{Reason: gateway.EndTarget, Detail: why}, err
	}
	auth, err := live.Credential(ctx)
	if err != nil {
		return unreachable("the gateway has no credential for it", err)
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return unreachable(dialWord(err), err)
	}
	probed(nc, every)
	still := &socket.Rest{}
	if err := live.Attach(targetSocket{nc, still}); err != nil {
		_ = nc.Close()
		return nil, causeOf(live), err
	}
	pins, before := readPins(t.HostKeys), &banner{}
	cfg := &ssh.ClientConfig{
		Config: algorithmsFor(t), User: live.Account().Login, Auth: auth, ClientVersion: ownVersion,
		HostKeyAlgorithms: pins.allowing(t, pins.algorithms()), HostKeyCallback: pins.check, BannerCallback: before.add,
	}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		_ = nc.Close()
		return unreachable("the connection broke", err)
	}
	l, err := clientConn(nc, t.Address, cfg, still)
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = nc.Close()
		if changed := (*hostKeyError)(nil); errors.As(err, &changed) {
			return nil, &gateway.Ended{Reason: gateway.EndHostKey, Detail: changed.Error()}, err
		}
		return unreachable(handshakeWord(err, patience), err)
	}
	l.said = before.words()
	live.Weak(weakOf(l.Conn))
	return l, nil, nil
}

func dialWord(err error) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("it did not answer within %s", DialTime)
	}
	return "it refused the connection"
}

func handshakeWord(err error, patience time.Duration) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("it took the connection and then said nothing for %s", patience)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return "it did not accept the gateway's credential for the account"
	case strings.Contains(err.Error(), "no common algorithm"):
		return "it offers only algorithms that are too weak; where it has no better, its definition can allow them by name"
	}
	return "it does not speak SSH as it should"
}

// causeOf is why the session has ended.
func causeOf(live Live) *gateway.Ended {
	var e *gateway.Ended
	if errors.As(context.Cause(live.Context()), &e) {
		return e
	}
	return &gateway.Ended{Reason: gateway.EndFault}
}

// pins are the host keys on file.
type pins struct {
	keys, authorities []ssh.PublicKey
}

// hostKeyError names both fingerprints.
type hostKeyError struct {
	shown ssh.PublicKey
	file  []string
}

func (e *hostKeyError) Error() string {
	return fmt.Sprintf("it showed %s %s, on file is %s", e.shown.Type(), ssh.FingerprintSHA256(e.shown), strings.Join(e.file, ", "))
}

func readPins(lines []string) pins {
	var p pins
	for _, l := range lines {
		rest, authority := strings.CutPrefix(l, statement.Authority)
		key, err := statement.ParseSSHKey(rest)
		switch {
		case err != nil: // a line that cannot be read pins nothing
		case authority:
			p.authorities = append(p.authorities, key)
		default:
			p.keys = append(p.keys, key)
		}
	}
	return p
}

// algorithms puts the kinds of the pinned keys first, so that a target with
// several host keys shows the one on file; the others stay, so that a changed
// key is seen and named instead of ending as "no common algorithm".
func (p pins) algorithms() []string {
	var first, rest []string
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		cert := strings.Contains(a, "-cert-")
		switch {
		case cert && len(p.authorities) > 0:
			first = append(first, a)
		case cert:
		case slices.ContainsFunc(p.keys, func(k ssh.PublicKey) bool { return keyMakes(k.Type(), a) }):
			first = append(first, a)
		default:
			rest = append(rest, a)
		}
	}
	return append(first, rest...)
}

func keyMakes(keyType, algorithm string) bool {
	if keyType == ssh.KeyAlgoRSA {
		return algorithm == ssh.KeyAlgoRSASHA256 || algorithm == ssh.KeyAlgoRSASHA512
	}
	return keyType == algorithm
}

// check implements ssh.HostKeyCallback.
func (p pins) check(address string, remote net.Addr, shown ssh.PublicKey) error {
	plain := shown
	if cert, ok := shown.(*ssh.Certificate); ok {
		plain = cert.Key
		checker := &ssh.CertChecker{IsHostAuthority: func(auth ssh.PublicKey, _ string) bool { return contains(p.authorities, auth) }}
		if len(cert.ValidPrincipals) > 0 && checker.CheckHostKey(address, remote, cert) == nil {
			return nil
		}
	}
	if contains(p.keys, plain) {
		return nil
	}
	e := &hostKeyError{shown: plain}
	for _, k := range p.keys {
		e.file = append(e.file, k.Type()+" "+ssh.FingerprintSHA256(k))
	}
	for _, k := range p.authorities {
		e.file = append(e.file, "authority "+ssh.FingerprintSHA256(k))
	}
	return e
}

func contains(list []ssh.PublicKey, key ssh.PublicKey) bool {
	raw := key.Marshal()
	return slices.ContainsFunc(list, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), raw) })
}
