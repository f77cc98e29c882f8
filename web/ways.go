package web

import (
	"cmp"
	"net"
	"strconv"

	"github.com/portcullis/portcullis/gateway"
)

// way is one command that a grant lets, ready to be copied.
type way struct {
	ID      string // within the page
	Title   string
	Command string
}

// Ways are the commands that use a grant, one for each thing that it lets,
// the most usual first. Words in capitals are for the engineer to fill in. A
// web console is used by no command, and a network not by ssh.
func (a sshAddress) Ways(g gateway.Grant) []way {
	if len(g.Abilities.Methods)+len(g.Abilities.Flows) > 0 {
		return nil
	}
	user, ssh, can := g.Account+"+"+g.Target+"@"+a.host, "ssh"+a.flag(" -p "), g.Abilities
	var all []way
	add := func(yes bool, title, command string) {
		if yes {
			all = append(all, way{ID: "cmd-" + strconv.Itoa(len(all)) + "-" + g.ID, Title: title, Command: command})
		}
	}
	add(can.Shell, "A shell", ssh+" "+user)
	add(can.Exec, "One command", ssh+" "+user+" COMMAND")
	add(can.Upload || can.Download, "Files, by hand", a.SFTP(g.Account, g.Target))
	add(can.Upload, "A file to the target", a.SCPUp(g.Account, g.Target))
	add(can.Download, "A file from the target", a.SCPDown(g.Account, g.Target))
	for _, to := range can.Forward {
		add(true, "To "+to+", at localhost:"+localPort(to), a.Forward(g.Account, g.Target, to))
	}
	return all
}

// The same commands with names in capitals, for the help.

// SFTP is sftp's command line.
func (a sshAddress) SFTP(account, target string) string {
	return "sftp" + a.flag(" -P ") + " " + account + "+" + target + "@" + a.host
}

// SCPUp copies a file to the target.
func (a sshAddress) SCPUp(account, target string) string {
	return "scp" + a.flag(" -P ") + " FILE " + account + "+" + target + "@" + a.host + ":"
}

// SCPDown copies a file from it.
func (a sshAddress) SCPDown(account, target string) string {
	return "scp" + a.flag(" -P ") + " " + account + "+" + target + "@" + a.host + ":FILE ."
}

// Rsync copies a folder to the target.
func (a sshAddress) Rsync(account, target string) string {
	via := ""
	if f := a.flag(" -p "); f != "" {
		via = " -e 'ssh" + f + "'"
	}
	return "rsync -a" + via + " FOLDER/ " + account + "+" + target + "@" + a.host + ":FOLDER/"
}

// Forward carries one port.
func (a sshAddress) Forward(account, target, to string) string {
	return "ssh" + a.flag(" -p ") + " -N -L " + localPort(to) + ":" + to + " " + account + "+" + target + "@" + a.host
}

// flag is how a client is told the port; ssh and scp differ in that.
func (a sshAddress) flag(name string) string {
	if cmp.Or(a.port, "22") == "22" {
		return ""
	}
	return name + a.port
}

// firstOpenPort is the first that a client may listen on without being root.
const firstOpenPort = 1024

// localPort is where a forward listens at the engineer's end: the same port
// where that needs no root.
func localPort(to string) string {
	_, port, err := net.SplitHostPort(to)
	if n, bad := strconv.Atoi(port); err == nil && bad == nil && n < firstOpenPort {
		return strconv.Itoa(n + 10_000)
	}
	return port
}
