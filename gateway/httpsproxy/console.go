package httpsproxy

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

// console is one session, from the proof of its account to its end.
type console struct {
	p         *Proxy
	live      Live
	ch        Channel
	abilities gateway.Abilities
	limits    *limits
	host      string // of the engineer's browser, without port
	names     names
	proof     *proof
	capture   *capture.Capture
	scrub     *capture.Scrubber
	targets   *targetSockets
	target    *transports
	key       []byte // of the recording's digests
	count     atomic.Uint32
	service   serviceKey    // zero: a browser's
	form      *gateway.Form // the account is proven by it; nil: otherwise
	relogin   relogin

	mu        sync.Mutex
	over      bool
	exchanges int
	browsers  map[*browser]struct{}
	relays    map[*relay]struct{}
	cookie    secretHash // zero: nobody has come yet
	told      []string   // the last notices
}

// newConsole dials the target, proves the account, and begins the channel. The
// error is the cause that the session ends with.
func (p *Proxy) newConsole(ctx context.Context, live Live, host string) (*console, error) {
	t := live.Target()
	c := &console{
		p: p, live: live, abilities: live.Abilities(), host: host, targets: &targetSockets{}, key: make([]byte, 32),
		browsers: map[*browser]struct{}{}, relays: map[*relay]struct{}{}, limits: newLimits(live.Abilities()),
	}
	_, _ = rand.Read(c.key) // it never fails (crypto/rand)
	c.names = newNames(t, p.origin(c.host))
	if err := live.Attach(c.targets); err != nil {
		return nil, err
	}
	if err := live.AttachClient((*clientSide)(c), (*clientSide)(c).farewell); err != nil {
		return nil, err
	}
	if err := c.prove(ctx); err != nil {
		return nil, err
	}
	if err := live.Up(ctx); err != nil {
		return nil, err
	}
	var err error
	c.ch, err = live.Channel(ctx, gateway.Channel{Kind: gateway.ChannelHTTPS})
	return c, err
}

// ServiceAddress is the origin at which service accounts reach a target, and
// the audience of their tokens.
func (p *Proxy) ServiceAddress(target string) string {
	return p.origin(gateway.ServicePrefix + target + "." + p.c.Apps)
}

// origin is how browsers name a console (RFC 6454).
func (p *Proxy) origin(host string) string {
	scheme := "https://"
	if p.c.Insecure {
		scheme = "http://"
	}
	if p.c.Port != "" {
		return scheme + host + ":" + p.c.Port
	}
	return scheme + host
}

// tend keeps what the session tells, and remembers why it ended.
func (c *console) tend() {
	defer c.p.running.Done()
	for {
		select {
		case s := <-c.live.Notices():
			c.mu.Lock()
			c.told = append(c.told, s)
			c.told = c.told[max(0, len(c.told)-maxNotices):]
			c.mu.Unlock()
		case <-c.live.Context().Done():
			c.ended()
			<-c.live.Done()
			c.target.CloseIdleConnections()
			return
		}
	}
}

// ended makes dead ends of the cookie and of a link that was not used.
func (c *console) ended() {
	c.mu.Lock()
	c.over = true
	hash := c.cookie
	c.mu.Unlock()
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	for h, l := range p.links {
		if l.console == c {
			delete(p.links, h)
		}
	}
	if s := p.services[c.service]; s != nil && s.console == c {
		delete(p.services, c.service)
	}
	if hash == (secretHash{}) || p.consoles[hash] != c {
		return
	}
	delete(p.consoles, hash)
	if len(p.ended) >= MaxEnded { // any of them: its browser gets the page for those who were never here
		for h := range p.ended {
			delete(p.ended, h)
			break
		}
	}
	p.ended[hash] = ending{c.live.ID(), c.live.Target().Name, c.cause(), p.c.Now().Add(EndedTime)}
}

// cause is why the session has ended; nil: it has not.
func (c *console) cause() *gateway.Ended {
	err := context.Cause(c.live.Context())
	if err == nil {
		return nil
	}
	var e *gateway.Ended
	if errors.As(err, &e) {
		return e
	}
	return &gateway.Ended{Reason: gateway.EndFault}
}

func (c *console) overError() *gateway.Error {
	why := c.cause()
	if why == nil {
		why = &gateway.Ended{Reason: gateway.EndFault}
	}
	return endedError(why)
}

// endedError is what a browser reads of a session that is over. Where nothing
// can be opened anew, the reason's own sentence says what to do.
func endedError(why *gateway.Ended) *gateway.Error {
	no := &gateway.Error{Code: gateway.CodeSignIn, Rule: string(why.Reason), Text: "this session has ended: " + why.Error()}
	switch why.Reason {
	case gateway.EndSuspended, gateway.EndRevoked, gateway.EndWindow, gateway.EndNotGranted, gateway.EndHostKey, gateway.EndVolume:
	default:
		no.Next = "open it anew from the gateway's pages, if a grant of yours is still open"
	}
	return no
}

// clientSide is the browser's side of a console, as the session ends it.
type clientSide console

// farewell tells every WebSocket why; everything else is simply cut, and the
// next request is answered with the closing page.
func (s *clientSide) farewell(why *gateway.Ended) {
	c := (*console)(s)
	for _, r := range c.closing() {
		r.bye(closePolicy, why.Error())
	}
}

// closing lets nothing new in.
func (c *console) closing() []*relay {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	list := make([]*relay, 0, len(c.relays))
	for r := range c.relays {
		list = append(list, r)
	}
	return list
}

// Close ends every connection that carries an exchange of the session or
// carried the last one.
func (s *clientSide) Close() error {
	c := (*console)(s)
	for _, r := range c.closing() {
		r.cut()
	}
	for _, b := range c.ours() {
		b.abort()
	}
	c.mu.Lock()
	clear(c.browsers)
	c.mu.Unlock()
	return nil
}

// ours are the connections that no other session has used since.
func (c *console) ours() []*browser {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*browser, 0, len(c.browsers))
	for b := range c.browsers {
		b.mu.Lock()
		if b.uses[c] > 0 || b.last == c {
			list = append(list, b)
		}
		b.mu.Unlock()
	}
	return list
}

// Part cuts every connection at once and gives the WebSockets that take it
// their close frame. Those come last: what is said to them takes longer than
// everything else.
func (s *clientSide) Part(why *gateway.Ended, over <-chan struct{}) {
	c := (*console)(s)
	sockets := c.closing()
	for _, b := range c.ours() {
		b.cut(over)
	}
	payload := closePayload(closePolicy, why.Error())
	for _, r := range sockets {
		r.part(payload, over)
	}
}
