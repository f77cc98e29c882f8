package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/policy"
	"github.com/portcullis/portcullis/web/api"
)

// sign signs a body with the machine's key, for root at the local socket.
func (r *rooms) sign(body statement.Body) (statement.Signed, error) {
	return r.machine.Sign(time.Now(), body)
}

// localRoutes are what the commands of this machine need beside the API.
func (g *gatewayd) localRoutes(mux *http.ServeMux) {
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /local/apply":              g.localApply,
		"GET /local/export":              g.localExport,
		"GET /local/recordings/{id}/raw": g.localRaw,
		"GET /local/audit/follow":        g.localFollow,
		"POST /local/policy/explain":     g.localExplain,
		"GET /local/doctor":              g.localDoctor,
		"GET /local/tunnels":             g.localTunnels,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			if err := h(w, req); err != nil {
				api.WriteProblem(w, req, g.log, err)
			}
		})
	}
}

func (g *gatewayd) localApply(w http.ResponseWriter, r *http.Request) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxApply))
	if err != nil {
		return gateway.Invalid("file", "the file has more than %d bytes", maxApply)
	}
	// A file half applied because the command was interrupted helps nobody.
	changes, err := g.directory.Apply(context.WithoutCancel(r.Context()), raw, g.sign, r.URL.Query().Get("dry_run") == "true")
	if err != nil {
		return err
	}
	return answer(w, changes)
}

func (g *gatewayd) localExport(w http.ResponseWriter, r *http.Request) error {
	raw, err := g.directory.Export(r.Context())
	if err != nil {
		return err
	}
	if r.URL.Query().Get("json") != "true" {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(raw) // the reader may have left
		return nil
	}
	var v any
	if err := yaml.Unmarshal(raw, &v); err != nil {
		return err
	}
	return answer(w, v)
}

// localRaw streams what a target showed, byte for byte, or one channel's side of
// it; of one channel, also what went the other way. That somebody looks is
// written first.
func (g *gatewayd) localRaw(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	stream, ok := map[string]recording.Stream{"stdout": recording.Stdout, "stderr": recording.Stderr, "stdin": recording.Stdin}[q.Get("stream")]
	if !ok {
		return gateway.Invalid("stream", "stream is stdout, stderr or stdin")
	}
	channel, err := strconv.ParseUint(q.Get("channel"), 10, 32)
	if q.Has("channel") && err != nil {
		return gateway.Invalid("channel", "the channel is a number from the recording's index")
	}
	if stream == recording.Stdin && !q.Has("channel") {
		return gateway.Invalid("channel", "stdin is of one channel; name it, or export the format input")
	}
	x, err := shownSessions{g.sessions, g.store.Session()}.Session(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	e := audit.Event{
		Name: audit.RecordingWatched, Actor: statement.Machine, Vendor: x.Vendor, Person: x.Person, Target: x.Target, Account: x.Account, Request: x.Request, Grant: x.Grant, Session: x.ID,
	}
	if stream == recording.Stdin {
		e.Name = audit.InputRead
	}
	if q.Has("channel") {
		e.Detail = map[string]string{"channel": q.Get("channel")}
	}
	if err := g.audit.Append(r.Context(), e); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if q.Has("channel") {
		return g.recordings.RawChannel(w, x.ID, uint32(channel), stream)
	}
	return g.recordings.Raw(w, x.ID, stream)
}

// localFollow streams log lines as they become durable, one JSON a line.
func (g *gatewayd) localFollow(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	_ = control.Flush()
	for e := range g.audit.Follow(r.Context()) {
		fmt.Fprintf(w, "{\"seq\":%d,\"ocsf\":%s}\n", e.Seq, e.Body) // a reader who has left ends the context
		_ = control.Flush()
	}
	return nil
}

func (g *gatewayd) localExplain(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Person, Target, Account string
		Abilities               []string
		Seconds                 int64
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxApply)).Decode(&in); err != nil {
		return gateway.Invalid("body", "the question does not read")
	}
	p, err := g.directory.Person(r.Context(), in.Person)
	if err != nil {
		return err
	}
	t, err := g.directory.Target(r.Context(), in.Target)
	if err != nil {
		return err
	}
	f := policy.Facts{Action: policy.Ask, Person: p, Target: t, Account: in.Account, Now: time.Now()}
	if !p.Staff() {
		if f.Vendor, err = g.directory.Vendor(r.Context(), p.Vendor); err != nil {
			return err
		}
	}
	x, err := g.chain.Stage(r.Context(), gateway.Reach{Vendor: p.Vendor, Person: p.Name, Target: t.Name, Zone: t.Zone, Protocol: t.Kind})
	if err != nil {
		return err
	}
	f.Stage = x.Stage
	if f.Account == "" && len(t.Accounts) > 0 {
		f.Account = t.Accounts[0].Name
	}
	if f.Terms.Abilities, err = gateway.ParseAbilities(in.Abilities); err != nil {
		return err
	}
	f.Terms.Length = time.Duration(in.Seconds) * time.Second
	return answer(w, struct {
		Text    string      `json:"text"`
		Verdict api.Verdict `json:"verdict"`
	}{strings.TrimRight(g.policy.Explain(f), "\n") + "\n", g.policy.Decide(f)})
}

func answer(w http.ResponseWriter, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(raw, '\n')) // the reader may have left
	return nil
}
