package api

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// How long the other nodes have to tell their part. Whoever asks waits for the
// slowest of them.
const (
	listTime   = 2 * time.Second // what they know by heart
	searchTime = 10 * time.Second
)

// NodeState is whether a node has told its part of an answer.
type NodeState struct {
	Node     string `json:"node"`
	Answered bool   `json:"answered"`
}

// Silent names the nodes that have not answered.
func Silent(nodes []NodeState) []string {
	var names []string
	for _, n := range nodes {
		if !n.Answered {
			names = append(names, n.Node)
		}
	}
	return names
}

// ask has each other node answer the path that is its own, all at once, but
// those that have nothing more to tell, whose path is empty. It hands what they say to take, one after the other. It tells which nodes,
// this one with them, have answered; none where there is no other to ask.
func ask[T any](ctx context.Context, s *Server, within time.Duration, path func(node string) string, take func(node string, answer T)) []NodeState {
	if s.cfg.Nodes == nil {
		return nil
	}
	others := s.cfg.Nodes.Others(ctx)
	if len(others) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var (
		mu     sync.Mutex // guards states and take
		wg     sync.WaitGroup
		states = []NodeState{{Node: s.cfg.Node, Answered: true}}
	)
	for _, node := range others {
		at := path(node)
		if at == "" {
			states = append(states, NodeState{Node: node, Answered: true})
			continue
		}
		wg.Go(func() {
			var answer T
			raw, err := s.cfg.Nodes.Ask(ctx, node, at)
			if err == nil {
				err = json.Unmarshal(raw, &answer)
			}
			if err != nil {
				s.cfg.Logger.Debug("a node does not answer, and is shown so", "node", node, "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			states = append(states, NodeState{Node: node, Answered: err == nil})
			if err == nil {
				take(node, answer)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(states, func(a, b NodeState) int { return strings.Compare(a.Node, b.Node) })
	return states
}

// samePath asks every node for the same.
func samePath(path string, q url.Values) func(string) string {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return func(string) string { return Prefix + path }
}

// Live is what lives on all nodes, as they have it in memory, and which of
// them have said so.
type Live struct {
	Items []gateway.Session `json:"items"`
	Nodes []NodeState       `json:"nodes,omitempty"`
}

// Live asks all nodes for what lives there, as far as who may see it. A node
// is believed about its own sessions alone.
func (s *Server) Live(ctx context.Context, who Who) Live {
	out := Live{Items: []gateway.Session{}}
	for _, x := range s.cfg.Sessions.Live() {
		if Sees(who, x.Person, "session", x.ID) == nil {
			out.Items = append(out.Items, x)
		}
	}
	out.Nodes = ask(ctx, s, listTime, samePath("/live", nil), func(node string, answer Live) {
		for _, x := range answer.Items {
			if x.Node == node {
				out.Items = append(out.Items, x)
			}
		}
	})
	return out
}

func (s *Server) live(c call) (any, error) { return s.Live(c.Context(), c.who), nil }

// Away reports whether a session is on a node that was not asked, because it
// does not answer: what is shown of it is what the store knew last.
func (s *Server) Away(x gateway.Session) bool {
	return x.State != gateway.SessionEnded && s.cfg.Node != "" && x.Node != s.cfg.Node
}
