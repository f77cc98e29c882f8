package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// outerUser is the user name of the connection that is jumped from. It names
// no target, and the local login name could.
const outerUser = "jump"

type sshConfigCmd struct {
	Targets []string `arg:"" optional:"" name:"target" help:"Targets to write down; all that are reached by ssh if none is named."`
	Only    string   `help:"Print one of the two parts alone." enum:"both,config,known_hosts" default:"both"`
}

// Run prints what an engineer's client needs to jump: no secret is in it.
func (s *sshConfigCmd) Run(r *run) error {
	cfg, err := r.configOf()
	if err != nil {
		return err
	}
	keys, err := keysIn(cfg.Data)
	if err != nil {
		return err
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return err
	}
	if len(s.Targets) == 0 {
		if s.Targets, err = sshTargets(r); err != nil {
			return hinted(err, "name the targets: portcullis ssh-config TARGET...")
		}
	}
	for _, t := range s.Targets {
		if err := gateway.CheckName("target", t); err != nil {
			return err
		}
	}
	_, port, err := net.SplitHostPort(cfg.Listen.SSH)
	if err != nil {
		return fmt.Errorf("listen.ssh: %w", err)
	}
	config := clientConfig(u.Hostname(), port, s.Targets)
	known := knownHosts(u.Hostname(), port, s.Targets, keys.HostCAPublic())
	switch {
	case r.JSON:
		return printJSON(r.out, map[string]string{"ssh_config": config, "known_hosts": known})
	case s.Only == "config":
		_, err = fmt.Fprint(r.out, config)
	case s.Only == "known_hosts":
		_, err = fmt.Fprint(r.out, known)
	default:
		_, err = fmt.Fprintf(r.out, "# For ~/.ssh/config\n%s\n# For ~/.ssh/known_hosts\n%s", config, known)
	}
	return err
}

// sshTargets are the names of the gateway's targets that are reached by ssh.
func sshTargets(r *run) ([]string, error) {
	var page api.Page[gateway.Target]
	if err := r.get("/targets", &page); err != nil {
		return nil, err
	}
	var names []string
	for _, t := range page.Items {
		if t.Kind == gateway.KindSSH {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func clientConfig(host, port string, targets []string) string {
	text := fmt.Sprintf("Host portcullis\n    HostName %s\n    Port %s\n    User %s\n", host, port, outerUser)
	if len(targets) > 0 {
		text += fmt.Sprintf("\nHost %s\n    ProxyJump portcullis\n", strings.Join(targets, " "))
	}
	return text
}

// knownHosts trusts the gateway's authority for the gateway and the targets,
// and for nothing else.
func knownHosts(host, port string, targets []string, authority ssh.PublicKey) string {
	if port != "22" {
		host = "[" + host + "]:" + port
	}
	return statement.Authority + strings.Join(append([]string{host}, targets...), ",") + " " + line(authority) + "\n"
}
