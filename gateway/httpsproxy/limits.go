package httpsproxy

import (
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// limits are how often a session may ask. A rate of zero is no bound. A
// second's worth of requests may come at once.
type limits struct {
	rate float64 // requests per second

	mu   sync.Mutex
	room float64 // requests that may come now
	at   time.Time
}

func newLimits(a gateway.Abilities) *limits {
	return &limits{rate: float64(a.Rate), room: float64(a.Rate)}
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

// carry takes bytes that are about to pass off the volume of the grant, and
// ends the session with what would go beyond it.
func (c *console) carry(in, out int) error {
	if c.spend(true, in) && c.spend(false, out) {
		return nil
	}
	c.live.End(gateway.EndVolume, "", "")
	return errOver
}

func (c *console) spend(in bool, n int) bool {
	used, limit := c.live.Spend(in, n)
	return limit == 0 || used <= limit
}

// tooFast answers a request that came before its time.
func (x *exchange) tooFast(wait time.Duration) {
	no := &gateway.Error{Code: gateway.CodeTooMany, Rule: "abilities.rate", Text: "this grant lets " + strconv.FormatInt(x.c.abilities.Rate, 10) + " requests per second", Next: "wait as long as Retry-After says, or ask for a grant that lets more"}
	x.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(1, wait.Seconds()))))) // RFC 9110 clause 10.2.3: whole seconds
	x.refuse(no)
}
