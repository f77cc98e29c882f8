package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Bounds of what is read off Redis, in bytes as sent.
const (
	MaxOrder  = 16 << 10
	MaxAnswer = 8 << 20 // some 30,000 closed sessions
	MaxBeat   = 2 << 10
)

// What a signature is for. A zero byte ends each in what is signed.
const (
	orderDomain  = "portcullis cluster order v1"
	answerDomain = "portcullis cluster answer v1"
	beatDomain   = "portcullis cluster beat v1"
)

// Signer signs what this node sends.
type Signer interface {
	Sign(message []byte) (signature []byte)
}

// Verifier reports whether a node of this cluster signed.
type Verifier interface {
	Verify(message, signature []byte) bool
}

// envelope is what stands on the wire: the exact bytes that were signed.
type envelope struct {
	Body      []byte `json:"body"`
	Signature []byte `json:"signature"`
}

type orderBody struct {
	Cluster string        `json:"cluster"`
	Nonce   string        `json:"nonce"`
	From    string        `json:"from"`
	Reply   string        `json:"reply"` // the boot whose channel takes the answers
	Sent    time.Time     `json:"sent"`
	Order   cluster.Order `json:"order"`
}

type answerBody struct {
	Cluster    string             `json:"cluster"`
	Nonce      string             `json:"nonce"` // of the order
	Suspension string             `json:"suspension"`
	Node       string             `json:"node"`
	Report     gateway.NodeReport `json:"report"`
}

// beatBody says that a node is there, or that it has left.
type beatBody struct {
	Cluster string        `json:"cluster"`
	Node    string        `json:"node"`
	Boot    string        `json:"boot"`
	Count   uint64        `json:"count"` // rises within a boot
	At      time.Time     `json:"at"`    // by the node's own clock
	Lease   time.Duration `json:"lease_ns"`
	Left    bool          `json:"left,omitempty"`
}

var (
	errTooLong   = errors.New("longer than it may be")
	errSignature = errors.New("not signed by a node of this cluster")
	errCluster   = errors.New("of another cluster")
	errNode      = errors.New("names no node")
)

func seal(s Signer, domain string, body any) ([]byte, error) {
	raw, err := statement.Canonical(body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{Body: raw, Signature: s.Sign(signed(domain, raw))})
}

// unseal reads no more of a message than its envelope before the signature
// has held.
func unseal(v Verifier, domain string, limit int, raw string, into any) error {
	if len(raw) > limit {
		return errTooLong
	}
	var e envelope
	if err := strict([]byte(raw), &e); err != nil {
		return err
	}
	if !v.Verify(signed(domain, e.Body), e.Signature) {
		return errSignature
	}
	return strict(e.Body, into)
}

func signed(domain string, body []byte) []byte {
	return append(append([]byte(domain), 0), body...)
}

func strict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

func (b *Bus) openOrder(raw string) (o orderBody, err error) {
	if err = unseal(b.verifier, orderDomain, MaxOrder, raw, &o); err != nil {
		return o, err
	}
	switch {
	case o.Cluster != b.prefix:
		return o, errCluster
	case gateway.CheckName("node", o.From) != nil, !isNonce(o.Reply), !isNonce(o.Nonce):
		return o, errNode
	}
	if age := b.now().Sub(o.Sent); age > MaxOrderAge || age < -MaxOrderAge {
		return o, fmt.Errorf("sent %s ago by its own word", age.Round(time.Millisecond))
	}
	return o, nil
}

func (b *Bus) openAnswer(raw string) (a answerBody, err error) {
	if err = unseal(b.verifier, answerDomain, MaxAnswer, raw, &a); err != nil {
		return a, err
	}
	if a.Cluster != b.prefix {
		return a, errCluster
	}
	if gateway.CheckName("node", a.Node) != nil {
		return a, errNode
	}
	return a, nil
}

func (b *Bus) openBeat(node, raw string) (h beatBody, err error) {
	if err = unseal(b.verifier, beatDomain, MaxBeat, raw, &h); err != nil {
		return h, err
	}
	switch {
	case h.Cluster != b.prefix:
		return h, errCluster
	case h.Node != node || gateway.CheckName("node", node) != nil || !isNonce(h.Boot):
		return h, errNode
	case h.Lease <= 0 || h.Lease > maxLease:
		return h, fmt.Errorf("lease of %s", h.Lease)
	}
	return h, nil
}

// isNonce reports whether s has the form of newNonce's.
func isNonce(s string) bool {
	if len(s) != 2*nonceBytes {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
