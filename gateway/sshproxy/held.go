package sshproxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of a held connection.
const (
	HeldSilence = 2 * time.Second // after which a client must be heard again before its touch counts
	maxHeldReqs = MaxEnv + 8      // requests kept for the target, of one channel
	maxTyped    = 4 << 10         // bytes typed ahead that are kept; more stays in the channel's window
)

// errLeft ends a hold without a word: nobody is left to hear it.
var errLeft = errors.New("the client left before the touch")

// hold keeps a connection whose key is proven until its touch has come. It
// returns the channels that were opened meanwhile, for the session to judge.
// Until then nothing is dialled, so that nothing can reach the target.
func (c *conn) hold(ctx context.Context, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) ([]ssh.NewChannel, error) {
	if !c.ad.held {
		return nil, nil
	}
	defer c.h.close()
	until := c.h.asked.Add(c.p.c.TouchTime)
	wctx, cancel := context.WithDeadline(ctx, until)
	// A client that reads nothing can block whoever writes to it.
	stuck := time.AfterFunc(time.Until(until)+FirstChannelTime, func() { _ = c.nc.Close() })
	defer stuck.Stop()
	defer context.AfterFunc(ctx, func() { _ = c.nc.Close() })()

	h := &holding{c: c, answered: c.h.answered(wctx), heard: make(chan struct{}), last: time.Now(), gaveUp: make(chan *held), done: wctx.Done()}
	defer func() {
		cancel()
		if h.answered != nil {
			<-h.answered
		}
	}()
	c.wg.Go(func() { h.signs(wctx) })
	err := h.run(chans, reqs)
	return h.release(), err
}

// holding is one connection while it is held. One goroutine runs it.
type holding struct {
	c        *conn
	answered <-chan answer // nil once it has come
	touched  bool
	heard    chan struct{} // signs of life
	last     time.Time     // the last of them
	gaveUp   chan *held
	done     <-chan struct{}
	channels []ssh.NewChannel
}

func (h *holding) run(chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) error {
	tick := time.NewTicker(RoundEvery)
	defer tick.Stop()
	for !h.touched || time.Since(h.last) > HeldSilence {
		select {
		case n, ok := <-chans:
			if !ok {
				return errLeft
			}
			h.take(n)
		case r, ok := <-reqs:
			if !ok {
				reqs = nil
				continue
			}
			if r.Type == "no-more-sessions@openssh.com" { // those that are held are no more
				h.c.noMore = true
				_ = r.Reply(false, nil)
				continue
			}
			h.c.clientRequest(r)
		case a := <-h.answered:
			h.answered = nil
			if a.err != nil {
				return h.refuse(h.c.h.unanswered(a.err))
			}
			h.c.ad.touch, h.touched = a.touch, true
		case <-h.heard:
			h.last = time.Now()
		case <-h.gaveUp:
			if len(h.alive()) == 0 {
				_ = leave{h.c}.Close()
				return errLeft
			}
		case <-tick.C:
			if err := h.look(); err != nil {
				return err
			}
		case <-h.c.gone:
			return errLeft
		}
	}
	return nil
}

// look asks each second whether the wait still has a sense.
func (h *holding) look() error {
	if time.Since(h.last) > RoundTime {
		return errLeft
	}
	if err := h.c.h.still(h.c.ad); err != nil {
		return h.refuse(err)
	}
	return nil
}

// refuse writes the event and returns the sentence.
func (h *holding) refuse(err error) error {
	if h.c.h.ctx.Err() != nil {
		return errLeft
	}
	_ = h.c.h.refuse(h.c.ad, err)
	return gateway.AsError(err)
}

// signs asks the client for a sign of life each second.
func (h *holding) signs(ctx context.Context) {
	tick := time.NewTicker(RoundEvery)
	defer tick.Stop()
	for {
		if _, _, err := h.c.sc.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			return
		}
		select {
		case h.heard <- struct{}{}:
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// take holds a new channel. Kinds that may be refused once there is a session
// to write it to wait unanswered.
func (h *holding) take(n ssh.NewChannel) {
	if h.channels = h.alive(); len(h.channels) >= MaxChannels {
		_ = n.Reject(ssh.ResourceShortage, "no more channels on this connection; make a new one")
		return
	}
	if n.ChannelType() != "session" {
		h.channels = append(h.channels, n)
		return
	}
	if h.c.noMore {
		_ = n.Reject(ssh.ResourceShortage, "you asked for no more sessions on this connection")
		return
	}
	client, reqs, err := n.Accept()
	if err != nil {
		return
	}
	ch := &held{
		NewChannel: n, c: h.c, client: client, text: h.c.h.heldLine(h.c.ad),
		out: make(chan *ssh.Request), freed: make(chan struct{}), ready: make(chan struct{}), over: make(chan struct{}), interrupted: make(chan struct{}, 1),
	}
	h.channels = append(h.channels, ch)
	h.c.wg.Go(h.c.contained(func() { ch.run(reqs, h) }))
}

// alive are the channels that their clients have not closed.
func (h *holding) alive() (list []ssh.NewChannel) {
	for _, n := range h.channels {
		if ch, ok := n.(*held); !ok || !ch.isOver() {
			list = append(list, n)
		}
	}
	return list
}

// release hands the channels over, each with the requests that it kept.
func (h *holding) release() []ssh.NewChannel {
	list := h.alive()
	for _, n := range list {
		if ch, ok := n.(*held); ok {
			close(ch.freed)
		}
	}
	return list
}

// heldLine says all of the invitation in one line, for clients that hide
// banners.
func (h *handshake) heldLine(ad *admission) string {
	return fmt.Sprintf("portcullis: waiting for your touch to open %s on %s (until %s): %s/touch/%s shows the code %s; Ctrl-C gives up.",
		ad.grant.Account, ad.grant.Target, ad.grant.To.UTC().Format("15:04 UTC"), h.p.c.URL, h.pending.ID, h.pending.Code)
}
