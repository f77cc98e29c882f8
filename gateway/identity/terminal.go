package identity

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Bounds of terminals that wait for a certificate. Nobody has proven anything
// for them yet, so that each address has a small share.
const (
	TerminalTime     = 5 * time.Minute
	maxTerminals     = 1024
	maxTerminalsEach = 8
)

// Terminal is a machine that asks for an SSH certificate, as the page shows
// it to whoever opens its link.
type Terminal struct {
	Fingerprint string
	Code        string // to compare terminal and page
	Source      string // address:port
	Client      string // what the machine calls itself; nobody has proven it
	Expires     time.Time
}

// TerminalBegun is what the machine itself is told. Ticket fetches the answer;
// who knows the link alone cannot.
type TerminalBegun struct {
	Link, Ticket, Code string
	Expires            time.Time
}

// Certified is the answer to a waiting terminal.
type Certified struct {
	Certificate gateway.SSHCertificate
	Line        string // as a -cert.pub file holds it
	Err         error
}

type terminal struct {
	Terminal
	key  string
	done chan struct{} // closed when said is set
	said Certified
	once sync.Once
}

func (t *terminal) answer(c Certified) { t.once.Do(func() { t.said = c; close(t.done) }) }

// terminals are in memory alone; they begin again after a restart.
type terminals struct {
	now func() time.Time

	mu       sync.Mutex
	byLink   map[string]*terminal
	byTicket map[string]*terminal
}

func newTerminals(now func() time.Time) *terminals {
	return &terminals{now: now, byLink: map[string]*terminal{}, byTicket: map[string]*terminal{}}
}

// BeginSSHCertificate puts a machine up for a certificate of the key whose .pub
// line is given. It asks nothing of who calls and tells nothing.
func (s *Service) BeginSSHCertificate(ctx context.Context, line, client, source string) (TerminalBegun, error) {
	if s.seal == nil || s.grants == nil {
		return TerminalBegun{}, errNoCertificates()
	}
	key, err := statement.ParseSSHKey(line)
	if err != nil {
		return TerminalBegun{}, err
	}
	if err := gateway.CheckText("client", client, gateway.MaxTitle, false); err != nil {
		return TerminalBegun{}, err
	}
	if _, err := address(source); err != nil {
		return TerminalBegun{}, gateway.Invalid("source", "the address that asks is not known")
	}
	fingerprint := ssh.FingerprintSHA256(key)
	if err := s.unknownKey(ctx, fingerprint); err != nil {
		return TerminalBegun{}, err
	}
	t := &terminal{
		Terminal: Terminal{Fingerprint: fingerprint, Code: newCode(), Source: source, Client: client, Expires: gateway.Instant(s.now().Add(TerminalTime))},
		key:      canonicalLine(key), done: make(chan struct{}),
	}
	b, err := s.terminals.add(t)
	b.Link, b.Ticket = s.homed(b.Link), s.homed(b.Ticket)
	return b, err
}

func (l *terminals) add(t *terminal) (TerminalBegun, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep()
	each, from := 0, addressOf(t.Source)
	for _, o := range l.byTicket {
		if o.Fingerprint == t.Fingerprint {
			return TerminalBegun{}, errCertified()
		}
		if addressOf(o.Source) == from {
			each++
		}
	}
	if each >= maxTerminalsEach || len(l.byTicket) >= maxTerminals {
		return TerminalBegun{}, &gateway.Error{Code: gateway.CodeTooMany, Rule: "waiting", Text: "too many terminals wait for a certificate", Next: "wait a few minutes and begin again"}
	}
	b := TerminalBegun{Link: rand.Text(), Ticket: rand.Text(), Code: t.Code, Expires: t.Expires}
	l.byLink[b.Link], l.byTicket[b.Ticket] = t, t
	return b, nil
}

func (l *terminals) sweep() {
	now := l.now()
	for _, m := range []map[string]*terminal{l.byLink, l.byTicket} {
		for id, t := range m {
			if !now.Before(t.Expires) {
				delete(m, id)
			}
		}
	}
}

func (l *terminals) find(link string) (*terminal, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.byLink[link]; t != nil && l.now().Before(t.Expires) {
		return t, nil
	}
	e := gateway.NotFound("terminal", "")
	e.Text, e.Next = "no terminal waits behind this link", "run `portcullis login` again and open the new link"
	return nil, e
}

// take finds the terminal that a certificate was drawn up for, once.
func (l *terminals) take(c gateway.SSHCertificate) (*terminal, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for link, t := range l.byLink {
		if t.Fingerprint == c.Fingerprint && t.key == c.Key && t.Source == c.Source && l.now().Before(t.Expires) {
			delete(l.byLink, link)
			return t, nil
		}
	}
	return nil, gateway.Conflict("ssh-certificate", "the terminal that waited for the certificate has gone or was answered")
}

// SSHTerminal is the machine that waits behind a link.
func (s *Service) SSHTerminal(link string) (Terminal, error) {
	t, err := s.terminals.find(s.bare(link))
	if err != nil {
		return Terminal{}, err
	}
	return t.Terminal, nil
}

// RefuseSSHTerminal sends the machine behind a link away.
func (s *Service) RefuseSSHTerminal(link string) error {
	t, err := s.terminals.find(s.bare(link))
	if err != nil {
		return err
	}
	s.terminals.mu.Lock()
	delete(s.terminals.byLink, s.bare(link))
	s.terminals.mu.Unlock()
	t.answer(Certified{Err: gateway.Refused("touch-refused", "begin again if that was a mistake", "the certificate was refused in the browser")})
	return nil
}

// AwaitSSHCertificate waits for the answer to a terminal until ctx is done;
// false means that there is none yet and it may be asked again.
func (s *Service) AwaitSSHCertificate(ctx context.Context, ticket string) (Certified, bool, error) {
	s.terminals.mu.Lock()
	t := s.terminals.byTicket[s.bare(ticket)]
	s.terminals.mu.Unlock()
	if t == nil || !s.now().Before(t.Expires) {
		return Certified{}, false, gateway.Refused("touch-late", "begin again and touch within that time", "nobody touched within %s", TerminalTime)
	}
	select {
	case <-t.done:
		return t.said, true, t.said.Err
	case <-ctx.Done():
		return Certified{}, false, nil
	}
}
