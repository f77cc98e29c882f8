package vpn

import (
	"net/netip"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// roam takes a new outer address of the peer. What comes from outside the
// networks that the vendor agreed to ends the session: somebody else has the
// key, or the engineer is where he must not be, and neither is for silence.
func (t *tunnel) roam(from stampBytes) bool {
	at := from.addrPort()
	if !t.checkSource(at) {
		return false
	}
	t.mu.Lock()
	before := t.endpoint
	t.endpoint = at
	twice := before.IsValid() && t.flaps(time.Now())
	t.mu.Unlock()
	t.outer.Store(&from)
	if twice {
		t.live.End(gateway.EndNotGranted, "", "its key was used in two places at once; make a new key and keep it on one machine")
		return false
	}
	if before.IsValid() && before != at {
		t.live.Roamed(t.live.Context(), before, at)
	}
	return true
}

// checkSource ends the session of a peer that speaks from elsewhere.
func (t *tunnel) checkSource(at netip.AddrPort) bool {
	if within(t.sources, at.Addr()) {
		return true
	}
	t.live.End(gateway.EndNotGranted, "", "packets of the tunnel came from "+at.Addr().String()+", which is outside the networks agreed with your company")
	return false
}

// flaps reports whether the address changes faster than people move. The
// caller holds mu.
func (t *tunnel) flaps(now time.Time) bool {
	t.roams = append(t.roams, now)
	if len(t.roams) <= MaxRoams {
		return false
	}
	t.roams = t.roams[len(t.roams)-MaxRoams-1:]
	return now.Sub(t.roams[0]) < RoamWindow
}
