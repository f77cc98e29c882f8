package sshproxy

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// conn is one authenticated connection and its session.
//
// Ownership: the first group is set before serve, live and target by serve and
// its dialling goroutine (target and failed are read after dialed is closed).
// mu guards the rest.
type conn struct {
	p  *Proxy
	nc net.Conn
	sc *ssh.ServerConn
	h  *handshake
	ad *admission

	live   Live
	dialed chan struct{} // closed when target or failed is set
	target *leg
	failed *gateway.Ended
	gone   chan struct{} // closed when the client's connection has ended
	left   chan struct{} // closed when the target's connection has ended
	noMore bool          // the client asked for no more sessions while it was held
	early  []string      // global requests refused while it was held

	wg   sync.WaitGroup // every goroutine of this connection
	work sync.WaitGroup // the channels among them

	mu       sync.Mutex
	channels map[*channel]struct{}
	flows    map[*flow]struct{} // nil until the first
	shown    bool               // the reason for a failure was shown on some channel
	last     bool               // the client asked for no more sessions
	warning  string             // the last notice, for terminals that begin after it
	told     chan struct{}      // closed when shown; nil until somebody waits
	unsaid   string             // why a global request was refused, for the channel that begins next
}

// serve opens the session and carries its channels until the client's
// connection ends. The session ends with it.
func (c *conn) serve(ctx context.Context, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	defer c.wg.Wait()
	defer c.sc.Close()
	c.wg.Go(func() { _ = c.sc.Wait(); close(c.gone) })

	first, err := c.hold(ctx, chans, reqs)
	switch {
	case errors.Is(err, errLeft):
		return
	case err != nil:
		c.fail(err)
		c.explain(ctx, first, chans, reqs)
		return
	}
	live, err := c.p.c.Sessions.Open(ctx, Opening{
		Touch: c.ad.touch, Ticket: c.ad.ticket, Person: c.ad.person.Name, Grant: c.ad.grant.ID, Protocol: gateway.KindSSH,
		Transport: hex.EncodeToString(c.sc.SessionID()), Source: c.nc.RemoteAddr().String(), Client: clientName(c.sc),
	})
	if err != nil {
		c.fail(err)
		c.explain(ctx, first, chans, reqs)
		return
	}
	c.live = live
	defer func() { // the one way out: whatever happened, the session is over and sealed
		live.End(c.wentFirst(), "", "")
		<-live.Done()
	}()
	if err := live.AttachClient(leave{c}, c.farewell); err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { live.End(gateway.EndStopping, "", "") })()
	c.wg.Go(c.reachTarget)
	c.wg.Go(func() { c.clientRequests(reqs) })
	c.wg.Go(c.notices)
	c.wg.Go(func() {
		keepAlive(live.Context(), c.sc, func() { live.End(gateway.EndClientLeft, "", "its connection went silent") })
	})
	c.openAll(first, chans)
}

func (c *conn) openAll(first []ssh.NewChannel, chans <-chan ssh.NewChannel) {
	c.tellEarly()
	for _, n := range first {
		c.open(n)
	}
	c.mu.Lock()
	c.last = c.last || c.noMore
	c.mu.Unlock()
	for n := range chans {
		c.open(n)
	}
}

// fail is why there is no session.
func (c *conn) fail(err error) {
	c.failed = &gateway.Ended{Reason: gateway.EndNotGranted, Detail: gateway.AsError(err).Sentence()}
	close(c.dialed)
}

// LeaveTime is what a client has to close its side when its session is over.
const LeaveTime = 250 * time.Millisecond

// leave closes the client's side so that the last sentence arrives: a socket
// closed with something of the client's unread is reset, and a reset overtakes
// what was written before it. So our half is closed first, and the client has
// LeaveTime to close its own.
type leave struct{ c *conn }

// Close implements io.Closer.
func (l leave) Close() error {
	half, ok := l.c.nc.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		wait := time.NewTimer(LeaveTime)
		defer wait.Stop()
		select {
		case <-l.c.gone:
		case <-wait.C:
		}
	}
	return l.c.nc.Close()
}

// explain shows why there is no session on the first channel that the client
// opens, and leaves.
func (c *conn) explain(ctx context.Context, first []ssh.NewChannel, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	defer context.AfterFunc(ctx, func() { _ = c.nc.Close() })()
	c.wg.Go(func() { ssh.DiscardRequests(reqs) })
	wait := time.AfterFunc(FirstChannelTime, func() { _ = c.nc.Close() })
	defer wait.Stop()
	c.openAll(first, chans)
}

// reachTarget dials and, when the target has let us in, serves what it asks
// for. What a target has sent before it went is still shown.
func (c *conn) reachTarget() {
	leg, ended, err := dial(c.live, c.p.c.TargetTime)
	if err == nil {
		if err = c.live.Up(c.live.Context()); err != nil {
			_ = leg.Close()
			ended = c.upFailed(err)
		}
	}
	if ended != nil {
		c.p.log.Warn("target not reached", "target", c.live.Target().Name, "reason", string(ended.Reason), "error", err)
		c.failed = ended
		close(c.dialed)
		c.waitShown()
		c.live.End(ended.Reason, "", ended.Detail)
		return
	}
	c.target = leg
	close(c.dialed)
	c.wg.Go(func() { ssh.DiscardRequests(leg.reqs) }) // host keys of the target are none of the client's
	c.wg.Go(func() { c.targetChannels(leg.chans) })
	c.wg.Go(func() {
		keepAlive(c.live.Context(), leg, func() { c.live.End(gateway.EndTargetLeft, "", "its connection went silent") })
	})
	_ = leg.Wait()
	close(c.left)
	c.drain()
	c.live.End(gateway.EndTargetLeft, "", "")
}

// wentFirst is which side closed its connection.
func (c *conn) wentFirst() gateway.EndReason {
	select {
	case <-c.left:
		return gateway.EndTargetLeft
	default:
		return gateway.EndClientLeft
	}
}

func (c *conn) upFailed(err error) *gateway.Ended {
	if c.live.Context().Err() != nil {
		return causeOf(c.live)
	}
	var ended *gateway.Ended
	if errors.As(err, &ended) {
		return ended
	}
	return &gateway.Ended{Reason: gateway.EndStore}
}

// waitShown waits until the failure was shown on a channel, the client left,
// or it had its time.
func (c *conn) waitShown() {
	c.mu.Lock()
	told := make(chan struct{})
	if c.told = told; c.shown {
		close(told)
	}
	c.mu.Unlock()
	wait := time.NewTimer(FirstChannelTime)
	defer wait.Stop()
	select {
	case <-told:
	case <-wait.C:
	case <-c.gone:
	case <-c.live.Context().Done():
	}
}

func (c *conn) sayShown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.shown {
		c.shown = true
		if c.told != nil {
			close(c.told)
		}
	}
}

// drain waits for the channels to show what has arrived.
func (c *conn) drain() {
	done := make(chan struct{})
	go func() { c.work.Wait(); close(done) }() // ends when the channels do, which serve waits for
	wait := time.NewTimer(DrainTime)
	defer wait.Stop()
	select {
	case <-done:
	case <-wait.C:
	case <-c.live.Context().Done():
	case <-c.gone:
	}
}

// clientRequests answers the client's global requests.
func (c *conn) clientRequests(reqs <-chan *ssh.Request) {
	for r := range reqs {
		c.clientRequest(r)
	}
}

func (c *conn) clientRequest(r *ssh.Request) {
	switch r.Type {
	case "no-more-sessions@openssh.com":
		c.mu.Lock()
		c.last = true
		c.mu.Unlock()
	case "tcpip-forward", "streamlocal-forward@openssh.com":
		c.refuseAside(r.Type, notCarried["forwarded-tcpip"])
	}
	_ = r.Reply(false, nil) // keepalive@openssh.com takes any answer
}

// targetChannels refuses whatever the target wants to open towards the client.
func (c *conn) targetChannels(chans <-chan ssh.NewChannel) {
	for n := range chans {
		what := printable(n.ChannelType(), 64)
		c.live.Refuse(c.live.Context(), what, "the target may open nothing towards the engineer")
		_ = n.Reject(ssh.Prohibited, "not carried")
	}
}

// notices shows the warnings on every terminal.
func (c *conn) notices() {
	for {
		select {
		case text := <-c.live.Notices():
			c.mu.Lock()
			c.warning = text
			c.mu.Unlock()
			for _, ch := range c.carried() {
				ch.notice(text)
			}
		case <-c.live.Context().Done():
			return
		}
	}
}

// farewell tells every channel why the session is over.
func (c *conn) farewell(e *gateway.Ended) {
	c.finishFlows()
	if e.Reason == gateway.EndClientLeft {
		return
	}
	var wg sync.WaitGroup
	for _, ch := range c.carried() {
		wg.Go(func() { ch.farewell(e) })
	}
	wg.Wait()
}

func (c *conn) carried() []*channel {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*channel, 0, len(c.channels))
	for ch := range c.channels {
		list = append(list, ch)
	}
	return list
}

// keepAlive asks the other side for a sign of life and calls dead when it has
// given none for KeepAliveMisses times. A write that hangs is no sign of life.
func keepAlive(ctx context.Context, to ssh.Conn, dead func()) {
	tick := time.NewTicker(KeepAliveEvery)
	defer tick.Stop()
	answer := make(chan error, 1)
	waiting, missed := false, 0
	for {
		select {
		case <-ctx.Done():
			if waiting { // the socket is being closed, which ends the request
				<-answer //nolint:errcheck // what the client says now matters to nobody
			}
			return
		case err := <-answer:
			if waiting, missed = false, 0; err != nil {
				return
			}
		case <-tick.C:
			if waiting {
				if missed++; missed >= KeepAliveMisses {
					dead()
				}
				continue
			}
			waiting = true
			go func() {
				_, _, err := to.SendRequest("keepalive@openssh.com", true, nil)
				answer <- err
			}()
		}
	}
}
