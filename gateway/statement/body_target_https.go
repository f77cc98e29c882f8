package statement

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of what the definition of a console says.
const (
	MaxCA     = 32 << 10 // bytes of PEM
	maxCAs    = 16
	maxPins   = 8
	maxRedact = 64
	maxWord   = 128 // runes of the name of a field, header or cookie
)

// pinPrefix begins a pin: the SHA-256 of a SubjectPublicKeyInfo.
const pinPrefix = "sha256:"

// Pin is how a target's definition names the key of a certificate.
func Pin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return pinPrefix + hex.EncodeToString(sum[:])
}

// ParseCA reads the authorities of a console, strictly: nothing but PEM blocks
// of certificates that may sign others.
func ParseCA(text string) ([]*x509.Certificate, error) {
	bad := func(format string, args ...any) ([]*x509.Certificate, error) {
		return nil, gateway.Invalid("ca", format, args...)
	}
	if len(text) > MaxCA {
		return bad("the authorities have %d bytes; at most %d are allowed", len(text), MaxCA)
	}
	var list []*x509.Certificate
	for rest := bytes.TrimSpace([]byte(text)); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		if !bytes.HasPrefix(rest, []byte("-----BEGIN CERTIFICATE-----")) {
			return bad("the authorities are PEM blocks of certificates and nothing beside them; copy each from its BEGIN line to its END line")
		}
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			return bad("authority %d is not one whole PEM block", len(list)+1)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return bad("authority %d is not a certificate that can be read", len(list)+1)
		}
		if !c.BasicConstraintsValid || !c.IsCA {
			return bad("certificate %d is no authority; trust the key of the console itself with trust: pin and the pin %s", len(list)+1, Pin(c))
		}
		if list = append(list, c); len(list) > maxCAs {
			return bad("at most %d authorities are allowed", maxCAs)
		}
	}
	if len(list) == 0 {
		return bad("trust: ca needs the authorities that may sign the console's certificate, in PEM")
	}
	return list, nil
}

func checkHTTPS(h *gateway.HTTPS) error {
	if h == nil {
		return gateway.Invalid("https", "say how the console proves its name: trust is system, ca or pin")
	}
	if err := first(checkTrust(h), checkServerName(h.ServerName), bounded("redact", len(h.Redact), maxRedact)); err != nil {
		return err
	}
	if !slices.Contains([]gateway.HostRule{"", gateway.HostTarget, gateway.HostApp}, h.Host) {
		return gateway.Invalid("host", "host %s is not one of target, app", gateway.Quote(string(h.Host)))
	}
	for i, name := range h.Redact {
		if err := gateway.CheckNeeded("redact", name, maxWord, false); err != nil {
			return err
		}
		if slices.Contains(h.Redact[:i], name) {
			return gateway.Invalid("redact", "%s stands twice", gateway.Quote(name))
		}
	}
	return nil
}

func checkTrust(h *gateway.HTTPS) error {
	switch {
	case !slices.Contains([]gateway.TLSTrust{gateway.TrustSystem, gateway.TrustCA, gateway.TrustPin}, h.Trust):
		return gateway.Invalid("trust", "trust %s is not one of system, ca, pin", gateway.Quote(string(h.Trust)))
	case h.CA != "" && h.Trust != gateway.TrustCA:
		return gateway.Invalid("ca", "the authorities count with trust: ca alone, and trust is %s", h.Trust)
	case len(h.Pins) > 0 && h.Trust != gateway.TrustPin:
		return gateway.Invalid("pins", "pins count with trust: pin alone, and trust is %s", h.Trust)
	case h.Trust == gateway.TrustCA:
		_, err := ParseCA(h.CA)
		return err
	case h.Trust == gateway.TrustPin && len(h.Pins) == 0:
		return gateway.Invalid("pins", "trust: pin needs the SHA-256 of the console's public key as \"sha256:\" and 64 hexadecimal digits; its owner confirms it")
	}
	for i, p := range h.Pins {
		digits, ok := strings.CutPrefix(p, pinPrefix)
		if !ok || len(digits) != 2*sha256.Size || strings.Trim(digits, "0123456789abcdef") != "" {
			return gateway.Invalid("pins", "pin %s is not \"sha256:\" and 64 hexadecimal digits in lower case", gateway.Quote(p))
		}
		if slices.Contains(h.Pins[:i], p) {
			return gateway.Invalid("pins", "pin %s stands twice", gateway.Quote(p))
		}
	}
	return bounded("pins", len(h.Pins), maxPins)
}

func checkServerName(s string) error {
	if s == "" {
		return nil
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return gateway.Invalid("server_name", "server name %s is an address; leave it out, and the certificate must name the address", gateway.Quote(s))
	}
	if !dnsName(s) {
		return gateway.Invalid("server_name", "server name %s is not a DNS name", gateway.Quote(s))
	}
	return nil
}

// httpsWords tells what an approver of the definition must know of the
// console's side: whom we believe, and what it hears.
func httpsWords(h *gateway.HTTPS) string {
	var s string
	switch h.Trust {
	case gateway.TrustSystem:
		s = "Its certificate is signed by an authority that the gateway's machine trusts"
	case gateway.TrustCA:
		var names []string
		list, _ := ParseCA(h.CA) // Check has read it
		for _, c := range list {
			names = append(names, fmt.Sprintf("%s (SHA-256 %x)", gateway.Quote(c.Subject.String()), sha256.Sum256(c.Raw)))
		}
		s = "Its certificate is signed by " + strings.Join(names, " or ")
	case gateway.TrustPin:
		s = "Its key is " + strings.Join(h.Pins, " or ") + ", whoever signed the certificate"
	}
	if h.ServerName != "" {
		s += ", and it is asked for as " + h.ServerName
	}
	if h.Host == gateway.HostApp {
		s += "; it hears the name in the engineer's browser"
	}
	if len(h.Redact) > 0 {
		var names []string
		for _, name := range h.Redact {
			names = append(names, gateway.Quote(name))
		}
		s += "; never recorded are also " + strings.Join(names, ", ")
	}
	return s + "."
}
