package rig

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// PrometheusPassword proves the account at Prometheus by Basic; it is for the
// gateway alone, and nothing that a vendor sees or the gateway writes holds it.
const PrometheusPassword = "canary-prometheus-password"

// Prometheus is Debian's, in a process of its own, with its own TLS; it
// measures itself.
type Prometheus struct {
	*Process
	Addr, Pin, SecretFile string
}

const (
	prometheusWeb    = "tls_server_config: {cert_file: %q, key_file: %q}\nbasic_auth_users: {svc: %q}\n"
	prometheusScrape = `global: {scrape_interval: 1s}
scrape_configs:
  - job_name: prometheus
    scheme: https
    basic_auth: {username: svc, password_file: %q}
    tls_config: {ca_file: %q}
    static_configs: [{targets: [%q]}]
`
)

// StartPrometheus starts it on loopback with its data in dir.
func StartPrometheus(ctx context.Context, dir string) (*Prometheus, error) {
	cert, err := NewCertificate(dir, "localhost")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(PrometheusPassword), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	p := &Prometheus{Addr: "localhost:" + port, Pin: cert.Pin, SecretFile: filepath.Join(dir, "password")}
	web, scrape := filepath.Join(dir, "web.yml"), filepath.Join(dir, "prometheus.yml")
	for path, text := range map[string]string{
		p.SecretFile: PrometheusPassword,
		web:          fmt.Sprintf(prometheusWeb, cert.Cert, cert.Key, hash),
		scrape:       fmt.Sprintf(prometheusScrape, p.SecretFile, cert.Cert, p.Addr),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if p.Process, err = start("prometheus", nil, "--config.file", scrape, "--web.config.file", web, "--web.listen-address", addr,
		"--web.enable-lifecycle", "--storage.tsdb.path", filepath.Join(dir, "tsdb")); err != nil {
		return nil, fmt.Errorf("%w (apt-get install prometheus)", err)
	}
	if err := p.answers(ctx, cert, "https://"+p.Addr+"/-/ready", http.StatusUnauthorized); err != nil {
		p.Kill()
		return nil, fmt.Errorf("Prometheus is not ready: %w\n%s", err, p.Log())
	}
	return p, nil
}

// Target is it in the plant file, under a name: the gateway proves the account.
func (p *Prometheus) Target(name string) string {
	return fmt.Sprintf(`  - name: %s
    title: Figures of pump station 7
    kind: https
    address: %s
    zone: pumps
    impact: medium
    vendors: [acme]
    https: {trust: pin, pins: [%q]}
    accounts: [{name: ops, login: svc, proof: password, secret_file: %s}]
`, name, p.Addr, p.Pin, p.SecretFile)
}
