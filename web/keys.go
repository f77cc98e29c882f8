package web

import (
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

func (s *Server) keys(v *visit) error {
	keys, sshKeys, err := s.id.Keys(v.Context(), v.who.Person.Name)
	if err != nil {
		return err
	}
	certs, err := s.shownCertificates(v)
	if err != nil {
		return err
	}
	challenge := ""
	if s.cfg.Certificates != nil {
		if challenge, err = s.cfg.Certificates.AttestChallenge(v.who.Person.Name); err != nil {
			return err
		}
	}
	return s.show(v, "keys", "My keys", map[string]any{"Keys": keys, "SSH": sshKeys, "Gateway": s.ssh, "Certificates": certs, "Issues": s.cfg.Certificates != nil, "Challenge": challenge})
}

// touch is the page that the link in the terminal leads to: the connection
// that waits, its code, and the touch.
func (s *Server) touch(v *visit) error {
	w, code, err := s.id.PendingOf(v.Context(), v.PathValue("id"), v.who.Person.Name)
	if err != nil {
		return err
	}
	target, err := s.rooms.Directory.Target(v.Context(), w.Grant.Target)
	if err != nil {
		return err
	}
	return s.show(v, "touch", "A connection waits", map[string]any{"ID": v.PathValue("id"), "W": w, "Code": code, "Title": target.Title})
}

func (s *Server) refuseTouch(v *visit) error {
	if err := s.id.RefusePending(v.Context(), v.PathValue("id"), v.who.Person.Name); err != nil {
		return err
	}
	return v.seeOther("/?done=no-touch")
}

// hostKey is a pinned key as a person compares it.
type hostKey struct {
	Type, Fingerprint string
	Authority         bool
}

func hostKeys(lines []string) []hostKey {
	keys := make([]hostKey, 0, len(lines))
	for _, l := range lines {
		bare, authority := strings.CutPrefix(l, statement.Authority)
		k, err := statement.ParseSSHKey(bare)
		if err != nil {
			keys = append(keys, hostKey{Type: "unreadable", Fingerprint: gateway.Quote(l), Authority: authority})
			continue
		}
		keys = append(keys, hostKey{Type: k.Type(), Fingerprint: ssh.FingerprintSHA256(k), Authority: authority})
	}
	return keys
}
