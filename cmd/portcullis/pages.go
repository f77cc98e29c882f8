package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/recording/search"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/sshproxy/transfer"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/policy"
	"github.com/portcullis/portcullis/web"
	"github.com/portcullis/portcullis/web/api"
)

// The rooms as the pages and the API ask for them.

// shownSessions joins the rows of all nodes with what is live on this one.
type shownSessions struct {
	*session.Manager
	store session.Store
}

func (s shownSessions) Session(ctx context.Context, id string) (gateway.Session, error) {
	x, err := s.store.Session(ctx, id)
	if errors.Is(err, gateway.ErrNotFound) {
		return x, gateway.NotFound("session", id)
	}
	return x, err
}

func (s shownSessions) Sessions(ctx context.Context, f session.Filter) ([]gateway.Session, error) {
	return s.store.Sessions(ctx, f)
}

// shownGate adds to a preview whom and what it would reach.
type shownGate struct {
	*killswitch.Service
	rooms *rooms
}

// Suspension finds a suspension by its identifier, or by that of the order that
// it carries out.
func (g shownGate) Suspension(ctx context.Context, id string) (gateway.Suspension, error) {
	if strings.HasPrefix(id, "ord_") {
		return g.rooms.outofband.Suspension(ctx, id)
	}
	return g.Service.Suspension(ctx, id)
}

// Suspensions lists the orders, newest first. A restoration lifts every order
// over its scope that came before it; the row of the newest alone says so.
func (g shownGate) Suspensions(ctx context.Context) ([]gateway.Suspension, error) {
	all, err := g.Service.Suspensions(ctx)
	lifted := map[gateway.Scope]time.Time{}
	for i, x := range all {
		if x.Lifted.IsZero() {
			all[i].Lifted = lifted[x.Scope]
		} else {
			lifted[x.Scope] = x.Lifted
		}
	}
	return all, err
}

func (g shownGate) Preview(ctx context.Context, scope gateway.Scope) (api.SuspendPreview, error) {
	p, err := g.Service.Preview(ctx, scope)
	if err != nil {
		return api.SuspendPreview{}, err
	}
	out := api.SuspendPreview{Scope: scope, State: p.State, Sessions: p.Sessions, Lease: g.rooms.cfg.Lease}
	zones, err := g.zones(ctx)
	if err != nil {
		return out, err
	}
	if out.Requests, err = g.requests(ctx, scope, zones); err != nil {
		return out, err
	}
	if out.Grants, err = g.grants(ctx, scope, zones); err != nil {
		return out, err
	}
	people, err := g.rooms.directory.People(ctx)
	for _, x := range people {
		if scope.Covers(gateway.Reach{Vendor: x.Vendor, Person: x.Name}) && x.State != gateway.Removed {
			out.People = append(out.People, x)
		}
	}
	return out, err
}

// zones are the targets by name: their zones and protocols are what wide
// scopes go by.
func (g shownGate) zones(ctx context.Context) (map[string]gateway.Target, error) {
	targets, err := g.rooms.directory.Targets(ctx)
	if err != nil {
		return nil, err
	}
	named := make(map[string]gateway.Target, len(targets))
	for _, t := range targets {
		named[t.Name] = t
	}
	return named, nil
}

// chosen is the filter of what the store can choose by itself.
func chosen(scope gateway.Scope, states ...string) access.Filter {
	f := access.Filter{States: states, Limit: access.MaxPage}
	switch scope.Kind {
	case gateway.ScopeVendor:
		f.Vendor = scope.Name
	case gateway.ScopePerson:
		f.Person = scope.Name
	case gateway.ScopeTarget:
		f.Target = scope.Name
	}
	return f
}

func (g shownGate) requests(ctx context.Context, scope gateway.Scope, targets map[string]gateway.Target) ([]gateway.Request, error) {
	list, err := g.rooms.access.Requests(ctx, chosen(scope, string(gateway.RequestWaiting)))
	return slices.DeleteFunc(list, func(r gateway.Request) bool { return !scope.Covers(reached(r.Vendor, r.Person, targets[r.Target])) }), err
}

func (g shownGate) grants(ctx context.Context, scope gateway.Scope, targets map[string]gateway.Target) ([]gateway.Grant, error) {
	list, err := g.rooms.access.Grants(ctx, chosen(scope, string(gateway.GrantPlanned), string(gateway.GrantOpen)))
	return slices.DeleteFunc(list, func(r gateway.Grant) bool { return !scope.Covers(reached(r.Vendor, r.Person, targets[r.Target])) }), err
}

func reached(vendor, person string, t gateway.Target) gateway.Reach {
	return gateway.Reach{Vendor: vendor, Person: person, Target: t.Name, Zone: t.Zone, Protocol: t.Kind}
}

// shownRecordings is the vault as the API shows it.
type shownRecordings struct {
	v     *recording.Vault
	index *search.Index
}

func (s shownRecordings) Index(ctx context.Context, id string) (recording.Index, error) {
	return s.v.Index(ctx, id)
}

func (s shownRecordings) Find(_ context.Context, id string) (api.RecordingInfo, error) {
	i, err := s.v.Find(id)
	if err != nil {
		return api.RecordingInfo{}, err
	}
	return api.RecordingInfo{
		Session: i.Session, Started: i.Begun, Length: i.Duration, BytesOut: i.BytesOut, BytesIn: i.BytesIn, Segments: i.Segments,
		Sealed: i.State == recording.Complete || i.State == recording.Interrupted, Interrupted: i.State == recording.Interrupted, TornBytes: i.Torn, Digest: i.Digest, Input: i.Input,
	}, nil
}

func (s shownRecordings) Asciicast(_ context.Context, w io.Writer, id string, version int) error {
	return s.v.Asciicast(w, id, version)
}

func (s shownRecordings) Input(_ context.Context, w io.Writer, id string) error {
	return s.v.Input(w, id)
}

func (s shownRecordings) HAR(ctx context.Context, w io.Writer, id string, typed bool) error {
	return s.v.HAR(ctx, w, id, typed)
}

func (s shownRecordings) Timeline(ctx context.Context, id string, q recording.TimelineQuery) (recording.Timeline, error) {
	return s.v.Timeline(ctx, id, q)
}

func (s shownRecordings) Visit(ctx context.Context, id string, n uint32, typed bool) (recording.VisitDetail, error) {
	return s.v.Visit(ctx, id, n, typed)
}

func (s shownRecordings) FlowLines(ctx context.Context, w io.Writer, id string) error {
	return s.v.FlowLines(ctx, w, id)
}

func (s shownRecordings) Capture(ctx context.Context, w io.Writer, id string) error {
	return s.v.Capture(ctx, w, id, "Portcullis "+version())
}

func (s shownRecordings) FlowTimeline(ctx context.Context, id string, q recording.FlowQuery) (recording.FlowTimeline, error) {
	return s.v.FlowTimeline(ctx, id, q)
}

func (s shownRecordings) Follow(ctx context.Context, id string, line func([]byte) error) error {
	return s.v.FollowCast(ctx, id, line)
}

func (s shownRecordings) Verify(_ context.Context, id string) error { return s.v.Verify(id) }

// File carves a file out of a channel that was recorded.
func (s shownRecordings) File(ctx context.Context, w io.Writer, id string, channel uint32, sum gateway.Digest) error {
	x, err := s.v.Index(ctx, id)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(x.Channels, func(c recording.IndexChannel) bool { return c.Channel == channel })
	if at < 0 {
		return gateway.NotFound("channel", strconv.FormatUint(uint64(channel), 10))
	}
	ch := gateway.Channel{Kind: x.Channels[at].Kind}
	if command := x.Channels[at].Command; command != "" {
		ch = transfer.Recognise(command)
	}
	replay := func(tell func(transfer.Piece) error) error {
		return s.v.Exchange(ctx, id, channel, func(client bool, p []byte) error { return tell(transfer.Piece{Client: client, Bytes: p}) })
	}
	return transfer.Carve(ch, replay, sum, w)
}

// shownAudit is the log as the API shows it.
type shownAudit struct {
	*audit.Log
	checkpoint string
}

func (s shownAudit) Search(ctx context.Context, q api.Query) ([]api.Line, error) {
	entries, err := s.Log.Search(ctx, audit.Query{
		Text: q.Text, Name: audit.Name(q.Name), Vendor: q.Vendor, Person: q.Person, Session: q.Session, From: q.From, To: q.To, Before: q.Before, Limit: q.Limit,
	})
	if err != nil {
		return nil, err
	}
	out := make([]api.Line, len(entries))
	for i, e := range entries {
		out[i] = shownLine(e)
	}
	return out, nil
}

// shownLine decodes a row; one that does not decode is shown as it is, since
// hiding it would hide the damage.
func shownLine(e audit.Entry) api.Line {
	ev, err := e.Event()
	if err != nil {
		ev = audit.Event{Name: "unreadable", Reason: err.Error()}
	}
	return api.Line{Seq: e.Seq, Event: ev, Body: e.Body}
}

func (s shownAudit) Follow(ctx context.Context) <-chan api.Line {
	in, out := s.Log.Follow(ctx), make(chan api.Line)
	go func() { // ends with in, which the log closes when ctx does
		defer close(out)
		for e := range in {
			select {
			case out <- shownLine(e):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (s shownAudit) Verify(ctx context.Context) (api.Verified, error) {
	floor, err := audit.ReadCheckpoint(s.checkpoint)
	if err != nil {
		return api.Verified{}, err
	}
	res, faults, err := s.Log.Verify(ctx, floor)
	return verified(res, faults), err
}

func verified(res audit.Result, faults []audit.Fault) api.Verified {
	v := api.Verified{Size: res.Size, Root: res.Root.String(), Faults: []string{}}
	for _, f := range faults {
		v.Faults = append(v.Faults, f.String())
	}
	if more := res.Faults - len(faults); more > 0 {
		v.Faults = append(v.Faults, fmt.Sprintf("and %d more", more))
	}
	return v
}

// shownTouches is identity as the API asks for touches.
type shownTouches struct{ *identity.Service }

func (s shownTouches) Draft(ctx context.Context, l gateway.Login, p gateway.Person, b statement.Body) (api.Challenge, error) {
	c, err := s.Service.Draft(ctx, l, p, b)
	return shownChallenge(c), err
}

func shownChallenge(c identity.Challenge) api.Challenge {
	return api.Challenge{ID: c.ID, Sentence: c.Sentence, Statement: c.Statement, Options: c.Options, Expires: c.Expires}
}

// sshTouches joins identity and access for touches without a browser.
type sshTouches struct{ *gatewayd }

// Begin draws up the ticket of the grant that the key's owner would use.
func (s sshTouches) Begin(ctx context.Context, in api.TouchParams, source string) (api.SSHChallenge, error) {
	p, key, err := s.identity.SSHSigner(ctx, in.Fingerprint, source)
	if err != nil {
		return api.SSHChallenge{}, err
	}
	grant, _, err := s.access.Usable(ctx, p, in.Target, in.Account)
	if err != nil {
		return api.SSHChallenge{}, err
	}
	body, err := s.access.DraftOpen(ctx, p, grant.ID, statement.BindLogin, key.Fingerprint, source, "")
	if err != nil {
		return api.SSHChallenge{}, err
	}
	c, err := s.identity.DraftSSH(ctx, p, key, source, body)
	return api.SSHChallenge{ID: c.ID, Sentence: c.Sentence, Statement: string(c.Statement), Namespace: c.Namespace, Expires: c.Expires}, err
}

// Finish makes a ticket of the touch, and says how to use it.
func (s sshTouches) Finish(ctx context.Context, id string, signature []byte, source string) (api.SSHTicket, error) {
	signed, err := s.identity.SignSSH(ctx, id, signature, source)
	if err != nil {
		return api.SSHTicket{}, err
	}
	t, err := s.access.CommitTicket(ctx, signed)
	if err != nil {
		return api.SSHTicket{}, err
	}
	g, err := s.access.Grant(ctx, t.Grant)
	return api.SSHTicket{Statement: t.Touch, Grant: t.Grant, Person: t.Person, Command: sshCommand(g.Account, g.Target, s.sshAddress()), Expires: t.Expires}, err
}

// sshCommand is what the engineer types.
func sshCommand(account, target, address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Sprintf("ssh %s+%s@%s", account, target, address)
	}
	return fmt.Sprintf("ssh -p %s %s+%s@%s", port, account, target, host)
}

// shownIdentity is identity as the pages ask for it.
type shownIdentity struct{ *identity.Service }

func (s shownIdentity) BeginLogin(ctx context.Context) (web.Ceremony, error) {
	c, err := s.Service.BeginLogin(ctx)
	return web.Ceremony(c), err
}

func (s shownIdentity) FinishLogin(ctx context.Context, id string, credential []byte, c web.Client) (string, gateway.Person, error) {
	return s.Service.FinishLogin(ctx, id, credential, identity.Client(c))
}

func (s shownIdentity) ByToken(ctx context.Context, token string, c web.Client) (gateway.Login, gateway.Person, error) {
	return s.Service.ByToken(ctx, token, identity.Client(c))
}

func (s shownIdentity) Peek(ctx context.Context, token string, c web.Client) (gateway.Login, gateway.Person, error) {
	return s.Service.Peek(ctx, token, identity.Client(c))
}

func (s shownIdentity) Providers() []web.ProviderInfo {
	var out []web.ProviderInfo
	for _, p := range s.Service.Providers() {
		title := p.Name + " (staff)"
		if p.Vendor != "" {
			title = p.Name + " (" + p.Vendor + ")"
		}
		out = append(out, web.ProviderInfo{Name: p.Name, Title: title})
	}
	return out
}

func (s shownIdentity) FinishOIDC(ctx context.Context, provider, state string, query url.Values, c web.Client) (string, gateway.Person, error) {
	return s.Service.FinishOIDC(ctx, provider, state, query, identity.Client(c))
}

func (s shownIdentity) BeginEnrol(ctx context.Context, who web.Enroller, label string) (web.Ceremony, error) {
	by := identity.Enroller{Token: who.Token, Person: who.Person}
	if who.Login != nil {
		by.Login = *who.Login
	}
	c, err := s.Service.BeginEnrol(ctx, by, label)
	return web.Ceremony(c), err
}

// EnrolCreated answers what the new key signs, and where a login let it in
// what an old one signs too.
func (s shownIdentity) EnrolCreated(ctx context.Context, id string, credential []byte) ([]api.Challenge, error) {
	c, err := s.Service.EnrolCreated(ctx, id, credential)
	if err != nil {
		return nil, err
	}
	all := []api.Challenge{shownChallenge(c)}
	if len(c.Also) > 0 {
		also := shownChallenge(c)
		also.Options = c.Also
		all = append(all, also)
	}
	return all, nil
}

func (s shownIdentity) FinishEnrol(ctx context.Context, id string, assertions [][]byte, c web.Client) (string, gateway.Person, error) {
	return s.Service.FinishEnrol(ctx, id, identity.Client(c), assertions...)
}

func (s shownIdentity) PendingOf(_ context.Context, id, person string) (web.Waiting, string, error) {
	w, code, err := s.Service.PendingOf(id, person)
	return web.Waiting(w), code, err
}

func (s shownIdentity) RefusePending(_ context.Context, id, person string) error {
	return s.Service.Refuse(id, person)
}

// shownPolicy asks the policy beside the floor of roles.
type shownPolicy struct{ set *policy.Set }

var capabilities = map[api.Capability]policy.Action{
	api.EndSession: policy.EndSession, api.Suspending: policy.Suspend, api.Restoring: policy.Restore, api.Review: policy.Review, api.ReadInput: policy.ReadInput, api.Administer: policy.Administer,
}

func (s shownPolicy) May(_ context.Context, p gateway.Person, c api.Capability, _ string) error {
	action, asked := capabilities[c]
	if !asked {
		return nil
	}
	if no := s.set.May(action, p, time.Now()); no != nil {
		return no
	}
	return nil
}
