package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust"
)

// Chain is what the chain of signed statements says, as package trust reads
// it: every answer is verified back to the roots, and is a refusal with the
// rule "chain" where a link does not hold. gateway.ErrNotFound, or an error of
// CodeNotFound, means not there.
type Chain interface {
	Vendor(ctx context.Context, name string) (gateway.Vendor, error)
	Person(ctx context.Context, name string) (gateway.Person, error)
	Service(ctx context.Context, name string) (gateway.Person, error) // one that may act now
	Authenticator(ctx context.Context, credential string) (gateway.Authenticator, error)
	SSHKey(ctx context.Context, fingerprint string) (gateway.SSHKey, error)
	// SSHKeyHolder is SSHKey with the person, of the same moment.
	SSHKeyHolder(ctx context.Context, fingerprint string) (gateway.SSHKey, gateway.Person, error)
	Invitation(ctx context.Context, id string) (gateway.Invitation, error)
	// SSHCertificate is what the statement behind an SSH certificate says,
	// beside a refusal too.
	SSHCertificate(ctx context.Context, by gateway.Digest) (gateway.SSHCertificate, error)
	// CheckFresh holds a statement that is handed in to its proofs, to what
	// entitles its signer, and to statement.Fresh.
	CheckFresh(ctx context.Context, s statement.Signed) (trust.Checked, error)
}

// EnrolFacts is what is known of a key that somebody wants to enrol.
type EnrolFacts struct {
	AAGUID         string // model, UUID text
	Format         string // attestation format
	Attestation    string // verdict: none, self, unanchored
	BackupEligible bool   // the key can be copied to other devices
	BackedUp       bool   // and has been
	SSH            bool   // it is an SSH key; the facts below are of such alone
	SecurityKey    bool   // it lives in a FIDO2 authenticator by its type; Attestation says whether that is proven
	VerifyRequired bool   // proven never to sign without its PIN or fingerprint
}

// Policy says whether a person may enrol a key such as this; nil means yes.
type Policy interface {
	MayEnrol(p gateway.Person, f EnrolFacts) *gateway.Error
}

// PolicyFunc is a Policy of one function.
type PolicyFunc func(p gateway.Person, f EnrolFacts) *gateway.Error

// MayEnrol implements Policy.
func (f PolicyFunc) MayEnrol(p gateway.Person, facts EnrolFacts) *gateway.Error { return f(p, facts) }

// Floor remembers outside the database what must not come back: subjects are
// "key-removed:CREDENTIAL", "sshkey-removed:FINGERPRINT" and
// "sshcert-removed:FINGERPRINT", raised to the moment of removal in Unix
// microseconds.
type Floor interface {
	Raise(subject string, version uint64) error
}

// Config is what the room is given. Floor and Providers may be empty; Now and
// Logger default to the clock and to silence.
type Config struct {
	Store     Store
	Chain     Chain
	Policy    Policy
	Floor     Floor
	RP        statement.RelyingParty
	Gateway   string // URL
	Providers []Provider
	// Seal and Windows issue SSH certificates; without them none is taken.
	Seal    Seal
	Windows Windows
	// Home is this node's name where there are several: it stands in every id
	// of what waits in this node's memory. Empty for one node.
	Home   string
	Now    func() time.Time
	Logger *slog.Logger
}

// Service is the room.
type Service struct {
	store  Store
	chain  Chain
	policy Policy
	floor  Floor
	seal   Seal
	grants Windows
	rp     statement.RelyingParty
	url    string
	home   string
	now    func() time.Time
	log    *slog.Logger

	web       *webauthn.WebAuthn
	sealer    *sealer
	providers []*provider
	strangers *strangers

	drafts    *table[draft]
	sshDrafts *table[sshDraft]
	enrols    *table[*enrolment]
	spent     *table[struct{}]
	awaiting  *pendings
	terminals *desk[Certified]
	tunnels   *desk[Tunnelled]
}

// New checks the configuration and returns the room. It dials nobody.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Chain == nil || c.Policy == nil {
		return nil, errors.New("identity needs a store, a chain and a policy")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	web, err := webauthn.New(&webauthn.Config{
		RPID: c.RP.ID, RPDisplayName: "Portcullis", RPOrigins: c.RP.Origins,
		AttestationPreference: protocol.PreferDirectAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(), ResidentKey: protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("configure WebAuthn for %q: %w", c.RP.ID, err)
	}
	sealer, err := newSealer(c.Now)
	if err != nil {
		return nil, err
	}
	s := &Service{
		store: c.Store, chain: c.Chain, policy: c.Policy, floor: c.Floor, seal: c.Seal, grants: c.Windows, rp: c.RP, url: c.Gateway, home: c.Home, now: c.Now, log: c.Logger,
		web: web, sealer: sealer, strangers: newStrangers(c.Now),
		drafts: newTable[draft](c.Now, maxDrafts, maxDraftsEach), sshDrafts: newTable[sshDraft](c.Now, maxDrafts, maxDraftsEach), enrols: newTable[*enrolment](c.Now, maxEnrols, maxEnrolsEach),
		spent: newTable[struct{}](c.Now, maxSpent, maxSpent), awaiting: newPendings(), terminals: newDesk[Certified](c.Now, "portcullis login", errCertified),
		tunnels: newDesk[Tunnelled](c.Now, "portcullis tunnel", errTunnelled),
	}
	base, err := url.Parse(c.Gateway)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("gateway URL %q has no host", c.Gateway)
	}
	if s.providers, err = newProviders(c.Providers, base, c.Now); err != nil {
		return nil, err
	}
	return s, nil
}

// Client is what is known of a browser's connection.
type Client struct {
	UserAgent string
	Source    string // address, with or without port
}

// standing is a person who may act now, with the epochs that what he makes is
// pinned to.
type standing struct {
	gateway.Person
	Epochs gateway.Epochs
}

// stand verifies that a person and his vendor are active.
func (s *Service) stand(ctx context.Context, name string) (standing, error) {
	p, err := s.chain.Person(ctx, name)
	if err != nil {
		return standing{}, s.chained("person", name, err)
	}
	st := standing{Person: p, Epochs: gateway.Epochs{Person: p.Epoch}}
	if p.State != gateway.Active {
		return st, closed("person "+p.Name, p.State)
	}
	if p.Service != nil {
		return st, gateway.Refused("service-account", "enrol the key of a service account with its admission", "%s is a service account: no person signs in as it", p.Name)
	}
	if p.Staff() {
		return st, nil
	}
	v, err := s.chain.Vendor(ctx, p.Vendor)
	if err != nil {
		return st, s.chained("vendor", p.Vendor, err)
	}
	st.Epochs.Vendor = v.Epoch
	if v.State != gateway.Active {
		return st, closed("vendor "+v.Name, v.State)
	}
	return st, nil
}

func closed(who string, state gateway.State) error {
	switch state {
	case gateway.Removed:
		return gateway.Refused("removed", "call the operator if that is a mistake", "%s has been removed", who)
	case gateway.Restoring:
		return gateway.Refused("suspended", "wait for the second signature, or call the operator's control room", "%s is suspended and its restoration is not finished", who)
	}
	return gateway.Refused("suspended", "call the operator's control room", "%s is suspended", who)
}

// chained makes an answer of the chain one for the person: a refusal stays
// what it is, what is not there is not found, all else fails closed.
func (s *Service) chained(what, name string, err error) error {
	var e *gateway.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, gateway.ErrNotFound):
		return gateway.NotFound(what, name)
	}
	return gateway.Unavailable("store", err)
}

// stored is chained for the store's own answers; what is not there is left to
// the caller.
func stored(err error) error {
	var e *gateway.Error
	if err == nil || errors.As(err, &e) || errors.Is(err, gateway.ErrNotFound) || errors.Is(err, gateway.ErrUsed) || errors.Is(err, gateway.ErrStale) {
		return err
	}
	return gateway.Unavailable("store", err)
}

// missing reports whether there is no such row, in either of the two ways to
// say so.
func missing(err error) bool {
	return errors.Is(err, gateway.ErrNotFound) || gateway.IsCode(err, gateway.CodeNotFound)
}

// ComesFrom refuses an address that is not in the networks that the person's
// vendor connects from. Staff may come from anywhere.
func (s *Service) ComesFrom(ctx context.Context, p gateway.Person, source string) error {
	if p.Staff() {
		return nil
	}
	v, err := s.chain.Vendor(ctx, p.Vendor)
	if err != nil {
		return s.chained("vendor", p.Vendor, err)
	}
	if len(v.Networks) == 0 {
		return nil
	}
	addr, err := address(source)
	if err == nil {
		for _, n := range v.Networks {
			if n.Contains(addr) {
				return nil
			}
		}
	}
	return gateway.Refused("networks", "connect from a network that the operator has on file, or ask the operator to add this one",
		"people of vendor %s may not connect from %s", v.Name, gateway.Quote(source))
}

func address(source string) (netip.Addr, error) {
	if ap, err := netip.ParseAddrPort(source); err == nil {
		return ap.Addr().Unmap().WithZone(""), nil
	}
	a, err := netip.ParseAddr(source)
	return a.Unmap().WithZone(""), err
}

// record writes events that go with no other change. The act that they tell
// of is a refusal, which stands whether or not it could be written.
func (s *Service) record(ctx context.Context, events ...audit.Event) {
	// A client that goes away must not take the line about it along.
	ctx = context.WithoutCancel(ctx)
	err := s.store.Update(ctx, func(tx Tx) error { return appendAll(tx, events) })
	if err != nil {
		s.log.ErrorContext(ctx, "a refusal is not in the audit log", "event", events[0].Name, "reason", events[0].Reason, "error", err)
	}
}

func appendAll(tx audit.Tx, events []audit.Event) error {
	for _, e := range events {
		if err := tx.Append(e); err != nil {
			return err
		}
	}
	return nil
}

// refusal is the event of a no.
func refusal(name audit.Name, p gateway.Person, source string, err error) audit.Event {
	e := gateway.AsError(err)
	return audit.Event{Name: name, Actor: actor(p.Name), Vendor: p.Vendor, Person: p.Name, Source: source, Outcome: audit.Refused, Reason: e.Sentence(), Rule: e.Rule}
}

func actor(person string) string {
	if person == "" {
		return "gateway"
	}
	return person
}

func signIn(rule, format string, args ...any) error {
	return &gateway.Error{Code: gateway.CodeSignIn, Rule: rule, Text: fmt.Sprintf(format, args...), Next: "sign in again"}
}

// secretBytes is the length of tokens: as much as their SHA-256 keeps.
const secretBytes = 32

func newSecret() (text string, raw []byte) {
	raw = make([]byte, secretBytes)
	_, _ = rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw), raw
}

func parseSecret(text string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return raw, err == nil && len(raw) == secretBytes
}
