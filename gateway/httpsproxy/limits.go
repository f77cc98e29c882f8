package httpsproxy

import (
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// limits are how much a session lets pass. A bound of zero is none. A second's
// worth of requests may come at once.
type limits struct {
	rate      float64 // requests per second
	volumeIn  int64   // bytes to the target
	volumeOut int64

	mu      sync.Mutex
	room    float64 // requests that may come now
	at      time.Time
	in, out int64
}

func newLimits(a gateway.Abilities) *limits {
	return &limits{rate: float64(a.Rate), volumeIn: a.VolumeIn, volumeOut: a.VolumeOut, room: float64(a.Rate)}
}

// admit takes one request, or says after how long another would be taken.
func (l *limits) admit(now time.Time) (wait time.Duration, ok bool) {
	if l.rate == 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.at.IsZero() {
		l.room = min(l.rate, l.room+l.rate*max(0, now.Sub(l.at).Seconds()))
	}
	l.at = now
	if l.room < 1 {
		return time.Duration((1 - l.room) / l.rate * float64(time.Second)), false
	}
	l.room--
	return 0, true
}

// carry counts bytes that are about to pass, and says whether they may.
func (l *limits) carry(in, out int) bool {
	if l.volumeIn == 0 && l.volumeOut == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in, l.out = l.in+int64(in), l.out+int64(out)
	return (l.volumeIn == 0 || l.in <= l.volumeIn) && (l.volumeOut == 0 || l.out <= l.volumeOut)
}

// carry holds bytes that are about to pass to the volume of the grant, and ends
// the session with what would go beyond it.
func (c *console) carry(in, out int) error {
	if c.limits.carry(in, out) {
		return nil
	}
	c.live.End(gateway.EndVolume, "", "")
	return errOver
}

// tooFast answers a request that came before its time.
func (x *exchange) tooFast(wait time.Duration) {
	no := &gateway.Error{Code: gateway.CodeTooMany, Rule: "abilities.rate", Text: "this grant lets " + strconv.FormatInt(x.c.abilities.Rate, 10) + " requests per second", Next: "wait as long as Retry-After says, or ask for a grant that lets more"}
	x.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(1, wait.Seconds()))))) // RFC 9110 clause 10.2.3: whole seconds
	x.refuse(no)
}
