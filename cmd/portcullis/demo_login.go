package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// login signs a fresh machine of the engineer's in, and runs a command with
// the certificate alone.
func (c *check) login() (string, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	said, tell := io.Pipe()
	file, ended := filepath.Join(c.dir, loginFile), make(chan error, 1)
	go func() { // ends with ctx, and is waited for
		cmd := loginCmd{Server: c.plant.cfg.URL, Key: file}
		err := cmd.Run(&run{ctx: ctx, out: io.Discard, errOut: tell})
		ended <- errors.Join(err, tell.Close())
	}()
	err := c.signIn(said)
	if err != nil {
		cancel()
	}
	_, _ = io.Copy(io.Discard, said) // until the command has ended
	if err = errors.Join(err, <-ended); err != nil {
		return "", err
	}
	fresh := *c.engineer
	fresh.key = file
	var stdout bytes.Buffer
	cmd := fresh.ssh(c.ctx, c.plant.gate.sshAddress(), "-T", "-o", "CertificateFile="+file+"-cert.pub", "echo certified")
	cmd.Stdout = &stdout
	if err := fresh.touched(c.ctx, cmd); err != nil {
		return "", err
	}
	if stdout.String() != "certified\n" {
		return "", fmt.Errorf("got %q", stdout.String())
	}
	return "a touch for the certificate, another for the session", nil
}

// signIn reads the link off the terminal and touches.
func (c *check) signIn(terminal io.Reader) error {
	lines := bufio.NewScanner(terminal)
	for lines.Scan() {
		if _, id, ok := strings.Cut(lines.Text(), c.plant.cfg.URL+"/certificate/"); ok {
			return c.engineer.act(c.ctx, statement.KindSSHCert, api.SSHCertParams{Terminal: strings.TrimSpace(id)}, nil)
		}
	}
	return errors.Join(errors.New("the terminal shows no link"), lines.Err())
}
