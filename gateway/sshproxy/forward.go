package sshproxy

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of forwards.
const (
	MaxFlows  = 64               // forwarded connections of one connection at once, each with two windows
	FlowGrace = 10 * time.Second // for the target to take what a client sent before it closed
)

// forwardMsg asks for a direct-tcpip channel (RFC 4254 clause 7.2).
type forwardMsg struct {
	Host       string
	Port       uint32
	Origin     string
	OriginPort uint32
}

// parseForward reads what a direct-tcpip channel is asked for. The message in
// the answer names the host as the abilities do, so that what the target is
// asked for is what was judged.
func parseForward(payload []byte) (to, from string, m forwardMsg, err error) {
	if ssh.Unmarshal(payload, &m) != nil {
		return "", "", m, gateway.Invalid("forward", "the address of the forward cannot be read")
	}
	to, err = gateway.ParseForward(net.JoinHostPort(printable(m.Host, maxForwardHost), strconv.FormatUint(uint64(m.Port), 10)))
	if err != nil {
		return "", "", m, err
	}
	if m.Host, _, err = net.SplitHostPort(to); err != nil {
		return "", "", m, gateway.Internal(err)
	}
	m.Origin = printable(m.Origin, maxForwardHost)
	return to, net.JoinHostPort(m.Origin, strconv.FormatUint(uint64(m.OriginPort), 10)), m, nil
}

// maxForwardHost is more than any name of a host has, in bytes.
const maxForwardHost = 256

// flow is one forwarded TCP connection: a direct-tcpip channel of the client
// and its counterpart at the target, whose sshd dials.
type flow struct {
	c              *conn
	client, target ssh.Channel

	mu    sync.Mutex
	rec   Channel
	ended bool
}

// openForward judges a new forward in its own goroutine: one that waits for
// the target delays nothing else.
func (c *conn) openForward(n ssh.NewChannel) {
	f := &flow{c: c}
	c.mu.Lock()
	full := len(c.flows) >= MaxFlows
	if !full {
		if c.flows == nil {
			c.flows = map[*flow]struct{}{}
		}
		c.flows[f] = struct{}{}
	}
	c.mu.Unlock()
	if full {
		_ = n.Reject(ssh.ResourceShortage, "no more forwarded connections at once; close some, or make a new connection")
		return
	}
	c.work.Add(1)
	c.wg.Go(c.contained(func() {
		defer c.work.Done()
		defer func() {
			c.mu.Lock()
			delete(c.flows, f)
			c.mu.Unlock()
		}()
		f.carry(n)
	}))
}

// carry owns a forward from its opening to the last goroutine.
func (f *flow) carry(n ssh.NewChannel) {
	select {
	case <-f.c.dialed:
	case <-f.c.gone:
		_ = n.Reject(ssh.ConnectionFailed, "gone")
		return
	}
	ended := f.c.failed
	if ended == nil && f.c.live.Context().Err() != nil {
		ended = causeOf(f.c.live)
	}
	if ended != nil {
		_ = n.Reject(ssh.ConnectionFailed, sentence(ended))
		return
	}
	msg, err := f.judge(n.ExtraData())
	if err != nil {
		_ = n.Reject(ssh.Prohibited, gateway.AsError(err).Sentence())
		return
	}
	defer f.finish("")
	if f.rec.Hold() != nil { // frozen since it was judged, and then ended
		_ = n.Reject(ssh.ConnectionFailed, sentence(causeOf(f.c.live)))
		return
	}
	f.join(n, msg)
}

// judge asks the session, and begins the recording.
func (f *flow) judge(payload []byte) (forwardMsg, error) {
	live := f.c.live
	to, from, msg, err := parseForward(payload)
	if err != nil {
		f.c.refusedOpen(string(gateway.ChannelForward), gateway.AsError(err).Sentence())
		return msg, err
	}
	rec, err := live.Channel(live.Context(), gateway.Channel{Kind: gateway.ChannelForward, To: to, From: from})
	if err != nil {
		if live.Context().Err() != nil {
			return msg, gateway.Refused("session", "", "%s", sentence(causeOf(live)))
		}
		return msg, err
	}
	f.mu.Lock()
	f.rec = rec
	f.mu.Unlock()
	return msg, nil
}

// join has the target dial, and the client answered as the target answers.
func (f *flow) join(n ssh.NewChannel, msg forwardMsg) {
	target, treqs, err := f.c.target.OpenChannel("direct-tcpip", ssh.Marshal(msg))
	if err != nil {
		reason, why := ssh.ConnectionFailed, "the target closed the connection"
		if refused := (*ssh.OpenChannelError)(nil); errors.As(err, &refused) {
			reason, why = refused.Reason, "the target refused it: "+printable(refused.Message, 200)
		}
		f.finish(why)
		_ = n.Reject(reason, why)
		return
	}
	client, reqs, err := n.Accept()
	if err != nil {
		_ = target.Close()
		go ssh.DiscardRequests(treqs) // ends with the target's channel, which is closed
		return
	}
	f.client, f.target = client, target
	f.run(reqs, treqs)
}

// run carries both directions, each to its own end: a half that is closed
// closes the same half on the other side and no more. A side that is closed
// whole closes the other, once that has what was sent before.
func (f *flow) run(reqs, treqs <-chan *ssh.Request) {
	var all sync.WaitGroup
	sent, shown := make(chan struct{}), make(chan struct{})
	all.Go(f.c.contained(func() {
		defer close(shown)
		f.show()
	}))
	all.Go(f.c.contained(func() {
		defer close(sent)
		f.send()
	}))
	all.Go(func() {
		ssh.DiscardRequests(reqs) // until the client has closed
		late := time.NewTimer(FlowGrace)
		defer late.Stop()
		select {
		case <-sent:
		case <-late.C:
		}
		_ = f.target.Close()
	})
	all.Go(func() {
		ssh.DiscardRequests(treqs)
		<-shown
		_ = f.client.Close()
	})
	<-sent
	<-shown
	f.finish("")
	_ = f.client.Close()
	_ = f.target.Close()
	all.Wait()
}

func (f *flow) show() {
	passed := true
	pump(f.target, func(p []byte) error {
		err := f.rec.Show(false, p, f.client)
		passed = err == nil
		return err
	})
	if passed && f.c.live.Context().Err() == nil {
		_ = f.client.CloseWrite()
	}
}

func (f *flow) send() {
	passed := true
	pump(f.client, func(p []byte) error {
		err := f.rec.Send(p, f.target)
		passed = err == nil
		return err
	})
	if passed && f.rec.Hold() == nil { // the end of input means something too
		_ = f.target.CloseWrite()
	}
}

// finish records the end, once, and why where something is to be said. The
// session's end calls it too, before the recording is sealed.
func (f *flow) finish(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rec == nil || f.ended {
		return
	}
	f.ended = true
	if why != "" {
		f.rec.Note(why)
	}
	f.rec.Exit(nil, "")
}

// finishFlows records the end of every forward that is still open.
func (c *conn) finishFlows() {
	c.mu.Lock()
	list := make([]*flow, 0, len(c.flows))
	for f := range c.flows {
		list = append(list, f)
	}
	c.mu.Unlock()
	for _, f := range list {
		f.finish("")
	}
}
