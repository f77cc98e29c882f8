package identity

import "strings"

// homeMark stands between a node's name and what follows: neither a name nor
// anything that we draw or encode holds one, and an address takes it as it is.
const homeMark = "~"

// HomeOf is the node on which what an id, a link or a ticket names waits in
// memory; empty where this is a gateway of one node. It proves nothing: whoever
// forges it is handed to a node that knows nothing of it.
func HomeOf(id string) string {
	node, _, _ := strings.Cut(id, homeMark)
	if len(node) == len(id) {
		return ""
	}
	return node
}

// homed puts this node's name before an id that leaves it.
func (s *Service) homed(id string) string {
	if s.home == "" || id == "" {
		return id
	}
	return s.home + homeMark + id
}

// bare takes it off an id that comes back. One of another node keeps its name,
// and is found nowhere.
func (s *Service) bare(id string) string {
	if s.home == "" {
		return id
	}
	return strings.TrimPrefix(id, s.home+homeMark)
}
