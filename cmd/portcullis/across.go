package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster/handover"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
)

// maxPeek bounds what is read of a call to see which node it is about; no
// route takes more.
const maxPeek = api.MaxBody

// findRow bounds the look for the row of a session, whose node is asked for.
const findRow = 3 * time.Second

// across answers a call here, or has the node answer it in whose memory or on
// whose disk lies what the call is about.
func (g *gatewayd) across(next http.Handler) http.Handler {
	if g.peers == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node, err := g.nodeOf(r)
		switch {
		case err != nil:
			api.WriteProblem(w, r, g.log, err)
		case g.peers.Other(node):
			g.peers.Hand(w, r, node, func(err error) { g.nodeAway(w, r, next, err) })
		default:
			next.ServeHTTP(w, handover.For(r))
		}
	})
}

// nodeAway answers for a node that does not. The page of a session says what
// its row says; everything else is a no that names the node.
func (g *gatewayd) nodeAway(w http.ResponseWriter, r *http.Request, next http.Handler, err error) {
	path := strings.TrimPrefix(r.URL.Path, api.Prefix)
	if rest, ok := strings.CutPrefix(path, "/sessions/"); ok && r.Method == http.MethodGet && !strings.Contains(rest, "/") {
		next.ServeHTTP(w, handover.For(r))
		return
	}
	if path != r.URL.Path || strings.HasPrefix(path, "/local/") {
		api.WriteProblem(w, r, g.log, err)
		return
	}
	g.pages.Problem(err).ServeHTTP(w, r)
}

// otherNodes are the others as the API asks them.
type otherNodes struct{ *handover.Peers }

func (o otherNodes) Ask(ctx context.Context, node, path string) ([]byte, error) {
	return o.Peers.Ask(ctx, node, path, http.Header{web.ByItself: {"1"}})
}

// others is nil for one node alone.
func (r *rooms) others() api.Nodes {
	if r.peers == nil {
		return nil
	}
	return otherNodes{r.peers}
}

// nodeOf is the node that holds what a call is about; empty where any can
// answer.
func (g *gatewayd) nodeOf(r *http.Request) (string, error) {
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/local"), api.Prefix)
	head, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	id, _, _ := strings.Cut(rest, "/")
	switch head {
	case "sessions", "recordings":
		if id == "" {
			return "", nil
		}
		return g.nodeOfSession(r.Context(), id)
	case "touch", "certificate", "tunnels", "acts":
		if home := identity.HomeOf(id); home != "" || r.Method != http.MethodPost {
			return home, nil
		}
		return peek(r)
	case "login", "enrol":
		if r.Method == http.MethodPost {
			return peek(r)
		}
	case "oidc":
		return identity.HomeOf(r.URL.Query().Get("state")), nil
	}
	return "", nil
}

func (g *gatewayd) nodeOfSession(ctx context.Context, id string) (string, error) {
	if _, live := g.sessions.Get(id); live {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, findRow)
	defer cancel()
	x, err := g.store.Session().Session(ctx, id)
	if errors.Is(err, gateway.ErrNotFound) {
		return "", nil // the route says so
	}
	return x.Node, err
}

// peek reads which node the JSON of a call names, and puts it back.
func peek(r *http.Request) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxPeek+1))
	if err != nil {
		return "", gateway.Invalid("body", "the call was cut short")
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(raw), r.Body), r.Body}
	var in struct {
		ID     string `json:"id"`
		Ticket string `json:"ticket"`
		Params struct {
			Pending   string `json:"pending"`
			Terminal  string `json:"terminal"`
			Challenge string `json:"challenge"`
		} `json:"params"`
	}
	_ = json.Unmarshal(raw, &in) // what does not read names no node, and the route says so
	for _, id := range []string{in.ID, in.Ticket, in.Params.Pending, in.Params.Terminal, in.Params.Challenge} {
		if home := identity.HomeOf(id); home != "" {
			return home, nil
		}
	}
	return "", nil
}

// openPeers makes the other nodes known, where the configuration names any.
func (r *rooms) openPeers() error {
	if len(r.cfg.Nodes) == 0 {
		return nil
	}
	roots, err := r.cfg.RootKeys()
	if err != nil {
		return err
	}
	r.peers, err = handover.New(handover.Config{Node: r.cfg.Node, Nodes: r.cfg.Nodes, Key: r.keys.MachineKey(), Trusted: roots, Now: time.Now, Logger: r.log})
	return err
}

// serveNodes answers what other nodes hand over.
func (g *gatewayd) serveNodes(ctx context.Context) error {
	local := http.NewServeMux()
	local.Handle(api.Prefix+"/", g.api.Handler(api.Machine))
	g.localRoutes(local)
	srv := bounded(g.peers.Handler(g.handed(g.pages.Handler()), local), g.log)
	if g.consoles != nil {
		g.consoles.Server(srv)
	}
	srv.TLSConfig = g.peers.ServerTLS()
	return serveHTTP(ctx, srv, func() error { return srv.ServeTLS(g.nodes, "", "") }, webLastCalls)
}

// lookAtNodes asks each other node whether it is there.
func (g *gatewayd) lookAtNodes(ctx context.Context) []finding {
	var out []finding
	if g.peers == nil {
		if g.cfg.shared() {
			out = append(out, finding{What: "nodes", Text: "several nodes may share this store, and none of them knows where the others listen", Cure: "list all of them under nodes: in the configuration, NAME: HOST:PORT, or a touch reaches its connection by luck alone"})
		}
		return out
	}
	drains := g.drains(ctx)
	for _, n := range g.peers.Names() {
		f := finding{What: "node " + n}
		begun := time.Now()
		if err := g.peers.Reach(ctx, n); err != nil {
			f.Text, f.Cure = "is not reached: "+err.Error(), "start it, or mend its address under nodes: in the configuration; it is "+g.cfg.Nodes[n]
		} else {
			f.OK, f.Text = true, "was reached in "+ms(time.Since(begun))
			if drains[n] {
				f.Text += "; it drains before a restart, and opens nothing new"
			}
		}
		out = append(out, f)
	}
	return out
}

// drains are the nodes that are about to restart, as far as the store tells.
func (g *gatewayd) drains(ctx context.Context) map[string]bool {
	list := map[string]bool{}
	if g.roll == nil {
		return list
	}
	members, err := g.roll.Members(ctx)
	if err != nil {
		g.log.Error("nodes not read", "error", err) // the doctor says it of the store
	}
	for _, m := range members {
		list[m.Name] = m.Leaving
	}
	return list
}
