package evidence

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Bounds of what is read.
const (
	MaxFile       = 16 << 20 // of an envelope
	maxSignatures = 16
	maxDepth      = 32 // of an envelope's JSON
)

// Envelope is a DSSE envelope (DSSE 1.0, envelope.md), decoded.
type Envelope struct {
	Type       string
	Payload    []byte
	Signatures []Signature
}

// Signature is one of its signatures. KeyID is a hint that nobody signed.
type Signature struct {
	KeyID string
	Sig   []byte
}

// PAE is what a DSSE signature is over: the pre-authentication encoding of the
// type and the payload (DSSE 1.0, protocol.md).
func PAE(payloadType string, payload []byte) []byte {
	b := append([]byte("DSSEv1 "), strconv.Itoa(len(payloadType))...)
	b = append(append(append(b, ' '), payloadType...), ' ')
	b = append(strconv.AppendInt(b, int64(len(payload)), 10), ' ')
	return append(b, payload...)
}

// Seal signs a payload and returns the envelope's JSON.
func Seal(key ed25519.PrivateKey, payloadType string, payload []byte) ([]byte, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("seal an envelope: not an Ed25519 key")
	}
	out := wire{Payload: base64.StdEncoding.EncodeToString(payload), Type: payloadType, Signatures: []wireSignature{{
		KeyID: statement.FormatRoot(public), Sig: base64.StdEncoding.EncodeToString(ed25519.Sign(key, PAE(payloadType, payload))),
	}}}
	raw, err := json.MarshalIndent(out, "", "  ")
	return append(raw, '\n'), err
}

type wire struct {
	Payload    string          `json:"payload"`
	Type       string          `json:"payloadType"`
	Signatures []wireSignature `json:"signatures"`
}

type wireSignature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// ParseEnvelope reads an envelope. Fields that it does not know are passed
// over, as the standard wants it; a name that stands twice, in any case, is
// refused, since two readers could read two files in it.
func ParseEnvelope(raw []byte) (Envelope, error) {
	if len(raw) > MaxFile {
		return Envelope{}, gateway.Invalid("envelope", "the file has more than %d bytes", MaxFile)
	}
	if err := unambiguous(raw); err != nil {
		return Envelope{}, gateway.Invalid("envelope", "the file is not a DSSE envelope: %s", err)
	}
	var w wire
	if err := json.Unmarshal(raw, &w); err != nil {
		return Envelope{}, gateway.Invalid("envelope", "the file is not a DSSE envelope: %s", err)
	}
	switch {
	case w.Type == "" || w.Payload == "" || len(w.Signatures) == 0:
		return Envelope{}, gateway.Invalid("envelope", "the file is not a DSSE envelope: it needs payload, payloadType and signatures")
	case len(w.Signatures) > maxSignatures:
		return Envelope{}, gateway.Invalid("envelope", "the envelope has more than %d signatures", maxSignatures)
	}
	e := Envelope{Type: w.Type}
	var err error
	if e.Payload, err = unbase64(w.Payload); err != nil {
		return Envelope{}, gateway.Invalid("payload", "the envelope's payload is not base64")
	}
	for _, s := range w.Signatures {
		sig, err := unbase64(s.Sig)
		if err != nil {
			return Envelope{}, gateway.Invalid("signature", "a signature of the envelope is not base64")
		}
		e.Signatures = append(e.Signatures, Signature{s.KeyID, sig})
	}
	return e, nil
}

// unbase64 reads either alphabet (envelope.md), and of each text one spelling.
func unbase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // the decoder would pass over them
		return nil, errors.New("base64 with line ends")
	}
	if strings.ContainsAny(s, "-_") {
		return base64.URLEncoding.Strict().DecodeString(s)
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}

// SignedBy returns the first of the keys that signed the envelope.
func (e Envelope) SignedBy(keys []ed25519.PublicKey) (ed25519.PublicKey, error) {
	msg := PAE(e.Type, e.Payload)
	for _, k := range keys {
		for _, s := range e.Signatures {
			if len(k) == ed25519.PublicKeySize && ed25519.Verify(k, msg, s.Sig) {
				return k, nil
			}
		}
	}
	for _, s := range e.Signatures {
		for _, k := range keys {
			if s.KeyID == statement.FormatRoot(k) {
				return nil, gateway.Refused("signature", "ask for the file again", "the signature does not hold: the file was changed after %s signed it", s.KeyID)
			}
		}
	}
	return nil, gateway.Refused("signature", "name the gateway's key with --root, as it stands in roots[] of its configuration", "the file is signed by none of the roots; it names %s", gateway.Quote(e.Signatures[0].KeyID))
}

// unambiguous refuses JSON in which a name stands twice in one object, that is
// nested deeper than maxDepth, or that something follows.
func unambiguous(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var open []map[string]bool // of each object the names so far; nil for an array
	name := false              // the next string is a name
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return errors.New("it ends too early")
		}
		if err != nil {
			return err
		}
		if s, ok := t.(string); ok && name {
			s = strings.ToLower(strings.ToUpper(s)) // as wide as the decoder folds
			if open[len(open)-1][s] {
				return fmt.Errorf("the name %s stands in it twice", gateway.Quote(s))
			}
			open[len(open)-1][s], name = true, false
			continue
		}
		switch t {
		case json.Delim('{'):
			open = append(open, map[string]bool{})
		case json.Delim('['):
			open = append(open, nil)
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if len(open) > maxDepth {
			return fmt.Errorf("it is nested deeper than %d", maxDepth)
		}
		if len(open) == 0 {
			break
		}
		name = open[len(open)-1] != nil
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}
