package httpsproxy

import (
	"net"
	"net/url"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// names are what the target and its console are called on either side.
type names struct {
	outer     string // origin in the engineer's browser
	outerHost string // of it, with port
	inner     string // the target's own origin
	host      string // what the target hears in Host
	own       bool   // it hears its own names (HostTarget)
	hosts     []string
	port      string
}

func newNames(t gateway.Target, outer string) names {
	var h gateway.HTTPS
	if t.HTTPS != nil {
		h = *t.HTTPS
	}
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		host, port = t.Address, "443"
	}
	n := names{outer: outer, hosts: []string{strings.ToLower(host)}, port: port, own: h.Host != gateway.HostApp}
	_, n.outerHost, _ = strings.Cut(outer, "://")
	name := host
	if h.ServerName != "" {
		name = h.ServerName
		n.hosts = append(n.hosts, strings.ToLower(h.ServerName))
	}
	n.host = name
	if strings.Contains(name, ":") {
		n.host = "[" + name + "]"
	}
	if port != "443" {
		n.host += ":" + port
	}
	n.inner = "https://" + n.host
	if !n.own {
		n.host = n.outerHost
	}
	return n
}

// serverName is what TLS asks the target for.
func (n names) serverName() string { return n.hosts[len(n.hosts)-1] }

// isTarget reports whether an address of the target's own making leads back to
// it: by one of its names, over either scheme's own port or its own.
func (n names) isTarget(u *url.URL) bool {
	host, port := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	if !strings.EqualFold(u.Scheme, "https") && !strings.EqualFold(u.Scheme, "http") && u.Scheme != "" {
		return false
	}
	if strings.EqualFold(u.Host, n.outerHost) {
		return true
	}
	known := false
	for _, h := range n.hosts {
		known = known || h == host
	}
	return known && (port == "" || port == n.port || port == "443" && n.port == "443" || port == "80" && strings.EqualFold(u.Scheme, "http"))
}

// toBrowser is an address that a target wrote, as the engineer's browser must
// have it. What leads elsewhere stays as it is.
func (n names) toBrowser(address string) string {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Host == "" || !n.isTarget(u) {
		return address
	}
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		path += "#" + u.EscapedFragment()
	}
	return n.outer + path
}

// toTarget is an origin that a browser wrote, as the target must have it.
func (n names) toTarget(origin string) string {
	if n.own && strings.EqualFold(origin, n.outer) {
		return n.inner
	}
	return origin
}

// referer is the page that a browser names, for the target: a page of the
// console, or nothing. What the gateway's pages are called is not its affair.
func (n names) referer(address string) string {
	rest, ok := strings.CutPrefix(address, n.outer)
	if !ok || rest != "" && rest[0] != '/' || strings.HasPrefix(rest, Prefix) {
		return ""
	}
	if n.own {
		return n.inner + rest
	}
	return address
}
