package sshproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// insideVersion is how the gateway's own client names itself: sessions show
// "browser terminal" as their client.
const insideVersion = "SSH-2.0-browser terminal"

// InsideTime bounds the opening of a shell from inside, without the target.
const InsideTime = 10 * time.Second

// insideTerm is what xterm.js is (terminfo).
const insideTerm = "xterm-256color"

// Insider is somebody who comes by the browser instead of by SSH. Whoever
// fills it in has proven the login; the ticket that opens is asked for here.
type Insider struct {
	Person     gateway.Person
	Login      string // identifier of the login that touched; a ticket of another one is left alone
	Grant      gateway.Grant
	Source     string // address:port of the browser
	Cols, Rows int
}

// Shell is one shell of an Insider: a whole connection through the proxy, whose
// client is the gateway's own. Read what it shows from Show's writer.
type Shell struct {
	live    Live // nil: the session was refused
	refused error
	client  *ssh.Client
	session *ssh.Session
	in      io.WriteCloser
	served  chan struct{} // closed when the proxy's side has ended

	shut sync.Once
}

// Inside opens a shell for somebody at a browser, by the ticket of that
// login's touch. Past the handshake it is a connection like all others: the
// same session, recording, warnings and ends. What the shell shows goes to
// show, from two goroutines; ctx ends it as the gateway's stop does. An error
// is a *gateway.Error, and an event already.
func (p *Proxy) Inside(ctx context.Context, in Insider, show io.Writer) (*Shell, error) {
	ad, err := p.insider(ctx, in)
	if err != nil {
		return nil, err
	}
	near, far, err := socketPair(in.Source)
	if err != nil {
		return nil, gateway.Unavailable("the terminal", err)
	}
	source := sourceOf(far.RemoteAddr())
	if !p.enter(source) {
		_, _ = near.Close(), far.Close()
		return nil, &gateway.Error{Code: gateway.CodeTooMany, Rule: "connections", Text: "the gateway carries as many connections as it may", Next: "try again in a minute"}
	}
	s := &Shell{served: make(chan struct{})}
	opened := make(chan struct{})
	ad.opened = func(live Live, err error) { s.live, s.refused = live, err; close(opened) }
	h := newHandshake(ctx, p, far)
	h.inside = ad
	go func() { // owned by the Shell: Close waits for it
		defer close(s.served)
		defer p.leave()
		defer far.Close()
		defer p.contain(far, func() {})
		p.converse(ctx, h, func() { p.authenticated(source) })
	}()
	if err := s.begin(near, in, h.signers, show); err != nil {
		_ = near.Close()
		<-s.served
		if s.refused != nil {
			return nil, gateway.AsError(s.refused)
		}
		return nil, gateway.Unavailable("the terminal", err)
	}
	<-opened // the channel was answered, so the session was asked for
	if s.refused != nil {
		s.Close()
		return nil, gateway.AsError(s.refused)
	}
	return s, nil
}

// insider takes the ticket, and makes of it what a handshake would have
// learned.
func (p *Proxy) insider(ctx context.Context, in Insider) (*admission, error) {
	refuse := func(err error) (*admission, error) {
		e := gateway.AsError(err)
		p.c.Sessions.Refuse(ctx, Refusal{
			Person: in.Person.Name, Vendor: in.Person.Vendor, Target: in.Grant.Target, Account: in.Grant.Account, Grant: in.Grant.ID,
			Source: in.Source, Rule: e.Rule, Sentence: e.Sentence(),
		})
		return nil, e
	}
	if in.Grant.Person != in.Person.Name {
		return refuse(gateway.NotFound("grant", in.Grant.ID))
	}
	if in.Login == "" {
		return refuse(otherLogin())
	}
	touch, ok, err := p.c.Access.TakeTicket(ctx, in.Person, in.Grant.ID, in.Login)
	if err != nil {
		return refuse(err)
	}
	if !ok {
		return refuse(gateway.Refused("ticket", "press Open and touch your key", "no touch of yours waits for this terminal, or it is older than a minute"))
	}
	if err := boundTo(touch, in.Login); err != nil {
		return refuse(err)
	}
	return &admission{person: in.Person, account: in.Grant.Account, target: in.Grant.Target, grant: in.Grant, touch: touch, ticket: true}, nil
}

// boundTo holds a ticket's touch to the login that wants to use it: a ticket
// that was made elsewhere opens elsewhere.
func boundTo(touch statement.Signed, login string) error {
	_, body, err := touch.Parse()
	if err != nil {
		return err
	}
	open, ok := body.(*statement.Open)
	if !ok || open.Binding != statement.BindLogin || open.Transport != login || login == "" {
		return otherLogin()
	}
	return nil
}

func otherLogin() error {
	return gateway.Refused("ticket", "press Open on this page and touch your key", "the touch that waited was given in another login")
}

// trustInside lets the gateway's own client in. Its connection was made a
// moment ago, by the one who has the ticket, and by nobody else.
func (h *handshake) trustInside(cfg *ssh.ServerConfig) {
	cfg.KeyboardInteractiveCallback, cfg.PublicKeyCallback, cfg.VerifiedPublicKeyCallback = nil, nil, nil
	cfg.NoClientAuth = true
	cfg.NoClientAuthCallback = func(ssh.ConnMetadata) (*ssh.Permissions, error) { return h.inside.permissions(), nil }
}

// begin is the client's half, up to the shell that has begun.
func (s *Shell) begin(near net.Conn, in Insider, hosts []ssh.Signer, show io.Writer) error {
	pinned := func(_ string, _ net.Addr, key ssh.PublicKey) error {
		for _, h := range hosts {
			if bytes.Equal(h.PublicKey().Marshal(), key.Marshal()) {
				return nil
			}
		}
		return errors.New("another host key than the gateway's own")
	}
	if err := near.SetDeadline(time.Now().Add(InsideTime)); err != nil {
		return err
	}
	conn, chans, reqs, err := ssh.NewClientConn(near, "inside", &ssh.ClientConfig{
		Config: algorithms(), User: in.Grant.Account + "+" + in.Grant.Target, HostKeyCallback: pinned, ClientVersion: insideVersion,
	})
	if err != nil {
		return err
	}
	if err := near.SetDeadline(time.Time{}); err != nil {
		return err
	}
	s.client = ssh.NewClient(conn, chans, reqs)
	if s.session, err = s.client.NewSession(); err != nil {
		return err
	}
	if s.in, err = s.session.StdinPipe(); err != nil {
		return err
	}
	s.session.Stdout, s.session.Stderr = show, show
	modes := ssh.TerminalModes{ssh.ECHO: 1, ssh.IUTF8: 1}
	if err := s.session.RequestPty(insideTerm, in.Rows, in.Cols, modes); err != nil {
		return err
	}
	return s.session.Shell()
}

// Session is the session's identifier.
func (s *Shell) Session() string { return s.live.ID() }

// Context is the session's: it is cancelled with a *gateway.Ended.
func (s *Shell) Context() context.Context { return s.live.Context() }

// Write sends what was typed. It waits while the target takes nothing.
func (s *Shell) Write(p []byte) (int, error) { return s.in.Write(p) }

// Resize tells the size of the terminal, in characters.
func (s *Shell) Resize(cols, rows int) error { return s.session.WindowChange(rows, cols) }

// Close leaves, as a client that hangs up, and waits for the session's end. It
// may be called more than once.
func (s *Shell) Close() {
	s.shut.Do(func() { _ = s.client.Close() })
	<-s.served
}

// Wait waits until the shell has shown its last, and says why it is over: a
// *gateway.Ended where the session ended under it, an *ssh.ExitError where the
// shell did with a status or a signal, nil where it ended well. It closes the
// connection: the session was this shell.
func (s *Shell) Wait() error {
	err := s.session.Wait()
	var exit *ssh.ExitError
	if errors.As(err, &exit) && exit.ExitStatus() == exitRefused {
		s.graceForEnd()
	}
	ended := s.live.Context().Err() != nil // before our own leaving ends it
	s.Close()
	if !ended && (err == nil || exit != nil) {
		return err
	}
	return causeOf(s.live)
}

// graceForEnd waits for the end of a session whose target was not reached: the
// channel that says so is closed first.
func (s *Shell) graceForEnd() {
	wait := time.NewTimer(ExitGrace)
	defer wait.Stop()
	select {
	case <-s.live.Context().Done():
	case <-wait.C:
	}
}

// insideEnd is one end of a socket that never leaves this process, with the address
// of the browser that it is there for.
type insideEnd struct {
	*net.UnixConn
	remote net.Addr
}

// RemoteAddr implements net.Conn.
func (c insideEnd) RemoteAddr() net.Addr { return c.remote }

// socketPair connects the proxy with its own client. It is a socket and no
// net.Pipe, because both sides of SSH begin by writing, and because half of it
// can be closed.
func socketPair(source string) (near, far net.Conn, err error) {
	from, err := netip.ParseAddrPort(source)
	if err != nil {
		return nil, nil, err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	ends := make([]net.Conn, len(fds))
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "inside")
		conn, failed := net.FileConn(file) // has a descriptor of its own
		_ = file.Close()
		if u, ok := conn.(*net.UnixConn); ok {
			ends[i] = insideEnd{u, net.TCPAddrFromAddrPort(from)}
			continue
		}
		err = errors.Join(err, failed, errors.New("not a stream socket"))
	}
	if err != nil {
		for _, c := range ends {
			if c != nil {
				_ = c.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1], nil
}
