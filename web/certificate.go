package web

import (
	"context"
	"net/netip"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// SSHTerminal is a machine that waits for an SSH certificate.
type SSHTerminal struct {
	Fingerprint string
	Code        string
	Source      string // address:port
	Client      string // what it calls itself
	Expires     time.Time
}

// Certificates shows SSH certificates and takes them back. Its refusals are
// *gateway.Error.
type Certificates interface {
	// Terminal is the machine that waits behind a link.
	Terminal(link string) (SSHTerminal, error)
	RefuseTerminal(link string) error
	// Preview is the certificate that a touch would issue now.
	Preview(ctx context.Context, p gateway.Person, link string) (gateway.SSHCertificate, error)
	List(ctx context.Context, person string) ([]gateway.SSHCertificate, error)
	Revoke(ctx context.Context, by gateway.Person, fingerprint, source string) error
	// AttestChallenge is what an SSH security key is to be made for, so that
	// its attestation is taken.
	AttestChallenge(person string) (string, error)
}

// certificate is the page that the link of `portcullis login` leads to.
func (s *Server) certificate(v *visit) error {
	if s.cfg.Certificates == nil {
		return gateway.NotFound("page", v.URL.Path)
	}
	id := v.PathValue("id")
	t, err := s.cfg.Certificates.Terminal(id)
	if err != nil {
		return err
	}
	c, err := s.cfg.Certificates.Preview(v.Context(), v.who.Person, id)
	if err != nil {
		return err
	}
	return s.show(v, "certificate", "A terminal wants to sign in", map[string]any{"ID": id, "T": t, "C": c, "Elsewhere": !sameAddress(t.Source, v.RemoteAddr)})
}

// sameAddress compares without ports. Whoever is led here by somebody else's
// link sees another address than his own.
func sameAddress(a, b string) bool {
	x, err1 := netip.ParseAddrPort(a)
	y, err2 := netip.ParseAddrPort(b)
	return err1 == nil && err2 == nil && x.Addr().Unmap().WithZone("") == y.Addr().Unmap().WithZone("")
}

func (s *Server) refuseCertificate(v *visit) error {
	if s.cfg.Certificates == nil {
		return gateway.NotFound("page", v.URL.Path)
	}
	if err := s.cfg.Certificates.RefuseTerminal(v.PathValue("id")); err != nil {
		return err
	}
	return v.seeOther("/?done=no-touch")
}

func (s *Server) revokeCertificate(v *visit) error {
	if s.cfg.Certificates == nil {
		return gateway.NotFound("page", v.URL.Path)
	}
	if err := s.cfg.Certificates.Revoke(v.Context(), v.who.Person, v.PostFormValue("fingerprint"), v.RemoteAddr); err != nil {
		return err
	}
	return v.seeOther("/keys?done=removed")
}

// shownCertificate is a certificate with how it stands now.
type shownCertificate struct {
	gateway.SSHCertificate
	Good bool
}

// shownCertificates are a person's newest; the older ones are in the log.
func (s *Server) shownCertificates(v *visit) ([]shownCertificate, error) {
	const most = 20
	if s.cfg.Certificates == nil {
		return nil, nil
	}
	list, err := s.cfg.Certificates.List(v.Context(), v.who.Person.Name)
	if err != nil {
		return nil, err
	}
	var out []shownCertificate
	for _, c := range list[:min(len(list), most)] {
		out = append(out, shownCertificate{c, c.Removed.IsZero() && s.now().Before(c.To)})
	}
	return out, nil
}
