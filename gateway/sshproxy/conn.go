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

	live     Live
	dialed   chan struct{} // closed when target or failed is set
	target   *leg
	failed   *gateway.Ended
	gone     chan struct{} // closed by sayGone, once, when the client's connection has ended
	left     chan struct{} // closed when the target's connection has ended
	noMore   bool          // the client asked for no more sessions while it was held
	early    []string      // global requests refused while it was held
	goneOnce sync.Once
	wg       sync.WaitGroup // every goroutine of this connection
	work     sync.WaitGroup // the channels among them

	mu       sync.Mutex
	channels map[*channel]struct{}
	flows    map[*flow]struct{} // nil until the first
	shown    bool               // the reason for a failure was shown on some channel
	last     bool               // the client asked for no more sessions
	warning  string             // the last notice, for terminals that begin after it
	told     chan struct{}      // closed when shown; nil until somebody waits
	banner   []string           // what the target said before it let us in, for the channel that begins first
	toldEnd  []Channel          // was told why, and not written down yet
	unsaid   string             // why a global request was refused, for the channel that begins next
}

// serve opens the session and carries its channels until the client's
// connection ends. The session ends with it.
func (c *conn) serve(ctx context.Context, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	defer c.wg.Wait()
	defer c.sayGone()
	defer c.sc.Close()

	first, err := c.hold(ctx, chans, reqs)
	switch {
	case errors.Is(err, errLeft):
		return
	case err != nil:
		c.fail(err)
		c.explain(ctx, first, chans, reqs)
		return
	}
	live, err := c.openSession(ctx)
	if c.ad.opened != nil {
		c.ad.opened(live, err)
	}
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
	c.wg.Go(c.contained(c.reachTarget))
	pulse := &pulse{conn: c.sc, wire: c.h.wire, every: c.p.c.beat, dead: func(why string) { live.End(gateway.EndClientLeft, "", why) }}
	pulse.start()
	defer pulse.stop()
	c.tend(first, chans, reqs)
}

func (c *conn) openSession(ctx context.Context) (live Live, err error) {
	onOwnStack(func() {
		live, err = c.p.c.Sessions.Open(ctx, Opening{
			Touch: c.ad.touch, Ticket: c.ad.ticket, Person: c.ad.person.Name, Grant: c.ad.grant.ID, Protocol: gateway.KindSSH,
			Transport: hex.EncodeToString(c.sc.SessionID()), Source: c.nc.RemoteAddr().String(), Client: clientName(c.sc), Until: certificateEnd(c.ad.key),
		})
	})
	return live, err
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
		case <-l.c.hungUp():
		case <-wait.C:
		}
	}
	return l.c.nc.Close()
}

// hungUp is closed when the client has ended its half too.
func (c *conn) hungUp() <-chan struct{} {
	if w := c.h.wire; w != nil && w.raw != nil {
		return w.ended
	}
	gone := make(chan struct{})
	c.wg.Go(func() { _ = c.sc.Wait(); close(gone) }) // ends with the socket, which is closed next
	return gone
}

// explain shows why there is no session on the first channel that the client
// opens, and leaves.
func (c *conn) explain(ctx context.Context, first []ssh.NewChannel, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	defer context.AfterFunc(ctx, func() { _ = c.nc.Close() })()
	wait := time.AfterFunc(FirstChannelTime, func() { _ = c.nc.Close() })
	defer wait.Stop()
	c.tend(first, chans, reqs)
}

// reachTarget dials and, when the target has let us in, serves what it asks
// for. What a target has sent before it went is still shown.
func (c *conn) reachTarget() {
	leg, ended, err := dial(c.live, c.p.c.TargetTime, c.p.c.beat)
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
	leg.pulse.every = c.p.c.beat
	leg.pulse.dead = func(why string) { c.live.End(gateway.EndTargetLeft, "", why) }
	leg.pulse.start()
	c.mu.Lock()
	c.banner = leg.said
	c.mu.Unlock()
	c.target = leg
	c.brake(leg)
	c.wg.Go(c.contained(func() { c.keepTarget(leg) })) // not here: this stack grew in the key exchange
	close(c.dialed)
}

// keepTarget looks after the target's connection until it has ended, and the
// session with it.
func (c *conn) keepTarget(leg *leg) {
	defer leg.pulse.stop() // its socket is closed by then
	c.tendTarget(leg)
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

// clientRequest answers a global request of the client.
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

// farewell tells every channel why the session is over.
func (c *conn) farewell(e *gateway.Ended) {
	if e.Reason == gateway.EndClientLeft {
		return
	}
	var wg sync.WaitGroup
	for _, ch := range c.carried() {
		wg.Go(c.contained(func() { ch.farewell(e) }))
	}
	wg.Wait()
}

// Closed writes down what the end cut off. It may wait for a disk, as no socket
// should.
func (l leave) Closed(e *gateway.Ended) {
	l.c.finishFlows()
	l.c.mu.Lock()
	told := l.c.toldEnd
	l.c.mu.Unlock()
	for _, rec := range told {
		rec.Note(e.Error())
	}
	l.c.closeFiles()
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
