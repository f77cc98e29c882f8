package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
)

// expiryEvery is how often a certificate that ends soon is complained about.
const expiryEvery = 24 * time.Hour

// certificates are what the web listener serves: for the pages, and for the
// consoles where there is a domain for them.
func (g *gatewayd) certificates() (certs.Serving, error) {
	u, _ := url.Parse(g.cfg.URL) // checked
	t := g.cfg.TLS
	switch t.Mode {
	case "files":
		pairs := []certs.Pair{{Certificate: t.Certificate, Key: t.Key}}
		if t.AppsCertificate != "" {
			pairs = append(pairs, certs.Pair{Certificate: t.AppsCertificate, Key: t.AppsKey})
		}
		s, err := certs.ServeFiles(pairs, time.Now, g.log)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		return s, nil
	case "acme":
		s, err := certs.ServeACME(certs.ACME{Directory: t.Directory, Email: t.Email, Roots: t.DirectoryCA, Folder: filepath.Join(g.cfg.Data, "acme"), Names: g.ours})
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		return s, nil
	}
	s, authority, err := g.keys.ServeInternal(u.Hostname(), g.cfg.AppsDomain)
	if err != nil {
		return nil, err
	}
	return s, g.layAuthority(authority)
}

// layAuthority lays the internal authority into the data folder, for browsers.
func (g *gatewayd) layAuthority(authority []byte) error {
	path := filepath.Join(g.cfg.Data, "web-ca.pem")
	// Each start signs the authority anew with the same key: which names it may
	// speak for is all that can differ.
	if old, err := os.ReadFile(path); err == nil && slices.Equal(speaksFor(old), speaksFor(authority)) {
		return nil
	}
	if err := os.WriteFile(path, authority, 0o644); err != nil {
		return err
	}
	g.log.Info("the pages' certificate is by this gateway's own authority; import it in the browsers", "file", path)
	return nil
}

// speaksFor are the names that an authority is held to; nil: it is none.
func speaksFor(raw []byte) []string {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return c.PermittedDNSDomains
}

// ours says whether a certificate may be asked for in this name: the pages'
// own, or that of a console that is on file.
func (g *gatewayd) ours(ctx context.Context, name string) error {
	u, _ := url.Parse(g.cfg.URL) // checked
	if name == u.Hostname() {
		return nil
	}
	target, ok := strings.CutSuffix(name, "."+g.cfg.AppsDomain)
	if !ok || g.cfg.AppsDomain == "" {
		return fmt.Errorf("%q is not one of this gateway's names", name)
	}
	target = strings.TrimPrefix(target, gateway.ServicePrefix)
	if err := gateway.CheckName("target", target); err != nil {
		return err
	}
	t, err := g.chain.Target(ctx, target)
	if err != nil {
		return err
	}
	if t.Removed || t.Kind != gateway.KindHTTPS {
		return fmt.Errorf("%q is no console", target)
	}
	return nil
}

// watchCertificate complains once a day about a certificate that ends soon.
func (g *gatewayd) watchCertificate(ctx context.Context) error {
	if g.serving == nil {
		return nil
	}
	tick := time.NewTicker(expiryEvery)
	defer tick.Stop()
	for {
		if s, ok := g.serving.Soonest(); ok && time.Until(s.Until) < certs.ExpiryWarning {
			g.log.Error("a certificate of the web listener ends soon", "names", s.Names, "until", s.Until.UTC().Format(time.RFC3339), "cure", renewal(g.cfg.TLS.Mode))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// lookAtCertificates says when the first of them ends, and whether the names
// that people will ask for are among theirs.
func (g *gatewayd) lookAtCertificates() []finding {
	if g.serving == nil {
		return nil
	}
	s, ok := g.serving.Soonest()
	if !ok {
		return []finding{{What: "tls", OK: true, Text: "no certificate was asked for since the start"}}
	}
	f := finding{What: "tls", OK: time.Until(s.Until) >= certs.ExpiryWarning, Text: "the certificate of " + strings.Join(s.Names, ", ") + " ends on " + moment(s.Until), Cure: renewal(g.cfg.TLS.Mode)}
	out := []finding{f}
	u, _ := url.Parse(g.cfg.URL) // checked
	names := []string{u.Hostname()}
	if g.cfg.AppsDomain != "" {
		names = append(names, "any."+g.cfg.AppsDomain)
	}
	if g.cfg.TLS.Mode != "files" {
		return out // asked for, or made, by name
	}
	for _, n := range names {
		if c, err := g.serving.Config().GetCertificate(&tls.ClientHelloInfo{ServerName: n, SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: anyScheme, SupportedCurves: []tls.CurveID{tls.X25519, tls.CurveP256}}); err != nil || c.Leaf.VerifyHostname(n) != nil {
			out = append(out, finding{What: "tls", Text: "no certificate on file is for " + n, Cure: "name it in the certificate; consoles need *." + g.cfg.AppsDomain + ", in tls.certificate or in tls.apps_certificate"})
		}
	}
	return out
}

// anyScheme is a client that takes every key.
var anyScheme = []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.Ed25519, tls.PSSWithSHA256}

// renewal is what to do about a certificate that ends soon.
func renewal(mode string) string {
	if mode == "acme" {
		return "see the log for why the ACME server gave no new one"
	}
	return "put a new one into its files; it is taken without a restart"
}
