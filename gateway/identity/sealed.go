package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// maxSealed bounds what is taken back from a browser.
const maxSealed = 4096

// sealer gives a browser something to keep for us: encrypted, authenticated,
// good for a time and for one purpose. The key lives as long as the process.
type sealer struct {
	now  func() time.Time
	aead cipher.AEAD
}

func newSealer(now func() time.Time) (*sealer, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make seal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make seal: %w", err)
	}
	return &sealer{now: now, aead: aead}, nil
}

func (s *sealer) seal(purpose string, v any, keep time.Duration) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", purpose, err)
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(s.now().Add(keep).UnixMicro()))
	box := s.aead.Seal(nil, nil, append(plain, raw...), []byte(purpose)) //nolint:gosec // NewGCMWithRandomNonce takes no nonce: it draws one
	return base64.RawURLEncoding.EncodeToString(box), nil
}

var errSeal = errors.New("not sealed by this process for this purpose, or too long ago")

func (s *sealer) open(purpose, text string, v any) error {
	if len(text) > maxSealed {
		return errSeal
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errSeal
	}
	plain, err := s.aead.Open(nil, nil, raw, []byte(purpose))
	if err != nil || len(plain) < 8 {
		return errSeal
	}
	if s.now().UnixMicro() >= int64(binary.BigEndian.Uint64(plain)) {
		return errSeal
	}
	return json.Unmarshal(plain[8:], v)
}

// Events about strangers are durable writes that anybody on the network can
// cause; beyond this rate they are counted, and the next one tells how many.
const (
	strangersPerSecond = 5
	strangersAtOnce    = 50
)

type strangers struct {
	now     func() time.Time
	limit   *rate.Limiter
	skipped chan int // holds the one count
}

func newStrangers(now func() time.Time) *strangers {
	s := &strangers{now: now, limit: rate.NewLimiter(strangersPerSecond, strangersAtOnce), skipped: make(chan int, 1)}
	s.skipped <- 0
	return s
}

// stranger makes the event of a refusal to nobody we know; false if it is one
// too many.
func (s *strangers) stranger(name audit.Name, source string, err error) (audit.Event, bool) {
	n := <-s.skipped
	if !s.limit.AllowN(s.now(), 1) {
		s.skipped <- n + 1
		return audit.Event{}, false
	}
	s.skipped <- 0
	e := refusal(name, gateway.Person{}, source, err)
	if n > 0 {
		e.Detail = map[string]string{"unwritten": fmt.Sprint(n)}
	}
	return e, true
}
