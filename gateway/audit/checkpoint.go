package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxNote bounds a signed checkpoint in bytes.
const MaxNote = 4 << 10

// Sealer signs the head of the log. The store calls it inside each transaction
// that appended: an error takes the transaction, and what it announced, back.
type Sealer interface {
	Seal(size int64, root tlog.Hash) (note []byte, err error)
}

// Origin is the log's name in its checkpoints: the host of the gateway's URL,
// then "/portcullis-log".
func Origin(gatewayURL string) (string, error) {
	u, err := url.Parse(gatewayURL)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("gateway URL %q has no host", gatewayURL)
	}
	return u.Host + "/portcullis-log", nil
}

// Signer seals checkpoints with an Ed25519 note key named like the origin
// (C2SP signed-note, tlog-checkpoint).
type Signer struct {
	verifier *Verifier
	key      ed25519.PrivateKey
}

// NewSigner returns the signer of the log called origin.
func NewSigner(origin string, key ed25519.PrivateKey) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("the log's signing key is not an Ed25519 private key")
	}
	pub, _ := key.Public().(ed25519.PublicKey)
	v, err := NewVerifier(origin, pub)
	if err != nil {
		return nil, err
	}
	return &Signer{v, key}, nil
}

// Verifier returns the public half.
func (s *Signer) Verifier() *Verifier { return s.verifier }

// Seal implements Sealer.
func (s *Signer) Seal(size int64, root tlog.Hash) ([]byte, error) {
	text := s.verifier.text(size, root)
	return s.verifier.encode(text, ed25519.Sign(s.key, []byte(text))), nil
}

// Verifier opens the checkpoints of one log.
type Verifier struct {
	note note.Verifier
	key  string
}

// NewVerifier returns the verifier of the log called origin.
func NewVerifier(origin string, key ed25519.PublicKey) (*Verifier, error) {
	text, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return nil, fmt.Errorf("log %q: %w", origin, err)
	}
	return ParseVerifier(text)
}

// ParseVerifier reads a verifier key in its text form, "NAME+HASH+KEY".
func ParseVerifier(text string) (*Verifier, error) {
	v, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("read the log's verifier key: %w", err)
	}
	return &Verifier{v, text}, nil
}

// String returns the text form.
func (v *Verifier) String() string { return v.key }

// Open returns what a signed checkpoint says. It takes one spelling only: a
// single bit changed anywhere in the note is an error, even one that base64
// would forgive.
func (v *Verifier) Open(signed []byte) (size int64, root tlog.Hash, err error) {
	if len(signed) > MaxNote {
		return 0, root, fmt.Errorf("the note has %d bytes, at most %d are allowed", len(signed), MaxNote)
	}
	n, err := note.Open(signed, note.VerifierList(v.note))
	if err != nil {
		return 0, root, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 {
		return 0, root, fmt.Errorf("the note is not a checkpoint of %q", v.note.Name())
	}
	size, err1 := strconv.ParseInt(lines[1], 10, 64)
	root, err2 := tlog.ParseHash(lines[2])
	if err := errors.Join(err1, err2); err != nil || size < 0 || n.Text != v.text(size, root) {
		return 0, tlog.Hash{}, fmt.Errorf("the note is not a checkpoint of %q", v.note.Name())
	}
	raw, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
	if err != nil || len(raw) < 4 || string(v.encode(n.Text, raw[4:])) != string(signed) {
		return 0, tlog.Hash{}, errors.New("the note is not in its one spelling")
	}
	return size, root, nil
}

func (v *Verifier) text(size int64, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", v.note.Name(), size, root)
}

func (v *Verifier) encode(text string, sig []byte) []byte {
	id := binary.BigEndian.AppendUint32(nil, v.note.KeyHash())
	return fmt.Appendf(nil, "%s\n— %s %s\n", text, v.note.Name(), base64.StdEncoding.EncodeToString(append(id, sig...)))
}
