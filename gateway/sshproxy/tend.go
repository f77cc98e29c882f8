package sshproxy

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// aliveLook is how often a target that is silent is looked at while a client
// waits to hear whether it lives.
const aliveLook = 250 * time.Millisecond

// tend is all that goes on at the client's side of a connection beside its
// channels, in one goroutine, because a stack is most of what an idle session
// costs: what the client opens, its global requests, and the warnings for it.
// It ends with the client's connection, and says so by gone.
//
// A write to a client that takes nothing holds it up, and nothing else: the
// channels, the keepalives and the end of the session have no need of it.
func (c *conn) tend(first []ssh.NewChannel, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	defer c.sayGone()
	c.openFirst(first)
	var notices <-chan string
	if c.live != nil {
		notices = c.live.Notices()
	}
	asks := asker{c: c, reqs: reqs}
	defer asks.stop()
	for {
		select {
		case n, ok := <-chans:
			if !ok {
				return
			}
			c.open(n)
		case r, ok := <-asks.reqs:
			asks.take(r, ok)
		case <-asks.look:
			asks.again()
		case text := <-notices:
			c.warn(text)
		}
	}
}

func (c *conn) openFirst(first []ssh.NewChannel) {
	c.tellEarly()
	for _, n := range first {
		c.open(n)
	}
	c.mu.Lock()
	c.last = c.last || c.noMore
	c.mu.Unlock()
}

func (c *conn) sayGone() { c.goneOnce.Do(func() { close(c.gone) }) }

// asker answers the client's global requests in their order. Whether the
// connection lives is the target's to say: while it is silent, that request
// and those behind it wait.
type asker struct {
	c     *conn
	all   <-chan *ssh.Request // kept while reqs is nil
	reqs  <-chan *ssh.Request // nil while one waits
	waits *ssh.Request
	tick  *time.Ticker
	look  <-chan time.Time
}

func (a *asker) take(r *ssh.Request, ok bool) {
	switch {
	case !ok:
		a.reqs = nil
	case r.Type == keepAliveRequest && !a.c.targetLives():
		a.all, a.reqs, a.waits = a.reqs, nil, r
		a.tick = time.NewTicker(aliveLook)
		a.look = a.tick.C
	default:
		a.c.clientRequest(r)
	}
}

// again answers the one that waits if the target has been heard meanwhile.
func (a *asker) again() {
	if !a.c.targetLives() {
		return
	}
	a.stop()
	a.c.clientRequest(a.waits)
	a.reqs, a.waits = a.all, nil
}

func (a *asker) stop() {
	if a.tick != nil {
		a.tick.Stop()
		a.tick, a.look = nil, nil
	}
}

// targetLives is false once the target has left a question of ours unanswered
// for some seconds. One that is not reached yet has not been asked.
func (c *conn) targetLives() bool {
	select {
	case <-c.dialed:
		return c.target == nil || c.target.pulse.lives()
	default:
		return true
	}
}

// warn shows a warning on every terminal; one that takes nothing keeps it from
// no other.
func (c *conn) warn(text string) {
	c.mu.Lock()
	c.warning = text
	c.mu.Unlock()
	for _, ch := range c.carried() {
		c.wg.Go(func() { ch.notice(text) })
	}
}

// tendTarget refuses whatever the target wants of the client until the
// target's connection ends. Its host keys (hostkeys-00@openssh.com) and other
// global requests are none of the client's.
func (c *conn) tendTarget(l *leg) {
	reqs := l.reqs
	for {
		select {
		case n, ok := <-l.chans:
			if !ok {
				return
			}
			what := printable(n.ChannelType(), 64)
			c.live.Refuse(c.live.Context(), what, "the target may open nothing towards the engineer")
			_ = n.Reject(ssh.Prohibited, "not carried")
		case r, ok := <-reqs:
			if !ok {
				reqs = nil
				continue
			}
			_ = r.Reply(false, nil)
		}
	}
}
