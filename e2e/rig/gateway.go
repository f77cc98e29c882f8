package rig

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// startWithin bounds how long the gateway may take to be ready.
const startWithin = 30 * time.Second

// cliWithin bounds one command.
const cliWithin = 60 * time.Second

// Gateway is the built binary with a configuration and a data folder of its
// own, on free ports of loopback.
type Gateway struct {
	*Process
	Bin    string
	Dir    string
	Config string
	Data   string
	URL    string // http://localhost:PORT
	SSH    string // localhost:port; the host certificate is for that name
	VPN    string // host:port, UDP; of loopback until Outside says otherwise
	Admin  string // http://host:port, of health and metrics
	Web    string // host:port that the pages listen on

	extra string
	roots *x509.CertPool // of the pages' certificate; nil: plain HTTP
}

// Result is what a command said.
type Result struct {
	Status   int
	Out, Err string
}

// vpnHere stands for the address of tunnels until Init writes it.
const vpnHere = "{vpn}"

// NewGateway chooses ports. extra is YAML text for the configuration that
// Init writes. Where it names no drain, a stop waits for no live session.
func NewGateway(bin, dir, extra string) (*Gateway, error) {
	web, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	ssh, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	vpn, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(web, ":")
	_, sshPort, _ := strings.Cut(ssh, ":")
	g := &Gateway{Web: web, Admin: "http://" + admin, Bin: bin, Dir: dir, Config: filepath.Join(dir, "portcullis.yaml"), Data: filepath.Join(dir, "data"), URL: "http://localhost:" + port, SSH: "localhost:" + sshPort, VPN: vpn}
	g.extra = fmt.Sprintf("node: node-1\nlisten:\n  web: %s\n  ssh: %s\n  vpn: %s\n  admin: %s\n%s", web, ssh, vpnHere, admin, extra)
	if !strings.Contains(extra, "drain:") {
		g.extra += "drain: 0s\n"
	}
	return g, os.MkdirAll(dir, 0o700)
}

// Secure serves the pages and consoles over TLS, with one certificate for all.
// It comes before Init.
func (g *Gateway) Secure(c Certificate) error {
	roots, err := c.Roots()
	if err != nil {
		return err
	}
	g.roots, g.URL = roots, "https"+strings.TrimPrefix(g.URL, "http")
	g.extra += fmt.Sprintf("tls: {mode: files, certificate: %q, key: %q}\n", c.Cert, c.Key)
	return nil
}

// transport reaches the pages; address, where it is set, stands for every name.
func (g *Gateway) transport(address func() string) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	if g.roots != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: g.roots, MinVersion: tls.VersionTLS12}
	}
	if address != nil {
		to := &net.Dialer{Timeout: 10 * time.Second}
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return to.DialContext(ctx, network, address())
		}
	}
	return t
}

// Outside has tunnels end at another address than loopback, with the port as
// it is. It comes before Init.
func (g *Gateway) Outside(address string) {
	_, port, _ := strings.Cut(g.VPN, ":")
	g.VPN = net.JoinHostPort(address, port)
	g.extra += fmt.Sprintf("vpn: {endpoint: %q}\n", g.VPN)
}

// Configure adds YAML to the configuration that Init writes.
func (g *Gateway) Configure(extra string) { g.extra += extra }

// Init runs `portcullis init`, adds what the configuration needs besides, and
// returns the first administrator's link.
func (g *Gateway) Init(ctx context.Context) (string, error) {
	r, err := g.Run(ctx, "init", "--config", g.Config, "--data", g.Data, "--url", g.URL, "--json")
	if err != nil {
		return "", err
	}
	var made struct {
		Link string `json:"link"`
	}
	if err := json.Unmarshal([]byte(r.Out), &made); err != nil || r.Status != 0 || made.Link == "" {
		return "", fmt.Errorf("init: exit %d\n%s%s", r.Status, r.Out, r.Err)
	}
	raw, err := os.ReadFile(g.Config)
	if err != nil {
		return "", err
	}
	return made.Link, os.WriteFile(g.Config, append(raw, strings.Replace(g.extra, vpnHere, g.VPN, 1)...), 0o600)
}

// Start runs `portcullis serve` and waits until it is ready.
func (g *Gateway) Start(ctx context.Context) error {
	p, err := start(g.Bin, nil, "serve", "--config", g.Config)
	if err != nil {
		return err
	}
	g.Process = p
	err = Until(ctx, startWithin, func() error {
		select {
		case <-p.Done():
			return nil // looked at below
		default:
		}
		if err := g.Ready(ctx); err != nil {
			return err
		}
		return listens(g.SSH)
	})
	select {
	case <-p.Done():
		return fmt.Errorf("the gateway ended at its start:\n%s", p.Log())
	default:
	}
	if err != nil {
		p.Kill()
		return fmt.Errorf("the gateway is not ready: %w\n%s", err, p.Log())
	}
	return nil
}

// Ready asks /readyz, as a balancer does.
func (g *Gateway) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Admin+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", res.Status)
	}
	return nil
}

// Run runs any command of the binary.
func (g *Gateway) Run(ctx context.Context, args ...string) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, cliWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, g.Bin, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Dir = g.Dir
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		return Result{}, fmt.Errorf("portcullis %s: %w", strings.Join(args, " "), errors.Join(err, ctx.Err()))
	}
	return Result{Status: cmd.ProcessState.ExitCode(), Out: out.String(), Err: errOut.String()}, nil
}

// CLI runs a command against this gateway's local socket.
func (g *Gateway) CLI(ctx context.Context, args ...string) (Result, error) {
	return g.Run(ctx, append(args, "--config", g.Config)...)
}

// JSON runs a reading command with --json and decodes what it prints into v.
func (g *Gateway) JSON(ctx context.Context, v any, args ...string) error {
	r, err := g.CLI(ctx, append(args, "--json")...)
	if err != nil {
		return err
	}
	if r.Status != 0 {
		return fmt.Errorf("portcullis %s: exit %d\n%s%s", strings.Join(args, " "), r.Status, r.Out, r.Err)
	}
	if err := json.Unmarshal([]byte(r.Out), v); err != nil {
		return fmt.Errorf("portcullis %s --json: %w:\n%s", strings.Join(args, " "), err, r.Out)
	}
	return nil
}

// Apply applies a plant file.
func (g *Gateway) Apply(ctx context.Context, text string) error {
	file := filepath.Join(g.Dir, "plant.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	r, err := g.CLI(ctx, "apply", "-f", file)
	if err != nil {
		return err
	}
	if r.Status != 0 {
		return fmt.Errorf("apply: exit %d\n%s%s\n%s", r.Status, r.Out, r.Err, text)
	}
	return nil
}

// WebOff switches the pages off for the next start.
func (g *Gateway) WebOff() error {
	raw, err := os.ReadFile(g.Config)
	if err != nil {
		return err
	}
	text := regexp.MustCompile(`(?m)^(\s+web:).*$`).ReplaceAllString(string(raw), "$1 off")
	return os.WriteFile(g.Config, []byte(text), 0o600)
}

// UserCA is what a target's TrustedUserCAKeys holds, as the gateway laid it
// out in its data folder.
func (g *Gateway) UserCA() (string, error) { return g.published("ssh_user_ca.pub") }

// KnownHosts is what an engineer's known_hosts holds of the gateway, likewise.
func (g *Gateway) KnownHosts() (string, error) { return g.published("ssh_known_hosts") }

func (g *Gateway) published(name string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(g.Data, name))
	return string(raw), err
}
