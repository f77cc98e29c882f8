package gateway

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TargetKind is the protocol that a target is reached by.
type TargetKind string

// The closed list of kinds.
const (
	KindSSH     TargetKind = "ssh"
	KindHTTPS   TargetKind = "https"
	KindNetwork TargetKind = "network"
)

// Impact is how much harm a target can do (CIP-002 speaks of high, medium and
// low impact).
type Impact string

// The closed list of impacts.
const (
	Low    Impact = "low"
	Medium Impact = "medium"
	High   Impact = "high"
)

// Target is something that is reached.
type Target struct {
	Name      string     `json:"name"`
	Title     string     `json:"title"`
	Kind      TargetKind `json:"kind"`
	Address   string     `json:"address"` // host:port; of kind network empty
	Zone      string     `json:"zone"`
	Impact    Impact     `json:"impact"`
	Owner     string     `json:"owner,omitempty"` // person of the staff who answers for it
	Vendors   []string   `json:"vendors"`         // whose people may ask for it
	HostKeys  []string   `json:"host_keys"`       // pinned keys or "@cert-authority " keys, one authorized_keys line each
	Accounts  []Account  `json:"accounts"`
	Legacy    []string   `json:"legacy,omitempty"`  // weak algorithms that this target needs, of LegacyAlgorithms
	HTTPS     *HTTPS     `json:"https,omitempty"`   // of kind https, and of no other
	Network   *Network   `json:"network,omitempty"` // of kind network, and of no other
	Version   uint64     `json:"version"`
	Removed   bool       `json:"removed,omitempty"`
	Statement Digest     `json:"statement"`
	Changed   time.Time  `json:"changed"`
}

// Account finds an account of the target by name.
func (t Target) Account(name string) (Account, bool) {
	i := slices.IndexFunc(t.Accounts, func(a Account) bool { return a.Name == name })
	if i < 0 {
		return Account{}, false
	}
	return t.Accounts[i], true
}

// ProofKind is how an account is proven to the target.
type ProofKind string

// The closed list of proofs.
const (
	ProofCertificate ProofKind = "certificate" // short-lived, from our user CA (ssh) or client CA (https)
	ProofKey         ProofKind = "key"         // a held private key; of https, PEM of a client certificate and its key
	ProofPassword    ProofKind = "password"    // a held password; of https, by Basic (RFC 7617)
	ProofHeader      ProofKind = "header"      // https: a held value in a named header
	ProofBearer      ProofKind = "bearer"      // https: a held token (RFC 6750)
	ProofOAuth2      ProofKind = "oauth2"      // https: client credentials, the secret held (RFC 6749 clause 4.4)
	ProofForm        ProofKind = "form"        // https: a login form that the gateway fills in
	ProofNone        ProofKind = "none"        // https, network: it asks for nothing, or asks the engineer himself
)

// Account is the identity used at the target and how it is proven. SecretFile
// is a path on the node; the secret itself is never in the store.
type Account struct {
	Name       string    `json:"name"`
	Login      string    `json:"login"`
	Proof      ProofKind `json:"proof"`
	SecretFile string    `json:"secret_file,omitempty"`
	Header     string    `json:"header,omitempty"`    // ProofHeader: its name
	TokenURL   string    `json:"token_url,omitempty"` // ProofOAuth2: https, at the target or beside it
	Scopes     []string  `json:"scopes,omitempty"`    // ProofOAuth2
	Form       *Form     `json:"form,omitempty"`      // ProofForm
}

// Abilities is what a grant lets a session do. The zero value lets nothing.
type Abilities struct {
	Shell    bool     `json:"shell,omitempty"`
	Exec     bool     `json:"exec,omitempty"`
	Upload   bool     `json:"upload,omitempty"`
	Download bool     `json:"download,omitempty"`
	Forward  []string `json:"forward,omitempty"` // host:port
	Methods  []string `json:"methods,omitempty"` // HTTP methods, in capitals

	Paths       []string `json:"paths,omitempty"`        // HTTP: path prefixes, by whole segments; "/" is every path
	WebSocket   bool     `json:"websocket,omitempty"`    // HTTP: RFC 6455
	MaxUpload   int64    `json:"max_upload,omitempty"`   // HTTP: bytes of one request's body; 0 no bound of the grant's own
	MaxDownload int64    `json:"max_download,omitempty"` // HTTP: bytes of one saved file; 0 no bound of the grant's own
	Rate        int64    `json:"rate,omitempty"`         // HTTP: requests per second; 0 no bound
	VolumeIn    int64    `json:"volume_in,omitempty"`    // HTTP, network: bytes of bodies, messages and flows to the target, under the grant in all; 0 no bound
	VolumeOut   int64    `json:"volume_out,omitempty"`   // HTTP, network: the same from the target

	Flows     []string `json:"flows,omitempty"`     // network: what passes, each as FlowRule.String spells it
	Bandwidth int64    `json:"bandwidth,omitempty"` // network: bytes of payload per second, each way; 0 no bound
}

// Within reports whether a asks for nothing that b does not hold.
func (a Abilities) Within(b Abilities) bool {
	return (!a.Shell || b.Shell) && (!a.Exec || b.Exec) && (!a.Upload || b.Upload) && (!a.Download || b.Download) &&
		subset(a.Forward, b.Forward) && subset(a.Methods, b.Methods) && a.httpWithin(b) && a.networkWithin(b)
}

// And returns what both hold.
func (a Abilities) And(b Abilities) Abilities {
	c := Abilities{
		Shell: a.Shell && b.Shell, Exec: a.Exec && b.Exec, Upload: a.Upload && b.Upload, Download: a.Download && b.Download,
		Forward: both(a.Forward, b.Forward), Methods: both(a.Methods, b.Methods),
		Paths: bothPaths(a.Paths, b.Paths), WebSocket: a.WebSocket && b.WebSocket,
		Rate: lower(a.Rate, b.Rate), VolumeIn: lower(a.VolumeIn, b.VolumeIn), VolumeOut: lower(a.VolumeOut, b.VolumeOut),
	}
	if c.Upload {
		c.MaxUpload = lower(a.MaxUpload, b.MaxUpload)
	}
	if c.Download {
		c.MaxDownload = lower(a.MaxDownload, b.MaxDownload)
	}
	c.andNetwork(a, b)
	return c
}

// None reports whether nothing is let.
func (a Abilities) None() bool {
	return !a.Shell && !a.Exec && !a.Upload && !a.Download && len(a.Forward) == 0 && len(a.Methods) == 0 && len(a.Flows) == 0
}

// List names the abilities, in a fixed order, as pages and sentences show them.
func (a Abilities) List() []string {
	var l []string
	for _, x := range []struct {
		has  bool
		name string
	}{{a.Shell, "shell"}, {a.Exec, "exec"}, {a.Upload, "upload"}, {a.Download, "download"}} {
		if x.has {
			l = append(l, x.name)
		}
	}
	for _, f := range a.Forward {
		l = append(l, "forward "+f)
	}
	return append(append(l, a.listNetwork()...), a.listHTTP()...)
}

// MaxForwards bounds the forwards of one grant.
const MaxForwards = 16

// MayForward reports whether to is one of the forwards. It compares text:
// what was agreed to is a name and a port, not what the name resolves to.
func (a Abilities) MayForward(to string) bool {
	norm, err := ParseForward(to)
	return err == nil && slices.Contains(a.Forward, norm)
}

// ParseForward reads host:port and returns it in the one spelling that is
// compared: names in lower case without the last dot, addresses as
// netip.Addr writes them, IPv6 in brackets, the port without zeros before it.
func ParseForward(s string) (string, error) {
	bad := func(why string) (string, error) {
		return "", Invalid("abilities", "forward %s %s; write forward host:port", quoteShort(s), why)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return bad("is not host:port")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port != strconv.FormatUint(n, 10) {
		return bad("has no port from 1 to 65535")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
			return bad("is no address of one machine")
		}
		return net.JoinHostPort(addr.Unmap().String(), port), nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !hostName(host) {
		return bad("names no host")
	}
	return net.JoinHostPort(host, port), nil
}

// hostName takes names of RFC 1123 clause 2.1 and the underscore that is met
// in the field. A name whose last label is a number is a mistyped address.
func hostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// ParseAbilities is the inverse of List, strict.
func ParseAbilities(list []string) (Abilities, error) {
	var a Abilities
	for _, s := range list {
		switch s {
		case "shell":
			a.Shell = true
		case "exec":
			a.Exec = true
		case "upload":
			a.Upload = true
		case "download":
			a.Download = true
		default:
			if known, err := a.parseHTTP(s); err != nil {
				return Abilities{}, err
			} else if known {
				continue
			}
			if known, err := a.parseNetwork(s); err != nil {
				return Abilities{}, err
			} else if known {
				continue
			}
			to, ok := strings.CutPrefix(s, "forward ")
			if !ok {
				return Abilities{}, Invalid("abilities", "ability %s is not one of shell, exec, upload, download, forward host:port, path /PREFIX, websocket, max-upload BYTES, max-download BYTES, rate REQUESTS-PER-SECOND, volume-in BYTES, volume-out BYTES, an HTTP method, flow HOST:PORT/PROTO, flow HOST/icmp, or bandwidth BYTES-PER-SECOND", quoteShort(s))
			}
			to, err := ParseForward(to)
			if err != nil {
				return Abilities{}, err
			}
			if !slices.Contains(a.Forward, to) {
				a.Forward = append(a.Forward, to)
			}
		}
	}
	if len(a.Forward) > MaxForwards {
		return Abilities{}, Invalid("abilities", "one grant lets at most %d forwards", MaxForwards)
	}
	if len(a.Paths) > MaxPaths {
		return Abilities{}, Invalid("abilities", "one grant lets at most %d path prefixes", MaxPaths)
	}
	if len(a.Flows) > MaxFlows {
		return Abilities{}, Invalid("abilities", "one grant lets at most %d flows; name ranges of ports or prefixes instead", MaxFlows)
	}
	a.Flows = leastFlows(parseFlows(a.Flows))
	slices.Sort(a.Forward)
	slices.Sort(a.Methods)
	slices.Sort(a.Paths)
	return a, nil
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func both(a, b []string) []string {
	var c []string
	for _, s := range a {
		if slices.Contains(b, s) {
			c = append(c, s)
		}
	}
	return c
}
