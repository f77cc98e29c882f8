package api

import (
	"encoding/json"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// The params of each kind of act, as the pages send them. Whoever wires an
// Act's Draft decodes these.
type (
	// InviteParams are those of person.invite. Commit answers an Invited.
	InviteParams struct {
		Person string `json:"person"`
	}
	// KeyRemoveParams are those of authenticator.remove.
	KeyRemoveParams struct {
		Credential string `json:"credential"`
	}
	// SSHKeyParams are those of sshkey.add: one line of a .pub file, and where
	// the key was attested the base64 of the file that `ssh-keygen -O
	// write-attestation` wrote and the challenge of our page that it was made for.
	SSHKeyParams struct {
		Key         string `json:"key"`
		Label       string `json:"label"`
		Attestation string `json:"attestation,omitempty"`
		Challenge   string `json:"challenge,omitempty"`
	}
	// SSHRemoveParams are those of sshkey.remove.
	SSHRemoveParams struct {
		Fingerprint string `json:"fingerprint"`
	}
	// ApproveParams are those of request.approve. Terms is nil where it is
	// agreed to as asked.
	ApproveParams struct {
		Request string       `json:"request"`
		Terms   *TermsParams `json:"terms,omitempty"`
	}
	// OpenParams are those of session.open: a ticket under a grant, a tunnel
	// under a grant where Peer or Terminal is set, or the touch for a connection that waits.
	// Either Grant or Pending is set. Commit answers a tunnel's vpn.Tunnel.
	OpenParams struct {
		Grant    string `json:"grant,omitempty"`
		Peer     string `json:"peer,omitempty"`     // WireGuard public key, base64
		Terminal string `json:"terminal,omitempty"` // that waits for a tunnel, and brings the key
		Pending  string `json:"pending,omitempty"`
	}
	// SuspendParams are those of suspend. Commit answers the gateway.Suspension
	// with its report. Mode is cut where it is empty; Drain is of the mode drain
	// alone.
	SuspendParams struct {
		Scope  gateway.Scope  `json:"scope"`
		Mode   gateway.Mode   `json:"mode,omitempty"`
		Drain  int64          `json:"drain,omitempty"` // seconds
		Except []ExceptParams `json:"except,omitempty"`
		Reason string         `json:"reason"`
	}
	// ExceptParams leave one live session alone for some seconds.
	ExceptParams struct {
		Session string `json:"session"`
		Owner   string `json:"owner"`
		Reason  string `json:"reason"`
		Seconds int64  `json:"seconds"`
	}
	// RestoreParams are those of restore. Report is the SHA-256 of the
	// forensic report on file.
	RestoreParams struct {
		Suspension string         `json:"suspension"`
		Scope      gateway.Scope  `json:"scope"`
		Report     gateway.Digest `json:"report"`
		Reason     string         `json:"reason"`
	}
	// AdvanceParams are those of restore.advance: the scope goes on to its next
	// stage. Commit answers the gateway.Ladder.
	AdvanceParams struct {
		Scope  gateway.Scope `json:"scope"`
		Reason string        `json:"reason"`
	}
)

// The params of vendor.admit, person.admit and target.define are the bodies
// of package statement without version and previous, which Draft fills in.

// Invited is what the signer of an invitation sees, once.
type Invited struct {
	Invitation gateway.Invitation `json:"invitation"`
	Link       string             `json:"link"`
}

// Closing is what the order does to what is live, as of now.
func (p SuspendParams) Closing(now time.Time) (gateway.Closing, error) {
	c := gateway.Closing{Mode: p.Mode}
	if (p.Mode == gateway.ModeDrain) != (p.Drain > 0) || p.Drain < 0 || p.Drain > int64(gateway.MaxDrain/time.Second) {
		return c, gateway.Invalid("drain", "the mode drain takes a time of at most %s, and no other mode takes one", gateway.MaxDrain)
	}
	if p.Drain > 0 {
		c.Until = now.Add(time.Duration(p.Drain) * time.Second)
	}
	for _, e := range p.Except {
		if e.Seconds <= 0 || e.Seconds > int64(gateway.MaxException/time.Second) {
			return c, gateway.Invalid("except", "the exception of session %s lasts at most %s", gateway.Quote(e.Session), gateway.MaxException)
		}
		c.Except = append(c.Except, gateway.Exception{Session: e.Session, Owner: e.Owner, Reason: e.Reason, Until: gateway.Instant(now.Add(time.Duration(e.Seconds) * time.Second))})
	}
	return c, nil
}

// signers is the floor of roles for drawing up a statement; kinds that a
// person signs for himself have none. The chain of trust asks again.
var signers = map[statement.Kind]Capability{
	statement.KindVendor: Administer, statement.KindPerson: Administer, statement.KindTarget: Administer, statement.KindInvite: Administer,
	statement.KindApprove: Approve, statement.KindSuspend: Suspending, statement.KindRestore: Restoring, statement.KindAdvance: Advancing, statement.KindOpen: Ask,
	statement.KindOrder: Suspending, statement.KindToken: Administer,
}

// Signed is the answer to a call that signed and did: what was done.
type Signed struct {
	Kind      statement.Kind `json:"kind"`
	Statement gateway.Digest `json:"statement"`
	Sentence  string         `json:"sentence"`
	Result    any            `json:"result"`
}

func (s *Server) draft(c call) (any, error) {
	var in struct {
		Kind   statement.Kind  `json:"kind"`
		Params json.RawMessage `json:"params"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	act, ok := s.cfg.Acts[in.Kind]
	if !ok {
		return nil, gateway.Invalid("kind", "%s is not a kind of statement that is signed here", gateway.Quote(string(in.Kind)))
	}
	if capability, has := signers[in.Kind]; has {
		if err := s.may(c, capability, string(in.Kind)); err != nil {
			return nil, err
		}
	}
	body, err := act.Draft(c.Context(), c.who.Person, c.who.Login, in.Params)
	if err != nil {
		return nil, err
	}
	if c.who.Machine() {
		return s.byMachine(c, act, body)
	}
	return s.cfg.Touches.Draft(c.Context(), *c.who.Login, c.who.Person, body)
}

func (s *Server) byMachine(c call, act Act, body statement.Body) (any, error) {
	if s.cfg.Machine == nil {
		return nil, gateway.Refused("machine", "sign in the browser", "this machine signs nothing itself")
	}
	signed, err := s.cfg.Machine(body)
	if err != nil {
		return nil, err
	}
	return s.do(c, act, signed)
}

func (s *Server) commit(c call) (any, error) {
	if c.who.Machine() {
		return nil, gateway.Invalid("act", "at the local socket the machine has signed with the first call")
	}
	var in struct {
		Assertion json.RawMessage `json:"assertion"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	signed, err := s.cfg.Touches.Sign(c.Context(), *c.who.Login, c.PathValue("id"), in.Assertion)
	if err != nil {
		return nil, err
	}
	st, _, err := signed.Parse()
	if err != nil {
		return nil, err
	}
	if capability, has := signers[st.Kind]; has {
		if err := s.may(c, capability, string(st.Kind)); err != nil {
			return nil, err
		}
	}
	act, ok := s.cfg.Acts[st.Kind]
	if !ok {
		return nil, gateway.Invalid("kind", "statements of kind %s are not signed here", st.Kind)
	}
	return s.do(c, act, signed)
}

func (s *Server) do(c call, act Act, signed statement.Signed) (any, error) {
	st, _, err := signed.Parse()
	if err != nil {
		return nil, err
	}
	result, err := act.Commit(detached(c.Context()), signed)
	if err != nil {
		return nil, err
	}
	return Signed{Kind: st.Kind, Statement: signed.Digest, Sentence: st.Sentence, Result: result}, nil
}
