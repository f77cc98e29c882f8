package webtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/policy"
	"github.com/portcullis/portcullis/web/api"
)

// Rooms returns the world behind the interfaces of the API.
func (w *World) Rooms() api.Config {
	return api.Config{
		Directory: directory{w}, Access: access{w}, Sessions: sessions{w}, KillSwitch: gate{w}, Proofs: proofs{w}, Recordings: recordings{w}, Audit: log{w}, Touches: touches{w}, OutOfBand: outOfBand{w}, Secrets: w.secretRoom(),
		Acts: w.acts(), Now: func() time.Time { return w.Now }, Version: "0.1.0", Node: w.Node,
	}
}

type directory struct{ *World }

func (d directory) Vendors(context.Context) ([]gateway.Vendor, error) {
	return d.World.Vendors, d.did("vendors")
}

func (d directory) People(context.Context) ([]gateway.Person, error) {
	return d.World.People, d.did("people")
}

func (d directory) Targets(context.Context) ([]gateway.Target, error) {
	return slices.Clone(d.World.Targets), d.did("targets")
}

func (d directory) Vendor(_ context.Context, name string) (gateway.Vendor, error) {
	return find(d.World.Vendors, func(v gateway.Vendor) bool { return v.Name == name }, "vendor", name)
}

func (d directory) Person(_ context.Context, name string) (gateway.Person, error) {
	return find(d.World.People, func(p gateway.Person) bool { return p.Name == name }, "person", name)
}

func (d directory) Target(_ context.Context, name string) (gateway.Target, error) {
	return find(d.World.Targets, func(t gateway.Target) bool { return t.Name == name }, "target", name)
}

type access struct{ *World }

func (a access) Preview(ctx context.Context, _ gateway.Person, in api.AskInput) (api.Preview, error) {
	t, err := directory(a).Target(ctx, in.Target)
	if err != nil {
		return api.Preview{}, err
	}
	if in.Length > 8*time.Hour {
		return api.Preview{Verdict: api.Verdict{Effect: policy.Refuse, Longest: 8 * time.Hour, Reasons: []policy.Reason{{Rule: "longest-window", Text: "the window is longer than 8 hours", Next: "ask for less, and ask again when it is over"}}}}, nil
	}
	v := api.Verdict{Effect: policy.NeedsApproval, Approvals: 1, Roles: []gateway.Role{gateway.Approver}, Longest: 8 * time.Hour, Recording: "full", Reasons: []policy.Reason{{Rule: "ask-listed", Text: "engineers of the vendors listed on a target may ask for it"}}}
	if t.Impact == gateway.High {
		v.Approvals, v.Longest = 2, 4*time.Hour
		v.Reasons = append(v.Reasons, policy.Reason{Rule: "high-needs-two", Text: "a target of high impact needs two people"})
	}
	return api.Preview{Verdict: v}, nil
}

func (a access) Ask(_ context.Context, p gateway.Person, in api.AskInput) (gateway.Request, error) {
	if err := a.did("ask %s %s %s", p.Name, in.Target, in.Length); err != nil {
		return gateway.Request{}, err
	}
	if err := gateway.CheckNeeded("reason", in.Reason, gateway.MaxReason, true); err != nil {
		return gateway.Request{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Asked = append(a.Asked, in)
	return a.World.Requests[0], nil
}

func (a access) Withdraw(_ context.Context, p gateway.Person, id string) (gateway.Request, error) {
	return gateway.Request{ID: id}, a.did("withdraw %s %s", p.Name, id)
}

func (a access) Refuse(_ context.Context, by gateway.Person, id, word string) (gateway.Request, error) {
	return gateway.Request{ID: id}, a.did("refuse %s %s %s", by.Name, id, word)
}

func (a access) Revoke(ctx context.Context, by gateway.Person, grant, word string) (gateway.Grant, error) {
	if err := a.did("revoke %s %s %s", by.Name, grant, word); err != nil {
		return gateway.Grant{}, err
	}
	return a.Grant(ctx, grant)
}

func (a access) Request(_ context.Context, id string) (api.Card, error) {
	r, err := find(a.World.Requests, func(r gateway.Request) bool { return r.ID == id }, "request", id)
	if err != nil {
		return api.Card{}, err
	}
	c := api.Card{Request: r}
	for _, x := range a.World.Approvals {
		if x.Request == id {
			c.Approvals = append(c.Approvals, x)
		}
	}
	for _, g := range a.World.Grants {
		if g.Request == id {
			c.Grant = &g
		}
		if g.Person == r.Person && g.Account == r.Account && g.Target == r.Target && g.To.Equal(r.Terms.From) {
			c.Extends = &g
		}
	}
	return c, a.did("request")
}

func (a access) Requests(_ context.Context, f api.Filter) ([]gateway.Request, error) {
	return narrowed(a.World.Requests, f, func(r gateway.Request) [4]string { return [4]string{r.Vendor, r.Person, r.Target, string(r.State)} }), a.did("requests")
}

func (a access) Grant(_ context.Context, id string) (gateway.Grant, error) {
	return find(a.World.Grants, func(g gateway.Grant) bool { return g.ID == id }, "grant", id)
}

func (a access) Grants(_ context.Context, f api.Filter) ([]gateway.Grant, error) {
	return narrowed(a.World.Grants, f, func(g gateway.Grant) [4]string { return [4]string{g.Vendor, g.Person, g.Target, string(g.State)} }), a.did("grants")
}

func narrowed[T any](all []T, f api.Filter, of func(T) [4]string) []T {
	var some []T
	for _, x := range all {
		k := of(x)
		fits := (f.Vendor == "" || f.Vendor == k[0]) && (f.Person == "" || f.Person == k[1]) && (f.Target == "" || f.Target == k[2])
		if fits && (len(f.States) == 0 || slices.Contains(f.States, k[3])) {
			some = append(some, x)
		}
	}
	return some
}

type sessions struct{ *World }

func (s sessions) Session(_ context.Context, id string) (gateway.Session, error) {
	return find(s.World.Sessions, func(x gateway.Session) bool { return x.ID == id }, "session", id)
}

func (s sessions) Sessions(_ context.Context, f api.SessionFilter) ([]gateway.Session, error) {
	var some []gateway.Session
	for _, x := range s.World.Sessions {
		fits := (f.Vendor == "" || f.Vendor == x.Vendor) && (f.Person == "" || f.Person == x.Person) && (f.Target == "" || f.Target == x.Target) && (f.Grant == "" || f.Grant == x.Grant)
		if fits && (!f.Live || x.State != gateway.SessionEnded) {
			some = append(some, x)
		}
	}
	return some, s.did("sessions")
}

func (s sessions) Live() []gateway.Session {
	live := slices.Clone(s.World.Sessions)
	return slices.DeleteFunc(live, func(x gateway.Session) bool { return x.State == gateway.SessionEnded || x.Node != s.Node })
}

func (s sessions) End(_ context.Context, id, by, detail string) error {
	return s.did("end %s %s %s", id, by, detail)
}

func (s sessions) Freeze(_ context.Context, id, by, word string) error {
	return s.did("freeze %s %s %s", id, by, word)
}

func (s sessions) Thaw(_ context.Context, id, by string) error { return s.did("thaw %s %s", id, by) }

func (s sessions) Watch(_ context.Context, id, by string) (func(), error) {
	return func() { _ = s.did("leave %s %s", id, by) }, s.did("watch %s %s", id, by)
}

func (s sessions) Watchers(string) []string { return s.World.Watchers }

type gate struct{ *World }

func (g gate) Preview(ctx context.Context, scope gateway.Scope) (api.SuspendPreview, error) {
	p := api.SuspendPreview{Scope: scope, State: gateway.Active, Lease: 10 * time.Second}
	for _, x := range api.InForce(g.World.Suspensions) {
		if x.Scope == scope {
			p.State = gateway.Suspended
		}
	}
	live, err := sessions(g).Sessions(ctx, api.SessionFilter{Live: true})
	if err != nil {
		return p, err
	}
	p.Sessions = slices.DeleteFunc(slices.Clone(live), func(x gateway.Session) bool { return !scope.Covers(g.reach(x.Vendor, x.Person, x.Target)) })
	grants, err := access(g).Grants(ctx, api.Filter{States: []string{"open", "planned"}})
	if err != nil {
		return p, err
	}
	p.Grants = slices.DeleteFunc(slices.Clone(grants), func(x gateway.Grant) bool { return !scope.Covers(g.reach(x.Vendor, x.Person, x.Target)) })
	requests, err := access(g).Requests(ctx, api.Filter{States: []string{"waiting"}})
	if err != nil {
		return p, err
	}
	p.Requests = slices.DeleteFunc(slices.Clone(requests), func(x gateway.Request) bool { return !scope.Covers(g.reach(x.Vendor, x.Person, x.Target)) })
	for _, x := range g.World.People {
		if scope.Covers(gateway.Reach{Vendor: x.Vendor, Person: x.Name}) {
			p.People = append(p.People, x)
		}
	}
	return p, nil
}

func (g gate) reach(vendor, person, target string) gateway.Reach {
	r := gateway.Reach{Vendor: vendor, Person: person, Target: target}
	for _, t := range g.World.Targets {
		if t.Name == target {
			r.Zone, r.Protocol = t.Zone, t.Kind
		}
	}
	return r
}

func (g gate) Suspensions(context.Context) ([]gateway.Suspension, error) {
	return g.World.Suspensions, g.did("suspensions")
}

func (g gate) Stays() gateway.Stays {
	return gateway.Stays{WatchOnly: gateway.DefaultWatchOnly, Supervised: gateway.DefaultSupervised}
}

func (g gate) Ladder(_ context.Context, scope gateway.Scope) (gateway.Ladder, error) {
	if x, ok := g.World.Ladders[scope]; ok {
		return x, g.did("ladder")
	}
	return gateway.Ladder{Scope: scope, Stage: gateway.StageNormal}, g.did("ladder")
}

func (g gate) Suspension(_ context.Context, id string) (gateway.Suspension, error) {
	return find(g.World.Suspensions, func(s gateway.Suspension) bool { return s.ID == id }, "suspension", id)
}

type recordings struct{ *World }

func (r recordings) Find(ctx context.Context, id string) (api.RecordingInfo, error) {
	x, err := sessions(r).Session(ctx, id)
	if err == nil && x.Node != r.Node {
		err = gateway.NotFound("recording", id) // it is on that node's disk
	}
	if err != nil {
		return api.RecordingInfo{}, err
	}
	return api.RecordingInfo{Session: id, Started: x.Started, BytesOut: x.BytesOut, BytesIn: x.BytesIn, Segments: 1, Sealed: !x.Ended.IsZero(), Interrupted: x.Vendor == "cobalt", TornBytes: 17, Digest: x.Seal, Input: 2_411_904}, nil
}

// cast is what the sample recordings show.
var cast = []struct {
	wait       float64
	code, data string
}{
	{0.2, "m", "shell"}, {0.3, "o", "\x1b[32mmaint@headend-1\x1b[0m:~$ "}, {1.1, "o", "uname -a\r\n"}, {0.1, "m", "exec: uname -a"},
	{0.1, "o", "Linux headend-1 6.1.0-28-amd64 #1 SMP x86_64 GNU/Linux\r\n\x1b[32mmaint@headend-1\x1b[0m:~$ "},
	{2.0, "m", "frozen by omar: who is this?"}, {0.1, "m", "watched by rita"}, {0.6, "m", "thawed by omar"}, {0.2, "o", "systemctl status dispatcher\r\n"},
	{0.4, "o", "\x1b[32m●\x1b[0m dispatcher.service - Meter command dispatcher\r\n     Active: \x1b[1;32mactive (running)\x1b[0m since Sun 2026-11-22 07:41:02 UTC\r\n   Main PID: 1187 (dispatcher)\r\n      Tasks: 14\r\n     Memory: 84.2M\r\n\x1b[32mmaint@headend-1\x1b[0m:~$ "},
	{3.0, "o", "exit\r\n"},
}

func (r recordings) Asciicast(_ context.Context, w io.Writer, _ string, version int) error {
	head := `{"version":3,"term":{"cols":96,"rows":24}}`
	if version == 2 {
		head = `{"version":2,"width":96,"height":24}`
	}
	if _, err := fmt.Fprintln(w, head); err != nil {
		return err
	}
	at := 0.0
	for _, e := range cast {
		at += e.wait
		t := e.wait
		if version == 2 {
			t = at
		}
		line, err := json.Marshal([]any{t, e.code, e.data})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
			return err
		}
	}
	return r.did("asciicast %d", version)
}

func (r recordings) Input(_ context.Context, w io.Writer, id string) error {
	_, err := fmt.Fprintf(w, "{\"version\":3,\"term\":{\"cols\":96,\"rows\":24}}\n[0.5,\"i\",\"uname -a\\r\"]\n")
	if err != nil {
		return err
	}
	return r.did("input %s", id)
}

func (r recordings) HAR(_ context.Context, w io.Writer, id string, typed bool) error {
	if _, err := fmt.Fprintln(w, `{"log":{"version":"1.2","entries":[],"pages":[]}}`); err != nil {
		return err
	}
	return r.did("har %s typed %v", id, typed)
}

func (r recordings) FlowLines(_ context.Context, w io.Writer, id string) error {
	for _, f := range flows {
		if err := json.NewEncoder(w).Encode(f); err != nil {
			return err
		}
	}
	return r.did("flows %s", id)
}

func (r recordings) Capture(_ context.Context, w io.Writer, id string) error {
	if _, err := io.WriteString(w, "\n\r\r\n"); err != nil {
		return err
	}
	return r.did("capture %s", id)
}

func (r recordings) Follow(ctx context.Context, id string, line func([]byte) error) error {
	var b strings.Builder
	if err := r.Asciicast(ctx, &b, id, 2); err != nil {
		return err
	}
	for l := range strings.Lines(b.String()) {
		if err := line([]byte(strings.TrimSpace(l))); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (r recordings) Search(_ context.Context, q api.RecordingQuery) (api.Hits, error) {
	r.mu.Lock()
	r.Searched = append(r.Searched, q)
	r.mu.Unlock()
	if len(r.World.Sessions) == 0 || !strings.Contains("systemctl status dispatcher", strings.ToLower(q.Text)) {
		return api.Hits{}, nil
	}
	x := r.World.Sessions[0].ID
	return api.Hits{Items: []api.Hit{
		{Session: x, At: 3900 * time.Millisecond, Kind: "command", Line: "maint@headend-1:~$ systemctl status dispatcher"},
		{Session: x, At: 4300 * time.Millisecond, Kind: "output", Line: "● dispatcher.service - Meter command dispatcher"},
	}}, nil
}

// Index tells of the cast, and of what leaves no trace on a screen.
func (r recordings) Index(_ context.Context, id string) (api.Index, error) {
	ok, failed := uint32(0), uint32(1)
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	return api.Index{
		Channels: []recording.IndexChannel{
			{At: at(200), Kind: gateway.ChannelShell, Pty: true, BytesOut: 842, BytesIn: 60, Ended: at(11_200), Status: &ok},
			{At: at(1700), Channel: 1, Kind: gateway.ChannelExec, Command: "uname -a", BytesOut: 58, Ended: at(1750), Status: &failed},
			{At: at(4500), Channel: 2, Kind: gateway.ChannelSFTP, BytesOut: 91_204, BytesIn: 812_118},
			{At: at(4800), Channel: 3, Kind: gateway.ChannelForward, To: "historian.norte.example:5432", BytesOut: 9_120_002, BytesIn: 44_120},
		},
		Files: []recording.IndexFile{
			{At: at(4600), Channel: 2, File: gateway.File{Op: gateway.FileRead, Path: "/var/log/dispatcher.log", Bytes: 91_204, SHA256: digest("log"), Whole: true, Verdict: gateway.FileDone}},
			{At: at(4700), Channel: 2, File: gateway.File{Op: gateway.FileWrite, Path: "/opt/dispatcher/firmware-3.2.1.bin", Bytes: 812_004, SHA256: digest("firmware"), Whole: true, Verdict: gateway.FileDone}},
			{At: at(4750), Channel: 2, File: gateway.File{Op: gateway.FileRename, Path: "/etc/shadow", To: "/tmp/x", Verdict: gateway.FileRefused, Why: "this grant lets no upload"}},
		},
		Flows: []recording.IndexFlow{{At: at(4800), Channel: 3, Flow: gateway.Flow{To: "historian.norte.example:5432", From: "127.0.0.1:51000", BytesIn: 44_120, BytesOut: 9_120_002, KeptIn: 44_120, KeptOut: 262_144, SHA256In: digest("in"), SHA256Out: digest("out")}}},
		Notes: []recording.IndexNote{{At: at(3800), Text: "frozen by omar: who is this?"}, {At: at(3900), Text: "watched by rita"}, {At: at(5000), Text: "the window ends in 5 minutes"}},
	}, r.did("index %s", id)
}

// File writes words in the place of what was transferred.
func (r recordings) File(_ context.Context, w io.Writer, _ string, channel uint32, sum gateway.Digest) error {
	_, _ = io.WriteString(w, "bytes of "+sum.Short())
	return r.did("file %d %s", channel, sum.Short())
}

func (r recordings) Verify(_ context.Context, id string) error { return r.did("verify %s", id) }

type log struct{ *World }

func (l log) Search(_ context.Context, q api.Query) ([]api.Line, error) {
	var some []api.Line
	for _, x := range l.Lines {
		if (q.Name == "" || q.Name == string(x.Event.Name)) && (q.Text == "" || strings.Contains(x.Event.Reason, q.Text)) {
			some = append(some, x)
		}
	}
	return some, l.did("search")
}

func (l log) Follow(ctx context.Context) <-chan api.Line {
	ch := make(chan api.Line)
	go func() { // ends with ctx
		defer close(ch)
		for _, x := range slices.Backward(l.Lines) {
			select {
			case ch <- x:
			case <-ctx.Done():
				return
			}
		}
		<-ctx.Done()
	}()
	return ch
}

func (l log) Verify(context.Context) (api.Verified, error) {
	return api.Verified{Size: int64(len(l.Lines)), Faults: []string{}}, l.did("verify log")
}

func (l log) Append(_ context.Context, events ...audit.Event) error {
	for _, e := range events {
		if err := l.did("event %s %s %s", e.Name, e.Actor, e.Session); err != nil {
			return err
		}
	}
	return nil
}

// acts draw up plain bodies and note what was committed.
func (w *World) acts() map[statement.Kind]api.Act {
	done := func(kind statement.Kind, result func() any) func(context.Context, statement.Signed) (any, error) {
		return func(_ context.Context, s statement.Signed) (any, error) {
			return result(), w.did("commit %s %s", kind, s.Digest.Short())
		}
	}
	none := func() any { return nil }
	drafts := map[statement.Kind]func(json.RawMessage) (statement.Body, error){
		statement.KindSuspend: into(func(p api.SuspendParams) statement.Body {
			return &statement.Suspend{ID: gateway.NewID("sus", w.Now), Scope: p.Scope, Epoch: 2, Reason: p.Reason}
		}),
		statement.KindApprove: into(w.approve),
		statement.KindInvite: into(func(p api.InviteParams) statement.Body {
			return &statement.Invite{ID: gateway.NewID("inv", w.Now), Person: p.Person, PublicKey: make([]byte, 32), Expires: w.Now.Add(24 * time.Hour)}
		}),
		statement.KindVendor: into(func(b statement.VendorAdmit) statement.Body { b.Version = 1; return &b }),
		statement.KindPerson: into(func(b statement.PersonAdmit) statement.Body { b.Version = 1; return &b }),
		statement.KindTarget: into(func(b statement.TargetDefine) statement.Body { b.Version = 1; return &b }),
		statement.KindKeyRemove: into(func(p api.KeyRemoveParams) statement.Body {
			return &statement.KeyRemove{Credential: p.Credential, Person: "ana", Label: "blue key"}
		}),
	}
	all := map[statement.Kind]api.Act{}
	for kind, draw := range drafts {
		result := none
		switch kind {
		case statement.KindSuspend:
			result = func() any { return w.Suspensions[0] }
		case statement.KindInvite:
			result = func() any { return api.Invited{Link: URL + "/enrol#c2VjcmV0LXRva2VuLW9mLWFuLWludml0YXRpb24"} }
		}
		all[kind] = api.Act{Commit: done(kind, result), Draft: func(_ context.Context, _ gateway.Person, _ *gateway.Login, raw json.RawMessage) (statement.Body, error) {
			return draw(raw)
		}}
	}
	return all
}

func (w *World) approve(p api.ApproveParams) statement.Body {
	r := w.Requests[0]
	b := &statement.Approve{Request: gateway.NewID("req", w.Now), Digest: r.Digest, Person: r.Person, Vendor: r.Vendor, Target: r.Target, Account: r.Account, Seconds: int64(r.Terms.Length / time.Second), Lapse: r.Lapse, Abilities: r.Terms.Abilities, Reason: r.Reason}
	if p.Terms != nil {
		b.Seconds, b.Narrowed = p.Terms.Seconds, true
	}
	return b
}

func into[In any](draw func(In) statement.Body) func(json.RawMessage) (statement.Body, error) {
	return func(raw json.RawMessage) (statement.Body, error) {
		var in In
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, gateway.Invalid("params", "these params are not those of the act")
		}
		return draw(in), nil
	}
}
