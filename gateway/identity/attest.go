package identity

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// AttestTime is how long a challenge for an SSH security key is good: the
// person goes to fetch the key, makes it, and comes back.
const AttestTime = time.Hour

const attestPurpose = "ssh-attestation"

// Attested is what comes with an SSH security key that was attested when it
// was made: the base64 of ssh-keygen's file, and the challenge of AttestChallenge.
type Attested struct {
	Blob, Challenge string
}

// AttestChallenge is what the person's next SSH security key is to be made
// for (`ssh-keygen -O challenge`). It is kept nowhere.
func (s *Service) AttestChallenge(person string) (string, error) {
	text, err := s.sealer.seal(attestPurpose, person, AttestTime)
	if err != nil {
		return "", gateway.Internal(err)
	}
	return s.homed(text), nil
}

// attested verifies an attestation: of this key, and made for a challenge that
// we gave this person a short while ago.
func (s *Service) attested(p gateway.Person, key ssh.PublicKey, a Attested) (*statement.SSHAttestation, error) {
	const again = "open the page of your keys, make the key for the challenge that it shows, and paste the attestation within the hour"
	if strings.TrimSpace(a.Blob) == "" {
		return nil, nil
	}
	blob, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(a.Blob), ""))
	if err != nil {
		return nil, gateway.Invalid("attestation", "the attestation is not the base64 of ssh-keygen's file")
	}
	var person string
	if err := s.sealer.open(attestPurpose, s.bare(a.Challenge), &person); err != nil || person != p.Name {
		return nil, gateway.Refused("attestation", again, "the attestation's challenge is not yours, or is older than %s", AttestTime)
	}
	// A file written by an editor or by echo ends with a line feed.
	var first error
	for _, challenge := range []string{a.Challenge, a.Challenge + "\n"} {
		proven, err := statement.VerifySSHAttestation(key, blob, []byte(challenge))
		if err == nil {
			return &statement.SSHAttestation{SSHAttested: proven, Challenge: []byte(challenge), Blob: blob}, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, gateway.Refused("attestation", again, "%s", first)
}

// sshFacts is what the policy may know of an SSH key.
func sshFacts(key ssh.PublicKey, a *statement.SSHAttestation) EnrolFacts {
	f := EnrolFacts{SSH: true, SecurityKey: statement.SecurityKey(key), Attestation: "none", Format: "none"}
	if a != nil {
		f.Attestation, f.Format, f.AAGUID, f.VerifyRequired = a.Verdict, "ssh-sk-attest-v01", a.AAGUID, a.VerifyRequired
	}
	return f
}

// tellAttested fills in what the statements prove of the keys in use. What the
// chain does not confirm is told by nobody.
func (s *Service) tellAttested(ctx context.Context, keys []gateway.SSHKey) {
	for i, k := range keys {
		if !k.Removed.IsZero() || !strings.HasPrefix(k.Key, "sk-") {
			continue
		}
		if proven, err := s.chain.SSHKey(ctx, k.Fingerprint); err == nil {
			keys[i].Attested = proven.Attested
		}
	}
}
