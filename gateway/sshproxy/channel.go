package sshproxy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// notCarried says why a kind of channel or request is refused.
var notCarried = map[string]string{
	"direct-streamlocal@openssh.com": "socket forwarding is not carried: what passes inside could not be recorded",
	"forwarded-tcpip":                "forwarding from the target is not carried: nothing there may open connections towards you",
	"x11":                            "X11 is not carried: what passes inside could not be recorded",
	"auth-agent@openssh.com":         "agent forwarding is not carried: your keys stay on your machine",
	"tun@openssh.com":                "tunnels are not carried by SSH here",
	"subsystem":                      "of the subsystems only sftp is carried; a shell or a command may do instead",
}

// exitRefused is the exit status of a command that the gateway, not the
// target, said no to: what ssh itself uses for its own errors.
const exitRefused = 255

// channel is one session channel and its counterpart at the target.
//
// Lock order: beginning, ctl, then out or err. out and err each hold one stream towards
// the client, because the library wants one writer a stream.
type channel struct {
	c      *conn
	client ssh.Channel
	target ssh.Channel
	reqs   <-chan *ssh.Request // from the client
	treqs  <-chan *ssh.Request // from the target

	rec   Channel // this and the next two are set before started
	files *files  // nil when it moves none
	kind  gateway.ChannelKind
	pumps sync.WaitGroup
	all   sync.WaitGroup

	flowing atomic.Int32 // streams of the target that have not ended

	out, err sync.Mutex // one writer each, towards the client

	exited chan struct{} // closed when the target has told an exit
	closed chan struct{} // closed when the target has closed its channel
	typed  chan struct{} // closed when the client has nothing more to send

	// beginning is held from before the target is asked for a shell or command
	// until its pumps run, so that an exit which comes at once waits for them.
	beginning sync.Mutex

	ctl     sync.Mutex // guards what follows
	started bool
	over    bool // the end was told; nothing more is said
	pty     *gateway.Pty
	env     int
	status  *uint32
	signal  string
	exit    []byte // payload of the target's exit-signal
	said    bool   // the client was told the one or the other
}

// open judges a new channel. It never blocks the connection's loop for the
// target: what waits, waits in its own goroutine.
func (c *conn) open(n ssh.NewChannel) {
	kind := n.ChannelType()
	switch kind {
	case "session":
	case "direct-tcpip":
		c.openForward(n)
		return
	default:
		why, ok := notCarried[kind]
		if !ok {
			why = "channels of this kind are not carried"
		}
		c.refusedOpen(printable(kind, 64), why)
		_ = n.Reject(ssh.Prohibited, why)
		return
	}
	ch := &channel{c: c, exited: make(chan struct{}), closed: make(chan struct{}), typed: make(chan struct{})}
	c.mu.Lock()
	full, last := len(c.channels) >= MaxChannels, c.last
	if !full && !last {
		c.channels[ch] = struct{}{}
	}
	c.mu.Unlock()
	if full || last {
		_ = n.Reject(ssh.ResourceShortage, "no more channels on this connection; make a new one")
		return
	}
	c.work.Add(1)
	c.wg.Go(c.contained(func() {
		defer c.work.Done()
		defer func() {
			c.mu.Lock()
			delete(c.channels, ch)
			c.mu.Unlock()
		}()
		ch.carry(n)
	}))
}

func (c *conn) refusedOpen(kind, why string) {
	if c.live != nil {
		c.live.Refuse(c.live.Context(), kind, why)
	}
}

// carry owns a channel from its opening to the last goroutine.
func (ch *channel) carry(n ssh.NewChannel) {
	select {
	case <-ch.c.dialed:
	case <-ch.c.gone:
		_ = n.Reject(ssh.ConnectionFailed, "gone")
		return
	}
	if ch.c.failed != nil {
		ch.nowhere(n, ch.c.failed)
		return
	}
	if ch.c.live.Context().Err() != nil {
		ch.nowhere(n, causeOf(ch.c.live))
		return
	}
	target, treqs, err := ch.c.target.OpenChannel("session", nil)
	if err != nil {
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) {
			_ = n.Reject(refused.Reason, "the target refused it: "+printable(refused.Message, 200))
			return
		}
		_ = n.Reject(ssh.ConnectionFailed, "the target closed the connection")
		return
	}
	client, reqs, err := n.Accept()
	if err != nil {
		_ = target.Close()
		go ssh.DiscardRequests(treqs) // ends with the target's channel, which is closed
		return
	}
	ch.ctl.Lock()
	ch.client, ch.target, ch.reqs, ch.treqs = client, target, reqs, treqs
	ch.ctl.Unlock()
	ch.all.Go(ch.c.contained(ch.fromTarget))
	ch.serveRequests()
	_ = target.Close()
	ch.all.Wait()
	ch.pumps.Wait()
	ch.files.close()
	if s, ok := ch.rec.(*sized); ok {
		s.settle() // after it the timer has nothing to do
	}
}

// nowhere accepts a channel only to say why it leads nowhere.
func (ch *channel) nowhere(n ssh.NewChannel, e *gateway.Ended) {
	client, reqs, err := n.Accept()
	if err != nil {
		return
	}
	for r := range reqs {
		switch r.Type {
		case "shell", "exec", "subsystem":
			_ = r.Reply(true, nil)
			exitWith(client, &ch.err, sentence(e))
			ch.c.sayShown()
		default:
			_ = r.Reply(r.Type == "pty-req", nil)
		}
	}
}

func sentence(e *gateway.Ended) string {
	if e.Reason == gateway.EndNotGranted && e.Detail != "" {
		return e.Detail
	}
	return e.Error()
}

// start begins the pumps, once the target has agreed to a shell or command.
func (ch *channel) start(what gateway.Channel, rec Channel) {
	ch.ctl.Lock()
	ch.follow(what, rec)
	ch.rec, ch.started = rec, true
	ch.ctl.Unlock()
	ch.pumps.Add(2)
	ch.flowing.Store(2)
	ch.all.Go(ch.c.contained(func() {
		defer ch.pumped()
		ch.showFiles(ch.c.fromLeg(ch.target), locked{&ch.out, ch.client})
	}))
	ch.all.Go(ch.c.contained(func() {
		defer ch.pumped()
		ch.greet()
		errs := locked{&ch.err, ch.client.Stderr()}
		pump(ch.c.fromLeg(ch.target.Stderr()), func(p []byte) error { return rec.Show(true, p, errs) })
	}))
	ch.all.Go(ch.c.contained(ch.send))
}

// pumped ends one of the target's two streams. The last of them passes the end
// of output on.
func (ch *channel) pumped() {
	ch.pumps.Done()
	if ch.flowing.Add(-1) == 0 && ch.endOfOutput() {
		ch.closeWrite()
	}
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// send carries what is typed to the target, and the end of it.
func (ch *channel) send() {
	ended := true
	forward := func(p []byte) error { return ch.rec.Send(p, ch.target) }
	pump(ch.client, func(p []byte) error {
		err := ch.orBreak(ch.files.fromClient(p, forward))
		ended = err == nil
		return err
	})
	close(ch.typed)
	if ended && ch.rec.Hold() == nil { // the end of input can set a command off too
		_ = ch.target.CloseWrite()
	}
}

// endOfOutput tells the end of a command's output from the end of the target's
// whole connection, after which one more sentence is to be shown: the library
// reads both as the end of the stream. A command that closes its output and
// lives on keeps it open towards a client that has ended its input: that one,
// where it shares its connection (ControlMaster), would close the channel at
// once and never hear the exit status.
func (ch *channel) endOfOutput() bool {
	wait := time.NewTimer(ExitGrace)
	defer wait.Stop()
	select {
	case <-ch.exited:
		return true
	case <-ch.c.left:
		return false
	case <-wait.C:
	}
	select {
	case <-ch.typed:
	default:
		return true
	}
	select {
	case <-ch.exited:
		return true
	case <-ch.closed: // tellExit says the rest
	case <-ch.c.left:
	}
	return false
}

// closeWrite passes the target's end of output on. A status that is known goes
// before it: a client that has nothing more to send closes the channel at the
// end of output, and hears nothing after.
func (ch *channel) closeWrite() {
	ch.ctl.Lock()
	defer ch.ctl.Unlock()
	if ch.over || ch.c.live.Context().Err() != nil {
		return
	}
	ch.out.Lock()
	defer ch.out.Unlock()
	ch.err.Lock()
	defer ch.err.Unlock()
	ch.sayStatus()
	_ = ch.client.CloseWrite()
}

// sayStatus tells how the command ended, once, if that is known. The caller
// holds ctl.
func (ch *channel) sayStatus() {
	if ch.said {
		return
	}
	switch {
	case ch.status != nil:
		ch.said = true
		_, _ = ch.client.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{*ch.status}))
	case ch.exit != nil:
		ch.said = true
		_, _ = ch.client.SendRequest("exit-signal", false, ch.exit)
	}
}

// fromTarget takes the target's requests until its channel is closed, and
// tells the exit when both streams have been shown to their last byte.
func (ch *channel) fromTarget() {
	exited := sync.OnceFunc(func() { close(ch.exited) })
	for r := range ch.treqs {
		switch r.Type {
		case "exit-status":
			var m struct{ Status uint32 }
			if ssh.Unmarshal(r.Payload, &m) == nil {
				ch.ctl.Lock()
				ch.status = &m.Status
				ch.ctl.Unlock()
				exited()
			}
		case "exit-signal":
			var m struct {
				Signal string
				Core   bool
				Text   string
				Lang   string
			}
			if ssh.Unmarshal(r.Payload, &m) == nil {
				ch.ctl.Lock()
				ch.signal, ch.exit = printable(m.Signal, 32), r.Payload
				ch.ctl.Unlock()
				exited()
			}
		case "eow@openssh.com", "xon-xoff":
			_, _ = ch.client.SendRequest(r.Type, false, r.Payload)
		}
		_ = r.Reply(r.Type == "exit-status" || r.Type == "exit-signal", nil)
	}
	close(ch.closed)
	ch.beginning.Lock()
	defer ch.beginning.Unlock()
	ch.pumps.Wait()
	ch.files.close()
	ch.tellLost()
	ch.tellExit()
}

// tellLost says so when the target's whole connection went, not just the
// command: a command that ends has told its exit by now.
func (ch *channel) tellLost() {
	ch.ctl.Lock()
	told := ch.status != nil || ch.exit != nil || !ch.started
	ch.ctl.Unlock()
	if told {
		return
	}
	wait := time.NewTimer(ExitGrace)
	defer wait.Stop()
	select {
	case <-ch.c.left:
		_, _ = locked{&ch.err, ch.client.Stderr()}.Write([]byte(line(gateway.EndTargetLeft.Sentence())))
	case <-wait.C:
	case <-ch.c.live.Context().Done():
	}
}

func (ch *channel) tellExit() {
	ch.ctl.Lock()
	defer ch.ctl.Unlock()
	if ch.over || ch.c.live.Context().Err() != nil {
		return // the farewell says it
	}
	ch.over = true
	if ch.rec != nil {
		ch.rec.Exit(ch.status, ch.signal)
	}
	ch.sayStatus()
	_ = ch.client.Close()
}

// notice shows a warning on a terminal; a command's streams are left alone.
func (ch *channel) notice(text string) {
	ch.ctl.Lock()
	speak := ch.started && ch.pty != nil && !ch.over
	rec := ch.rec
	ch.ctl.Unlock()
	if !speak {
		return
	}
	rec.Note(text)
	_, _ = locked{&ch.err, ch.client.Stderr()}.Write([]byte("\r\n" + line(text)))
}

// farewell is the last thing that a client hears of its channel.
func (ch *channel) farewell(e *gateway.Ended) {
	ch.ctl.Lock()
	if !ch.ends() {
		return
	}
	ch.err.Lock()
	defer ch.err.Unlock()
	ch.tellEnd(e)
}

// ends says whether the channel is still to be told. It lets go of ctl, which
// nobody may wait for behind a client.
func (ch *channel) ends() bool {
	defer ch.ctl.Unlock()
	if ch.over || ch.client == nil {
		return false
	}
	ch.over = true
	if ch.rec != nil {
		ch.c.mu.Lock()
		ch.c.toldEnd = append(ch.c.toldEnd, ch.rec)
		ch.c.mu.Unlock()
	}
	return true
}

// tellEnd says why the session is over and closes the channel. The caller holds
// err.
func (ch *channel) tellEnd(e *gateway.Ended) {
	_, _ = ch.client.Stderr().Write([]byte("\r\n" + line(e.Error())))
	_, _ = ch.client.SendRequest("exit-signal", false, ssh.Marshal(struct {
		Signal     string
		Core       bool
		Text, Lang string
	}{"HUP", false, e.Error(), "en"}))
	_ = ch.client.Close()
}
