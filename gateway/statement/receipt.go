package statement

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// receiptContext separates receipts from any other use of the machine's key.
const receiptContext = "portcullis receipt v1\x00"

// Receipt is a machine's word on when a statement was filed. The time inside
// a statement is its signer's word, and a key that was stolen later can give
// it for any day; this one is not the signer's to give.
type Receipt struct {
	At        time.Time `json:"at,omitzero"` // whole microseconds
	Key       string    `json:"key,omitempty"`
	Signature []byte    `json:"signature,omitempty"`
}

// IsZero reports whether there is none.
func (r Receipt) IsZero() bool { return r.Key == "" && r.At.IsZero() && len(r.Signature) == 0 }

// Receive signs that a statement is filed at this time.
func (m MachineKey) Receive(d gateway.Digest, at time.Time) Receipt {
	at = gateway.Instant(at)
	return Receipt{At: at, Key: m.Root(), Signature: ed25519.Sign(m.Private, receiptMessage(d, at))}
}

// Verify reports whether the receipt is for this statement and by that key.
func (r Receipt) Verify(d gateway.Digest, key ed25519.PublicKey) error {
	if r.Key != FormatRoot(key) || !r.At.Equal(gateway.Instant(r.At)) || !ed25519.Verify(key, receiptMessage(d, r.At), r.Signature) {
		return errors.New("the receipt is not by the key that it names, or for another statement")
	}
	return nil
}

func receiptMessage(d gateway.Digest, at time.Time) []byte {
	msg := append([]byte(receiptContext), d[:]...)
	return binary.BigEndian.AppendUint64(msg, uint64(at.UnixMicro()))
}
