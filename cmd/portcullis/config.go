package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// maxConfig bounds the configuration file.
const maxConfig = 1 << 20

// Config is the configuration file. A missing field works; an unknown key is
// an error that names its line; secrets are paths of files.
type Config struct {
	// URL is where people reach the web pages: https://gate.example.org. Its
	// host is the WebAuthn relying party: keys enrolled under one host are
	// nothing under another. http:// is taken for a loopback host alone.
	URL string `yaml:"url"`
	// AppsDomain is the domain that HTTPS targets will be shown under.
	AppsDomain string `yaml:"apps_domain,omitempty"`
	// Data is the folder of the store, the keys, the recordings and the local
	// socket. Mode 0700.
	Data string `yaml:"data"`
	// Node names this gateway in records and reports; the host name by default.
	Node string `yaml:"node,omitempty"`
	// Listen says where to listen, host:port each; "off" turns one off.
	Listen Listen `yaml:"listen"`
	// VPN is what WireGuard tunnels need besides listen.vpn.
	VPN VPN `yaml:"vpn,omitempty"`
	// Store is "sqlite:" (DATA/portcullis.db), or for several nodes
	// "postgres://user@host/database?sslmode=verify-full&sslrootcert=/path".
	Store string `yaml:"store,omitempty"`
	// StorePasswordFile holds the password for a postgres store; it is read at
	// each connection, so that it can be changed without a restart.
	StorePasswordFile string `yaml:"store_password_file,omitempty"`
	// Nodes are all nodes of a cluster: each one's name and the host:port where
	// it listens for the others. Empty for one node.
	Nodes map[string]string `yaml:"nodes,omitempty"`
	// Redis is where the nodes of a cluster meet; empty for one node.
	Redis Redis `yaml:"redis,omitempty"`
	// Recordings is "file:///path"; DATA/recordings by default.
	Recordings string `yaml:"recordings,omitempty"`
	// Reserve is the free space, in MiB, below which no recording begins.
	Reserve int64 `yaml:"recordings_reserve_mib,omitempty"`
	// TLS is where the web listener's certificate comes from.
	TLS TLS `yaml:"tls,omitempty"`
	// Identity holds the OpenID providers.
	Identity Identity `yaml:"identity,omitempty"`
	// Roots are the Ed25519 public keys ("ed25519:BASE64") trusted to admit
	// the first staff: the machine keys of the nodes. `portcullis init` writes
	// this machine's. They stand here, not in the store, so that an edited
	// store can admit nobody.
	Roots []string `yaml:"roots"`
	// Policy is a folder of .cedar files; the built-in policy by default.
	Policy string `yaml:"policy,omitempty"`
	// Lease is how long sessions go on without the store; 10s by default, at
	// most 60s.
	Lease time.Duration `yaml:"lease,omitempty"`
	// Drain is how long a restart (SIGTERM) waits for live sessions to end by
	// themselves; 10m by default, at most 24h, and 0s ends them at once.
	Drain *time.Duration `yaml:"drain,omitempty"`
	// Restore holds the shortest stays in the stages of a restoration.
	Restore Restore `yaml:"restore,omitempty"`
	// Retention and Notify belong to later versions and must be empty.
	Retention string   `yaml:"retention,omitempty"`
	Notify    []string `yaml:"notify,omitempty"`
}

// Listen says where to listen.
type Listen struct {
	Web   string `yaml:"web,omitempty"`
	SSH   string `yaml:"ssh,omitempty"`
	VPN   string `yaml:"vpn,omitempty"` // UDP; one port for IPv4 and IPv6
	Admin string `yaml:"admin,omitempty"`
}

// TLS is where the web listener's certificates come from: files (taken anew
// when they change), acme (RFC 8555; one for the pages and one for each
// console, when it is first asked for), or internal (a certificate authority of
// our own in DATA/keys, for a closed network).
type TLS struct {
	Mode string `yaml:"mode,omitempty"`
	// Certificate and Key are PEM files, for mode files. AppsCertificate and
	// AppsKey are for *.APPS_DOMAIN, where the first does not name it.
	Certificate     string `yaml:"certificate,omitempty"`
	Key             string `yaml:"key,omitempty"`
	AppsCertificate string `yaml:"apps_certificate,omitempty"`
	AppsKey         string `yaml:"apps_key,omitempty"`
	// Email, Directory and DirectoryCA are for mode acme: whom the authority
	// writes to, the URL of its directory (Let's Encrypt's by default), and a
	// PEM file of authorities for that URL's own TLS (the system's by default).
	Email       string `yaml:"email,omitempty"`
	Directory   string `yaml:"directory,omitempty"`
	DirectoryCA string `yaml:"directory_ca,omitempty"`
}

// Identity holds the OpenID providers.
type Identity struct {
	Providers []Provider `yaml:"providers,omitempty"`
}

// Provider is one OpenID provider, bound to one vendor or to the staff.
type Provider struct {
	Name       string `yaml:"name"`
	Issuer     string `yaml:"issuer"`
	Client     string `yaml:"client"`
	SecretFile string `yaml:"secret_file,omitempty"`
	Vendor     string `yaml:"vendor,omitempty"`
	Staff      bool   `yaml:"staff,omitempty"`
}

const (
	defaultLease = 10 * time.Second
	maxLease     = 60 * time.Second
	defaultDrain = 10 * time.Minute
	maxDrain     = 24 * time.Hour
	off          = "off"
)

// LoadConfig reads and checks the file.
func LoadConfig(path string) (Config, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return Config{}, hinted(fmt.Errorf("no configuration at %s", path), "run `portcullis init --config "+path+"`, or name another file with --config")
	}
	if err != nil {
		return Config{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	if len(raw) > maxConfig {
		return Config{}, fmt.Errorf("%s has more than %d bytes", path, maxConfig)
	}
	cfg, err := ParseConfig(raw)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// ParseConfig reads a configuration, strictly, and fills what is missing.
func ParseConfig(raw []byte) (Config, error) {
	var cfg Config
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&cfg); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("holds more than one document; keep one")
	}
	cfg.fill()
	return cfg, cfg.check()
}

func (c *Config) fill() {
	orElse(&c.URL, "http://localhost:8080")
	orElse(&c.Data, "/var/lib/portcullis")
	orElse(&c.Store, "sqlite:")
	orElse(&c.Listen.SSH, ":2022")
	orElse(&c.Listen.Admin, off)
	orElse(&c.Listen.VPN, ":51820")
	c.VPN.fill()
	if c.plain() {
		orElse(&c.Listen.Web, "127.0.0.1:8080")
	} else {
		orElse(&c.Listen.Web, ":8443")
		orElse(&c.TLS.Mode, "internal")
	}
	if host, err := os.Hostname(); c.Node == "" && err == nil {
		c.Node = strings.ToLower(strings.SplitN(host, ".", 2)[0])
	}
	if gateway.CheckName("node", c.Node) != nil {
		c.Node = "node"
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.Drain == nil {
		wait := defaultDrain
		c.Drain = &wait
	}
	c.Restore.fill()
	orElse(&c.Recordings, "file://"+filepath.Join(c.Data, "recordings"))
	c.URL = strings.TrimSuffix(c.URL, "/")
}

// plain reports whether the pages are served without TLS.
func (c *Config) plain() bool { return strings.HasPrefix(c.URL, "http://") }

func (c *Config) check() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("url: %q is not of the form https://host or https://host:port", c.URL)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return fmt.Errorf("url: %q is plain http; browsers sign with FIDO2 keys over https only, except on localhost", c.URL)
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil && u.Hostname() != "127.0.0.1" {
		return fmt.Errorf("url: %q names an address; FIDO2 keys are bound to a host name", c.URL)
	}
	if err := c.checkApps(u.Hostname()); err != nil {
		return err
	}
	if !filepath.IsAbs(c.Data) {
		return fmt.Errorf("data: %q is not an absolute path", c.Data)
	}
	for key, addr := range map[string]string{"web": c.Listen.Web, "ssh": c.Listen.SSH, "vpn": c.Listen.VPN, "admin": c.Listen.Admin} {
		if addr == off {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("listen.%s: %q is not host:port nor \"off\"", key, addr)
		}
	}
	if c.Lease < time.Second || c.Lease > maxLease {
		return fmt.Errorf("lease: %s is not between 1s and %s", c.Lease, maxLease)
	}
	if *c.Drain < 0 || *c.Drain > maxDrain {
		return fmt.Errorf("drain: %s is not between 0s and %s", *c.Drain, maxDrain)
	}
	for _, check := range []func() error{c.checkStore, c.checkNodes, c.checkLater, c.Restore.check, c.Redis.check, c.checkVPN, c.checkTLS, c.checkProviders} {
		if err := check(); err != nil {
			return err
		}
	}
	_, err = c.RootKeys()
	return err
}

// checkApps holds the consoles' domain apart from the pages' host: a console's
// page below it could speak for it to a FIDO2 key, and plant cookies on it.
func (c *Config) checkApps(host string) error {
	d := c.AppsDomain
	if d == "" {
		return nil
	}
	if to, err := gateway.ParseForward(net.JoinHostPort(d, "443")); err != nil || to != net.JoinHostPort(d, "443") {
		return fmt.Errorf("apps_domain: %q is not a DNS name in lower case, such as apps.example.org", d)
	}
	if _, err := netip.ParseAddr(d); err == nil {
		return fmt.Errorf("apps_domain: %q is an address; consoles need names below a domain", d)
	}
	if host == "localhost" && d == host { // a trial on one machine has no other domain
		return nil
	}
	if d == host || strings.HasSuffix(d, "."+host) || strings.HasSuffix(host, "."+d) {
		return fmt.Errorf("apps_domain: %q and the pages' host %q lie one below the other; consoles need a domain beside it", d, host)
	}
	return nil
}

// checkNodes holds the list of nodes to one that each of them can share.
func (c *Config) checkNodes() error {
	if len(c.Nodes) == 0 {
		return nil
	}
	if !c.shared() {
		return errors.New("nodes: several nodes need a store that they share; set store to postgres://…")
	}
	if _, ok := c.Nodes[c.Node]; !ok {
		return fmt.Errorf("nodes: this node, %q, is not among them; add it, or set node", c.Node)
	}
	for name, addr := range c.Nodes {
		if err := gateway.CheckName("node", name); err != nil {
			return fmt.Errorf("nodes: %w", err)
		}
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return fmt.Errorf("nodes.%s: %q is not host:port", name, addr)
		}
	}
	return nil
}

// checkLater refuses what the words of the design foresee and this version
// does not do: silence would look like protection.
func (c *Config) checkLater() error {
	switch {
	case !strings.HasPrefix(c.Recordings, "file:///"):
		return fmt.Errorf("recordings: %q is not carried by this version; file:///absolute/path is", c.Recordings)
	case c.Retention != "":
		return errors.New("retention: this version keeps everything; leave it empty")
	case len(c.Notify) > 0:
		return errors.New("notify: this version notifies nobody; leave it empty")
	case c.Reserve < 0:
		return errors.New("recordings_reserve_mib: must not be negative")
	}
	return nil
}

func (c *Config) checkTLS() error {
	if c.plain() {
		if c.TLS != (TLS{}) {
			return errors.New("tls: url is http://, so no certificate is used; remove it or make url https://")
		}
		return nil
	}
	t := c.TLS
	files := TLS{Certificate: t.Certificate, Key: t.Key, AppsCertificate: t.AppsCertificate, AppsKey: t.AppsKey}
	acme := TLS{Email: t.Email, Directory: t.Directory, DirectoryCA: t.DirectoryCA}
	switch {
	case t.Mode == "files" && (t.Certificate == "" || t.Key == "" || (t.AppsCertificate == "") != (t.AppsKey == "")):
		return errors.New("tls: mode files needs both certificate and key, paths of PEM files; so does apps_certificate")
	case t.Mode == "files" && acme == TLS{}, t.Mode == "internal" && files == TLS{} && acme == TLS{}:
		return nil
	case t.Mode == "acme" && files == TLS{}:
		if u, err := url.Parse(t.Directory); t.Directory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
			return fmt.Errorf("tls.directory: %q is not an https URL", t.Directory)
		}
		return nil
	}
	return fmt.Errorf("tls.mode: %q does not go with these fields; files goes with certificate and key, acme with email and directory, internal with none", t.Mode)
}

func (c *Config) checkProviders() error {
	seen := map[string]bool{}
	for i, p := range c.Identity.Providers {
		at := fmt.Sprintf("identity.providers[%d]", i)
		if err := gateway.CheckName("provider", p.Name); err != nil {
			return fmt.Errorf("%s.name: %w", at, err)
		}
		u, err := url.Parse(p.Issuer)
		switch {
		case seen[p.Name]:
			return fmt.Errorf("%s.name: %q stands twice", at, p.Name)
		case err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
			return fmt.Errorf("%s.issuer: %q is not an https URL", at, p.Issuer)
		case p.Client == "":
			return fmt.Errorf("%s.client: empty; name the client id that the provider gave", at)
		case (p.Vendor == "") == !p.Staff:
			return fmt.Errorf("%s: name either a vendor or staff: true; a provider speaks for one of them", at)
		case p.Vendor != "" && gateway.CheckName("vendor", p.Vendor) != nil:
			return fmt.Errorf("%s.vendor: %q is not a vendor's name", at, p.Vendor)
		}
		seen[p.Name] = true
	}
	return nil
}

// RootKeys returns the parsed roots.
func (c *Config) RootKeys() ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for i, r := range c.Roots {
		k, err := statement.ParseRoot(r)
		if err != nil {
			return nil, fmt.Errorf("roots[%d]: %w", i, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// RelyingParty is who the pages are to a FIDO2 key.
func (c *Config) RelyingParty() statement.RelyingParty {
	u, _ := url.Parse(c.URL) // checked
	return statement.RelyingParty{ID: u.Hostname(), Origins: []string{c.URL}}
}

// Socket is the path of the local socket.
func (c *Config) Socket() string { return filepath.Join(c.Data, "portcullis.sock") }

// RecordingsDir is the folder of the recordings.
func (c *Config) RecordingsDir() string { return strings.TrimPrefix(c.Recordings, "file://") }

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func orElse(s *string, fallback string) {
	if *s == "" {
		*s = fallback
	}
}
