package killswitch

import (
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// byMethod says of each session how it was closed or held.
func byMethod(list []gateway.ClosedSession) {
	for i, c := range list {
		switch {
		case c.Method != "":
		case c.Closed:
			list[i].Method = gateway.MethodSockets
		case c.Fate == gateway.FateFrozen:
			list[i].Method = gateway.MethodHeld
		}
	}
}

// offsets sets how far the clocks of other nodes stand from this one's: the
// order left here at asked, and all answers were back at heard.
func offsets(nodes []gateway.NodeReport, asked, heard time.Time) {
	half := heard.Sub(asked) / 2
	for i, n := range nodes {
		if n.Answered && !n.Clock.IsZero() {
			nodes[i].Offset, nodes[i].Within = n.Clock.Sub(asked.Add(half)), half
		}
	}
}
