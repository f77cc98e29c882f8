package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy"
)

const (
	consoleWithin  = 5 * time.Second // one console has to show its certificate
	consolesAtOnce = 8
)

// lookAtConsoles connects to each console as a session would, and says whose
// certificate would be refused and whose soon will be.
func lookAtConsoles(ctx context.Context, targets []gateway.Target, now time.Time) []finding {
	var consoles []gateway.Target
	for _, t := range targets {
		if t.Kind == gateway.KindHTTPS && !t.Removed {
			consoles = append(consoles, t)
		}
	}
	out := make([]finding, len(consoles))
	turn := make(chan struct{}, consolesAtOnce)
	var wg sync.WaitGroup
	for i, t := range consoles {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			out[i] = lookAtConsole(ctx, t, now)
		})
	}
	wg.Wait()
	return out
}

func lookAtConsole(ctx context.Context, t gateway.Target, now time.Time) finding {
	f := finding{What: "console"}
	leaf, err := shown(ctx, t)
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial", errors.Is(err, context.DeadlineExceeded):
		f.Text, f.Cure = fmt.Sprintf("%s is not reached at %s: %v", t.Name, t.Address, err), "look at the way to it and whether it runs, or remove its definition"
	case err != nil:
		f.Text, f.Cure = fmt.Sprintf("the certificate of %s is not believed: %v", t.Name, err), "ask its owner whether it was changed, and sign its definition anew with the authority or pin that he names"
	case t.HTTPS.Trust != gateway.TrustPin && leaf.NotAfter.Sub(now) < certs.ExpiryWarning:
		f.Text, f.Cure = fmt.Sprintf("the certificate of %s ends at %s", t.Name, moment(leaf.NotAfter)), "have its owner renew it; from then on no session reaches it"
	default:
		f.OK, f.Text = true, fmt.Sprintf("the certificate of %s is believed, until %s", t.Name, moment(leaf.NotAfter))
	}
	return f
}

// shown is the certificate that a console shows, if it is believed. A console
// that also wants a client certificate has shown its own by then.
func shown(ctx context.Context, t gateway.Target) (*x509.Certificate, error) {
	cfg, err := httpsproxy.Trust(t, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, consoleWithin)
	defer cancel()
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing was said on it
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}
