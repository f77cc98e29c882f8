package main

import (
	"context"
	"io"

	"github.com/portcullis/portcullis/gateway/sshproxy"
	"github.com/portcullis/portcullis/web/terminal"
)

// openInside opens the shell of a browser terminal, through the proxy.
func (g *gatewayd) openInside(ctx context.Context, o terminal.Opening, show io.Writer) (terminal.Shell, error) {
	s, err := g.carrier.Inside(ctx, sshproxy.Insider(o), show)
	if err != nil {
		return nil, err
	}
	return s, nil // not s, err: a nil pointer in an interface is not nil
}
