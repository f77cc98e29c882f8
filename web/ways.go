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
// the most usual first. Words in capitals are for the engineer to fill in.
func (a sshAddress) Ways(g gateway.Grant) []way {
	user, can := g.Account+"+"+g.Target+"@"+a.host, g.Abilities
	var all []way
	add := func(yes bool, title, command string) {
		if yes {
			all = append(all, way{ID: "cmd-" + strconv.Itoa(len(all)) + "-" + g.ID, Title: title, Command: command})
		}
	}
	ssh, copying := "ssh"+a.flag(" -p "), a.flag(" -P ")
	add(can.Shell, "A shell", ssh+" "+user)
	add(can.Exec, "One command", ssh+" "+user+" COMMAND")
	add(can.Upload || can.Download, "Files, by hand", "sftp"+copying+" "+user)
	add(can.Upload, "A file to the target", "scp"+copying+" FILE "+user+":")
	add(can.Download, "A file from the target", "scp"+copying+" "+user+":FILE .")
	for _, to := range can.Forward {
		add(true, "To "+to+", at localhost:"+localPort(to), ssh+" -N -L "+localPort(to)+":"+to+" "+user)
	}
	return all
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
