package rig

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Client is an engineer's machine: an SSH key, a known_hosts file and a
// configuration of its own, nothing of the machine that runs the test.
type Client struct {
	Dir       string
	PublicKey string
}

const sshConfig = `# written by the rig
Host *
  IdentityFile %[1]s/id
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %[1]s/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  ControlPath none
  ConnectTimeout 20
  LogLevel INFO
`

// NewClient makes an engineer's machine in dir. knownHosts is the text of its
// known_hosts file.
func NewClient(dir, knownHosts string) (*Client, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &Client{Dir: dir}
	var err error
	if c.PublicKey, err = Keygen(filepath.Join(dir, "id")); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"known_hosts": knownHosts, "config": fmt.Sprintf(sshConfig, dir)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// NewKey makes the engineer another SSH key: one that was enrolled says who
// somebody is for ever, and is not taken twice.
func (c *Client) NewKey() error {
	var err error
	c.PublicKey, err = Keygen(filepath.Join(c.Dir, "id"))
	return err
}

// Args are the arguments of the stock ssh client for user at addr, before the
// remote command: options first, then the destination.
func (c *Client) Args(user, addr string, options ...string) []string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic("rig: " + addr + " is not host:port")
	}
	args := append([]string{"-F", filepath.Join(c.Dir, "config"), "-p", port}, options...)
	return append(args, "-l", user, host)
}

// KnownHost is the known_hosts line of one host key at addr.
func KnownHost(addr, publicKey string) string {
	host, port, _ := strings.Cut(addr, ":")
	return fmt.Sprintf("[%s]:%s %s\n", host, port, publicKey)
}
