package rig

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// What the engineer types at Node-RED's own login; nothing that the gateway
// writes holds the password.
const (
	NodeREDUser     = "maint"
	NodeREDPassword = "canary-node-red-password"
)

// NodeRED is a real Node-RED (npm node-red) in a process of its own, with its
// own TLS and its own login.
type NodeRED struct {
	*Process
	Addr, Pin string
}

// nodeREDSettings is its settings file: certificate, key, port, user, hash.
const nodeREDSettings = `const fs = require('fs')
module.exports = {
  uiHost: '127.0.0.1', uiPort: %s, flowFile: 'flows.json', credentialSecret: false,
  https: {cert: fs.readFileSync(%q), key: fs.readFileSync(%q)}, requireHttps: true,
  adminAuth: {type: 'credentials', users: [{username: %q, password: %q, permissions: '*'}]},
  telemetry: {enabled: false, updateNotification: false},
  editorTheme: {tours: false, palette: {catalogues: []}, codeEditor: {lib: 'monaco'}},
  externalModules: {palette: {allowInstall: false}},
}
`

// StartNodeRED starts it on loopback with its data in dir; modules is e2e's
// node_modules.
func StartNodeRED(ctx context.Context, modules, dir string) (*NodeRED, error) {
	script := filepath.Join(modules, "node-red", "red.js")
	if !exists(script) {
		return nil, fmt.Errorf("node-red is missing; run npm ci in e2e, or make test")
	}
	cert, err := NewCertificate(dir, "localhost")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	hash, err := bcrypt.GenerateFromPassword([]byte(NodeREDPassword), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	settings := filepath.Join(dir, "settings.js")
	if err := os.WriteFile(settings, fmt.Appendf(nil, nodeREDSettings, port, cert.Cert, cert.Key, NodeREDUser, hash), 0o600); err != nil {
		return nil, err
	}
	n := &NodeRED{Addr: "localhost:" + port, Pin: cert.Pin}
	if n.Process, err = start("node", nil, script, "--userDir", dir, "--settings", settings); err != nil {
		return nil, err
	}
	if err := n.answers(ctx, cert, "https://"+n.Addr+"/auth/login", http.StatusOK); err != nil {
		n.Kill()
		return nil, fmt.Errorf("Node-RED is not ready: %w\n%s", err, n.Log())
	}
	return n, nil
}

// Target is it in the plant file, under a name: the engineer logs in himself.
func (n *NodeRED) Target(name string) string {
	return fmt.Sprintf(`  - name: %s
    title: Flows of pump station 7
    kind: https
    address: %s
    zone: pumps
    impact: medium
    vendors: [acme]
    https: {trust: pin, pins: [%q]}
    accounts: [{name: ops, login: %s, proof: none}]
`, name, n.Addr, n.Pin, NodeREDUser)
}

// answers waits until a console of the process, which shows that certificate,
// answers with a status.
func (p *Process) answers(ctx context.Context, c Certificate, url string, status int) error {
	roots, err := c.Roots()
	if err != nil {
		return err
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer t.CloseIdleConnections()
	client := &http.Client{Transport: t, Timeout: 5 * time.Second}
	return Until(ctx, 60*time.Second, func() error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(r)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != status {
			return fmt.Errorf("%s: %s", url, res.Status)
		}
		return nil
	})
}
