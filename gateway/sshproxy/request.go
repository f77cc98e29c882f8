package sshproxy

import (
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// serveRequests takes the client's requests on one channel, in order, until
// the client closes it.
func (ch *channel) serveRequests() {
	for r := range ch.reqs {
		if ch.c.live.Context().Err() != nil {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(ch.request(r), nil)
	}
}

// request handles one and says whether it was done. RFC 4254 clause 6.
func (ch *channel) request(r *ssh.Request) bool {
	switch r.Type {
	case "pty-req":
		return ch.ptyRequest(r)
	case "env":
		return ch.envRequest(r)
	case "shell":
		return len(r.Payload) == 0 && ch.begin(r, gateway.Channel{Kind: gateway.ChannelShell})
	case "exec":
		var m struct{ Command string }
		if ssh.Unmarshal(r.Payload, &m) != nil || len(m.Command) > MaxCommand {
			return false
		}
		return ch.begin(r, recognise(m.Command, ch.pty))
	case "window-change":
		return ch.resize(r)
	case "signal", "break":
		return len(r.Payload) <= 64 && ch.begun() && ch.rec.Hold() == nil && ch.pass(r)
	case "subsystem":
		return ch.subsystem(r)
	case "x11-req":
		return ch.refuse(r.Type, notCarried["x11"])
	case "auth-agent-req@openssh.com":
		return ch.refuse(r.Type, notCarried["auth-agent@openssh.com"])
	}
	return false
}

// subsystem begins sftp, and nothing else of this kind. The name is compared
// as the target compares it: byte for byte.
func (ch *channel) subsystem(r *ssh.Request) bool {
	var m struct{ Name string }
	fit := ssh.Unmarshal(r.Payload, &m) == nil
	switch {
	case ch.begun():
		return false
	case fit && m.Name == "sftp" && ch.pty == nil:
		return ch.begin(r, gateway.Channel{Kind: gateway.ChannelSFTP})
	case fit && m.Name == "sftp":
		m.Name += " on a terminal"
	}
	ch.c.live.Refuse(ch.c.live.Context(), "subsystem "+printable(m.Name, 64), notCarried["subsystem"])
	return ch.explain(r, notCarried["subsystem"])
}

// pass sends a request on as it is, and answers as the target does.
func (ch *channel) pass(r *ssh.Request) bool {
	ok, err := ch.target.SendRequest(r.Type, r.WantReply, r.Payload)
	return err == nil && (ok || !r.WantReply)
}

// refuse says why on the channel's stderr, and writes the event.
func (ch *channel) refuse(what, why string) bool {
	ch.c.live.Refuse(ch.c.live.Context(), what, why)
	_, _ = locked{&ch.err, ch.client.Stderr()}.Write([]byte(line(why)))
	return false
}

// explain says why a shell, command or subsystem does not run: as its stderr
// and exit status. A bare failure makes the stock client leave before it shows
// what is on stderr.
func (ch *channel) explain(r *ssh.Request, why string) bool {
	_ = r.Reply(true, nil)
	r.WantReply = false // answered
	ch.ctl.Lock()
	defer ch.ctl.Unlock()
	if !ch.over {
		ch.over = true
		exitWith(ch.client, &ch.err, why)
	}
	return true
}

func exitWith(client ssh.Channel, mu *sync.Mutex, why string) {
	_, _ = locked{mu, client.Stderr()}.Write([]byte(line(why)))
	_, _ = client.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{exitRefused}))
	_ = client.Close()
}

func (ch *channel) begun() bool {
	ch.ctl.Lock()
	defer ch.ctl.Unlock()
	return ch.started
}

type ptyMsg struct {
	Term          string
	Cols, Rows    uint32
	Width, Height uint32
	Modes         string
}

func parsePty(payload []byte) (*gateway.Pty, bool) {
	var m ptyMsg
	if ssh.Unmarshal(payload, &m) != nil || len(m.Modes) > MaxModes || len(m.Term) > 64 || printable(m.Term, 64) != m.Term {
		return nil, false
	}
	return &gateway.Pty{Term: m.Term, Cols: m.Cols, Rows: m.Rows}, true
}

func (ch *channel) ptyRequest(r *ssh.Request) bool {
	pty, ok := parsePty(r.Payload)
	if !ok || ch.begun() || ch.pty != nil || !ch.pass(r) {
		return false
	}
	ch.ctl.Lock()
	ch.pty = pty
	ch.ctl.Unlock()
	return true
}

// envRequest passes the language of the terminal on, and nothing else: other
// variables steer programs (LD_PRELOAD, GIT_SSH_COMMAND).
func (ch *channel) envRequest(r *ssh.Request) bool {
	name, ok := parseEnv(r.Payload)
	if ch.env++; !ok || ch.env > MaxEnv || ch.begun() || !envAllowed(name) {
		return false
	}
	return ch.pass(r)
}

func parseEnv(payload []byte) (name string, ok bool) {
	var m struct{ Name, Value string }
	if ssh.Unmarshal(payload, &m) != nil || len(m.Name)+len(m.Value) > MaxEnvBytes || printable(m.Value, MaxEnvBytes) != m.Value {
		return "", false
	}
	return m.Name, true
}

func envAllowed(name string) bool {
	if name == "LANG" || name == "TERM" {
		return true
	}
	rest, ok := strings.CutPrefix(name, "LC_")
	return ok && rest != "" && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == ""
}

// begin judges a shell, command or transfer, begins its recording, and only
// then asks the target for it.
func (ch *channel) begin(r *ssh.Request, what gateway.Channel) bool {
	if ch.begun() {
		return false
	}
	live := ch.c.live
	what.Pty = ch.pty
	rec, err := live.Channel(live.Context(), what)
	if err != nil {
		if live.Context().Err() != nil {
			return false // the farewell says it
		}
		return ch.explain(r, gateway.AsError(err).Sentence())
	}
	if why := live.Waits(); why != "" {
		rec.Note(why)
		_, _ = locked{&ch.err, ch.client.Stderr()}.Write([]byte(line(why)))
	}
	if rec.Hold() != nil { // frozen since it was judged, and then ended
		rec.Exit(nil, "")
		return false
	}
	if ch.pty != nil {
		rec = &sized{Channel: rec}
	}
	ch.beginning.Lock()
	defer ch.beginning.Unlock()
	ok, err := ch.target.SendRequest(r.Type, true, r.Payload)
	if err != nil || !ok {
		rec.Exit(nil, "")
		if !r.WantReply { // it was held, and answered then
			return ch.explain(r, "the target refused it")
		}
		return false
	}
	_ = r.Reply(true, nil) // before all that it says, and before its end
	r.WantReply = false    // answered
	ch.start(what, rec)
	return true
}
