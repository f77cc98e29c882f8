package statement

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/portcullis/portcullis/gateway"
)

// MaxFile bounds an order's file: the statement, its proof in base64, and a
// little around them.
const MaxFile = 32 << 10

// fileFormat is what the first lines of an order's file call it.
const fileFormat = "portcullis-order-v1"

// file is a signed statement as it is carried by hand. It holds no receipt:
// when it was filed is for the machine that files it to say.
type file struct {
	Format    string          `json:"format"`
	Proofs    []Proof         `json:"proofs"`
	Statement json.RawMessage `json:"statement"`
}

// EncodeFile returns the file of a signed statement: canonical JSON and a line
// feed.
func EncodeFile(s Signed) ([]byte, error) {
	raw, err := Canonical(file{fileFormat, s.Proofs, s.Bytes})
	if err != nil {
		return nil, err
	}
	if len(raw) >= MaxFile {
		return nil, fmt.Errorf("signed order has %d bytes, at most %d are taken", len(raw), MaxFile)
	}
	return append(raw, '\n'), nil
}

// ParseFile is the inverse of EncodeFile, strict: another spelling of the same
// is refused, and so is a statement of another kind than an order. It verifies
// no proof.
func ParseFile(raw []byte) (Signed, *Order, error) {
	if len(raw) > MaxFile {
		return Signed{}, nil, fmt.Errorf("the file has more than %d bytes", MaxFile)
	}
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	var f file
	if err := strict(raw, &f); err != nil {
		return Signed{}, nil, fmt.Errorf("read order: %w", err)
	}
	again, err := Canonical(f)
	if err != nil || !bytes.Equal(raw, again) || f.Format != fileFormat {
		return Signed{}, nil, fmt.Errorf("the file is not a signed order as it was made")
	}
	_, body, err := Parse(f.Statement)
	if err != nil {
		return Signed{}, nil, err
	}
	order, ok := body.(*Order)
	if !ok {
		return Signed{}, nil, fmt.Errorf("the file holds a statement of kind %s, which is no order", body.Kind())
	}
	return Signed{Digest: gateway.DigestOf(f.Statement), Bytes: f.Statement, Proofs: f.Proofs}, order, nil
}
