package web

import "github.com/portcullis/portcullis/gateway"

// topic is one page of the built-in help.
type topic struct{ Name, Title, About string }

var topics = []topic{
	{"connect", "Connecting by ssh", "From an open window to a shell with the client you already use."},
	{"files", "Files", "sftp, scp, rsync and git: what each ability lets, and what is kept of each file."},
	{"forwards", "Forwards", "Reaching a database or a web page behind the target, port by port."},
	{"terminal", "In the browser", "A shell without a client of your own."},
	{"consoles", "Web consoles", "A target's web pages, in this browser, for the time that was agreed."},
	{"tunnels", "Networks by WireGuard", "A tunnel to the hosts and ports that were agreed, with the client that you have."},
	{"certificates", "Login certificates", "portcullis login: an SSH certificate for the day, by one touch."},
	{"keys", "Keys", "What a FIDO2 key is for, what an SSH key is for, and how each comes and goes."},
	{"approve", "Approving", "What to look at before you agree, and what your touch signs."},
	{"suspend", "Suspending", "Breach news: how to shut a vendor out, read the report, and let it in again."},
	{"orders", "Signed orders and tokens", "Shutting a vendor out on a day on which nobody can sign in, or from a machine elsewhere."},
	{"replay", "Replay", "Playing, searching and checking what was recorded."},
}

func (s *Server) help(v *visit) error {
	name := v.PathValue("topic")
	d := map[string]any{"Topics": topics, "Name": name, "SSH": s.ssh, "URL": s.cfg.URL, "HostCA": s.cfg.HostCA}
	if name == "" {
		return s.show(v, "help", "Help", d)
	}
	for _, t := range topics {
		if t.Name == name {
			return s.show(v, topicPage(name), t.Title, d)
		}
	}
	return gateway.NotFound("help page", name)
}
