package vpn

// dropNames are why packets are dropped, as metrics call it.
var dropNames = [dropKinds]string{
	dropMalformed: "malformed", dropOptions: "options", dropExtension: "extension", dropProtocol: "protocol", dropMulticast: "multicast", dropFragment: "fragment",
	dropStranger: "stranger", dropCut: "cut", dropFlood: "flood", dropFull: "full", dropSpoofed: "spoofed",
}

// Stats are numbers of this node, without names of anybody.
type Stats struct {
	Tunnels int              // whose peer may still be there
	Flows   int              // open in them
	Drops   map[string]int64 // packets since the start, by why; every reason is there
}

// Stats counts.
func (g *Gateway) Stats() Stats {
	s := Stats{Drops: make(map[string]int64, dropKinds)}
	for _, t := range g.all() {
		s.Tunnels++
		s.Flows += len(t.list())
	}
	for why := pass + 1; why < dropKinds; why++ {
		s.Drops[dropNames[why]] = g.drops[why].Load()
	}
	return s
}
