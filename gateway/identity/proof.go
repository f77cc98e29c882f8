package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// maxCredential bounds the JSON of a browser's answer.
const maxCredential = 64 << 10

// parseAssertion reads what toJSON() of a browser's assertion gives.
func parseAssertion(credential []byte) (*protocol.ParsedCredentialAssertionData, error) {
	if len(credential) > maxCredential {
		return nil, gateway.Invalid("credential", "the key's answer has %d bytes; at most %d are allowed", len(credential), maxCredential)
	}
	a, err := protocol.ParseCredentialRequestResponseBytes(credential)
	if err != nil {
		return nil, unreadable(err)
	}
	return a, nil
}

func unreadable(err error) error {
	e := gateway.Invalid("credential", "the key's answer cannot be read")
	e.Next, e.Cause = "try again, or use another browser", err
	return e
}

// proof is the assertion as it is kept under a statement.
func proof(a *protocol.ParsedCredentialAssertionData) statement.Proof {
	r := a.Raw.AssertionResponse
	return statement.Proof{Kind: statement.WebAuthn, Key: a.ID, ClientData: r.ClientDataJSON, AuthenticatorData: r.AuthenticatorData, Signature: r.Signature}
}

// explain words what the WebAuthn library found wrong. Its own text names
// bytes and steps; that goes to the log.
func explain(rule string, err error) error {
	var e *protocol.Error
	text := "the key's answer does not hold"
	if errors.As(err, &e) {
		about := e.Details + " " + e.DevInfo
		for _, w := range []struct{ in, out string }{
			{"validating origin", "the key was touched on another site than this gateway"},
			{"RP Hash", "the key answered for another site than this gateway"},
			{"validating challenge", "the key answered another question than this one: a page was open twice, or an old answer was sent again"},
			{"User verification required", "the key did not verify its user: it needs its PIN or fingerprint"},
			{"User presence required", "the key was not touched"},
			{"ceremony type", "the key was used for another act than this one"},
			{"Backup", "the key contradicts what it said when it was enrolled"},
			{"blank User Handle", "the key does not say whose it is; enrol it anew"},
			{"User handle and User ID", "the key answered for another person than its owner"},
			{"assertion signature", "the signature is not by the enrolled key"},
			{"algorithm not supported", "the key signs by an algorithm that is not taken here"},
		} {
			if strings.Contains(about, w.in) {
				text = w.out
				break
			}
		}
		err = fmt.Errorf("%s (%s): %w", e.Details, e.DevInfo, err)
	}
	no := gateway.Refused(rule, "begin again; if it happens again call the operator's control room", "%s", text)
	no.Cause = err
	return no
}

// verified is a touch that holds.
type verified struct {
	proof statement.Proof
	key   gateway.Authenticator
	who   standing
	to    uint32 // the counter now
}

// set is the touch's part of a transaction: the counter moves, or somebody
// has used a copy of the key at the same moment.
func (v verified) set(tx Tx) error {
	err := tx.SetCounter(v.key.ID, v.key.Counter, v.to)
	if errors.Is(err, gateway.ErrStale) {
		return errCounter(v.key.Counter, v.to)
	}
	return err
}

// verify holds a browser's answer to a statement: a key of this person, as
// the chain knows it, with user verification, for this very text and site, and
// a counter that goes on.
func (s *Service) verify(ctx context.Context, person string, signed statement.Signed, credential []byte) (verified, error) {
	a, err := parseAssertion(credential)
	if err != nil {
		return verified{}, err
	}
	v := verified{proof: proof(a)}
	if v.key, v.who, err = s.usable(ctx, a.ID); err != nil {
		return v, err
	}
	if v.key.Person != person {
		return v, gateway.Refused("key", "touch your own key", "this key belongs to somebody else")
	}
	touch, err := signed.VerifyWebAuthn(v.proof, v.key.PublicKey, s.rp)
	if err != nil {
		return v, touchRefused(err)
	}
	if touch.BackupEligible != v.key.BackupEligible {
		return v, gateway.Refused("touch", "enrol the key anew", "the key contradicts what it said when it was enrolled")
	}
	v.to = touch.Counter
	return v, advances(v.key.Counter, v.to)
}

func touchRefused(err error) error {
	return gateway.Refused("touch", "begin again and touch the key that you enrolled, on this gateway's own page", "%s", err)
}
