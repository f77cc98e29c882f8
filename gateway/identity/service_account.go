package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of a service account's token (RFC 7519).
const (
	MaxServiceToken  = 4 << 10         // bytes
	ServiceTokenLife = 5 * time.Minute // to its exp, from now
	maxTokenID       = 128             // bytes of its jti
	serviceSkew      = 2 * time.Second // by which a service account's clock may be ahead
)

// RuleService refuses a service account that has not proven itself.
const RuleService = "service-account"

func unproven(format string, args ...any) *gateway.Error {
	return gateway.Refused(RuleService, "sign a token with iss the service account's name, aud this host's address, exp at most five minutes ahead and a jti of its own, or show the client certificate on file", format, args...)
}

// ServiceByCertificate returns the service account whose key a client
// certificate holds, as TLS has seen it proven. Who signed the certificate does
// not matter: its key is pinned.
func (s *Service) ServiceByCertificate(ctx context.Context, c *x509.Certificate) (gateway.Person, error) {
	if now := s.now(); now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return gateway.Person{}, unproven("the client certificate is good from %s to %s, and not now", c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
	}
	rows, err := s.store.Services(ctx)
	if err != nil {
		return gateway.Person{}, stored(err)
	}
	pin := gateway.PinOf(c.RawSubjectPublicKeyInfo)
	i := slices.IndexFunc(rows, func(p gateway.Person) bool { return p.State != gateway.Removed && p.Service.Pin() == pin })
	if i < 0 {
		return gateway.Person{}, unproven("no service account has the key %s of this client certificate", pin)
	}
	p, err := s.chain.Service(ctx, rows[i].Name) // the row is an index alone
	if err == nil && p.Service.Pin() != pin {
		err = unproven("no service account has the key %s of this client certificate", pin)
	}
	return p, err
}

// ServiceByToken returns the service account that signed a token for the
// audience, and uses the token up.
func (s *Service) ServiceByToken(ctx context.Context, raw, audience string) (gateway.Person, error) {
	t, name, err := parseServiceToken(raw)
	if err != nil {
		return gateway.Person{}, err
	}
	p, err := s.chain.Service(ctx, name)
	if gateway.IsCode(err, gateway.CodeNotFound) {
		return gateway.Person{}, unproven("the token's signature is by no key of its iss")
	}
	if err != nil {
		return gateway.Person{}, err
	}
	key, err := gateway.ParseServiceKey(p.Service.Key)
	if err != nil {
		return gateway.Person{}, gateway.Internal(err)
	}
	if key.Public == nil {
		return gateway.Person{}, unproven("of service account %s the pin of a client certificate alone is on file, which proves no token", gateway.Quote(name))
	}
	var c jwt.Claims
	if err := t.Claims(key.Public, &c); err != nil {
		return gateway.Person{}, unproven("the token's signature is by no key of its iss")
	}
	if err := checkServiceClaims(c, audience, s.now()); err != nil {
		return p, err
	}
	used := gateway.DigestOf([]byte(name + "\x00" + c.ID))
	err = s.store.Update(ctx, func(tx Tx) error { return tx.UseServiceToken(used, c.Expiry.Time(), s.now()) })
	if errors.Is(err, gateway.ErrUsed) {
		return p, gateway.Refused("token-once", "sign another token, with a jti of its own", "this token was used before, and each is good for one request")
	}
	return p, stored(err)
}

// parseServiceToken reads a token and whose it says that it is. Nothing of it
// is proven yet.
func parseServiceToken(raw string) (*jwt.JSONWebToken, string, error) {
	if len(raw) > MaxServiceToken {
		return nil, "", unproven("the token has %d bytes; at most %d are read", len(raw), MaxServiceToken)
	}
	t, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil || len(t.Headers) != 1 {
		return nil, "", unproven("the token is not one that is signed with EdDSA or ES256")
	}
	var claimed jwt.Claims
	if err := t.UnsafeClaimsWithoutVerification(&claimed); err != nil {
		return nil, "", unproven("the token's claims do not read")
	}
	if err := gateway.CheckName("iss", claimed.Issuer); err != nil {
		return nil, "", unproven("the token's iss is not the name of a service account")
	}
	return t, claimed.Issuer, nil
}

// checkServiceClaims holds what was signed to this host and this moment.
func checkServiceClaims(c jwt.Claims, audience string, now time.Time) error {
	switch {
	case c.Subject != "" && c.Subject != c.Issuer:
		return unproven("the token's sub is another than its iss")
	case len(c.Audience) != 1 || c.Audience[0] != audience:
		return unproven("the token's aud is not %s", audience)
	case c.Expiry == nil || !now.Before(c.Expiry.Time()):
		return unproven("the token has expired, or never does")
	case c.Expiry.Time().Sub(now) > ServiceTokenLife:
		return unproven("the token is good for longer than %s from now", ServiceTokenLife)
	case c.NotBefore != nil && now.Add(serviceSkew).Before(c.NotBefore.Time()), c.IssuedAt != nil && now.Add(serviceSkew).Before(c.IssuedAt.Time()):
		return unproven("the token is from the future; set the clocks right")
	case c.ID == "" || len(c.ID) > maxTokenID:
		return unproven("the token's jti has not 1 to %d bytes", maxTokenID)
	}
	return nil
}
