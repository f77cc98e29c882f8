package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/statement"
)

// maxTries bounds how often one path is tried after one order, newest first.
const maxTries = 16

// probeSource is where a probe says that it comes from: documentation
// addresses (RFC 5737), from which nobody connects.
const probeSource = "192.0.2.1:1"

// judges are the rooms' answers to whoever would come back. None of them opens
// anything or takes a signature: at most they draw up what would still have to
// be signed. Nil means that it would be let in.
type judges struct {
	owner       func(ctx context.Context, key ssh.PublicKey) (gateway.Person, error)
	certificate func(c gateway.SSHCertificate) (ssh.PublicKey, error) // as its holder shows it
	signer      func(ctx context.Context, fingerprint string) error   // an SSH security key's touch
	usable      func(ctx context.Context, p gateway.Person, target, account string) error
	open        func(ctx context.Context, p gateway.Person, grant string, by statement.BindingKind) error
	grantRow    func(ctx context.Context, grant string, at time.Time) error
	approve     func(ctx context.Context, request string) error
	requestRow  func(ctx context.Context, request string) error
	login       func(ctx context.Context, person string) error
	invite      func(ctx context.Context, by gateway.Person, person string) error
	floor       func(scope gateway.Scope) uint64
	cookie      func(session string) error // of a console; nil: this gateway has none
}

// holdings are what is on file under a scope, newest first.
type holdings struct {
	people   []gateway.Person
	keys     []gateway.SSHKey
	certs    []gateway.SSHCertificate
	grants   []gateway.Grant
	requests []gateway.Request
	waiting  []identity.Waiting
	consoles []string         // sessions of consoles, live or ended lately, on this node
	others   []gateway.Person // of other vendors, with a mail address of these people
}

// prober tries the ways back in that lead through identity and access.
type prober struct {
	judges
	hold func(ctx context.Context, scope gateway.Scope) (holdings, error)
	now  func() time.Time
}

func (r *rooms) prober() prober {
	p := prober{hold: r.holdings, now: time.Now, judges: judges{
		owner: func(ctx context.Context, key ssh.PublicKey) (gateway.Person, error) {
			p, _, err := r.identity.Owner(ctx, key)
			return p, err
		},
		certificate: func(c gateway.SSHCertificate) (ssh.PublicKey, error) { return r.keys.Login(c) },
		signer: func(ctx context.Context, fingerprint string) error {
			_, _, err := r.identity.SSHSigner(ctx, fingerprint, probeSource)
			return err
		},
		usable: func(ctx context.Context, p gateway.Person, target, account string) error {
			_, _, err := r.access.Usable(ctx, p, target, account)
			return err
		},
		open: func(ctx context.Context, p gateway.Person, grant string, by statement.BindingKind) error {
			_, err := r.access.DraftOpen(ctx, p, grant, by, strings.Repeat("0", 64), probeSource, "")
			return err
		},
		grantRow: r.access.JudgeGrant, approve: r.access.JudgeApproval, requestRow: r.access.JudgeRequest, login: r.identity.JudgeLogin,
		invite: func(ctx context.Context, by gateway.Person, person string) error {
			_, _, err := r.identity.DraftInvite(ctx, by, person)
			return err
		},
		floor: func(s gateway.Scope) uint64 { return r.floor.At(string(s.Kind) + "-epoch:" + s.Name) },
	}}
	if r.cfg.AppsDomain != "" {
		p.cookie = func(session string) error {
			if no := r.consoles.Judge(session); no != nil {
				return no
			}
			return nil
		}
	}
	return p
}

// probe is a killswitch.Probe.
func (p prober) probe(ctx context.Context, sus gateway.Suspension) []gateway.Probed {
	h, err := p.hold(ctx, sus.Scope)
	if err != nil {
		return []gateway.Probed{{Path: gateway.PathSSHKey, Result: gateway.ProbeSilent, At: gateway.Instant(p.now()), Sentence: "what the scope holds could not be listed, so nothing was tried"}}
	}
	list := p.connecting(ctx, h)
	list = append(list, p.opening(ctx, h)...)
	list = append(list, p.asking(ctx, h)...)
	list = append(list, p.signingIn(ctx, sus.Scope, h)...)
	list = append(list, p.browsing(h))
	list = append(list, p.backup(sus), others(p.now(), h))
	return append(list, p.notTried()...)
}

// connecting are the ways in by SSH, up to what a touch would be asked for.
func (p prober) connecting(ctx context.Context, h holdings) []gateway.Probed {
	connect := func(key ssh.PublicKey) error {
		who, err := p.owner(ctx, key)
		if err != nil {
			return err
		}
		return p.anyGrant(ctx, who, h.grants)
	}
	sk := slices.DeleteFunc(slices.Clone(h.keys), func(k gateway.SSHKey) bool { return !strings.HasPrefix(k.Key, "sk-") })
	return []gateway.Probed{
		try(p, gateway.PathSSHKey, h.keys, "no SSH key is on file", func(k gateway.SSHKey) (string, error) {
			key, err := statement.ParseSSHKey(k.Key)
			if err != nil {
				return k.Fingerprint, gateway.Refused("ssh-key", "", "the key on file does not read")
			}
			return k.Fingerprint + " of " + k.Person, connect(key)
		}),
		try(p, gateway.PathSSHCertificate, h.certs, "no certificate is on file", func(c gateway.SSHCertificate) (string, error) {
			cert, err := p.certificate(c)
			if err != nil {
				return c.Fingerprint, err
			}
			return c.Fingerprint + " of " + c.Person, connect(cert)
		}),
		try(p, gateway.PathSSHTouch, sk, "no SSH security key is on file", func(k gateway.SSHKey) (string, error) {
			err := p.signer(ctx, k.Fingerprint)
			if err == nil {
				err = p.anyGrant(ctx, gateway.Person{Name: k.Person}, h.grants)
			}
			return k.Fingerprint + " of " + k.Person, err
		}),
		try(p, gateway.PathWaiting, h.waiting, "no connection waits for a touch on this node", func(w identity.Waiting) (string, error) {
			return w.Person.Name + " on " + w.Grant.Target, p.open(ctx, w.Person, w.Grant.ID, statement.BindSSH)
		}),
	}
}

// anyGrant asks for each of the person's grants of before whether a connection
// would be let on to it: a key that is taken reaches nothing without one.
func (p prober) anyGrant(ctx context.Context, who gateway.Person, grants []gateway.Grant) error {
	err := error(gateway.Refused("no-grant", "", "the key is taken, and no grant of before is under this scope"))
	n := 0
	for _, g := range grants {
		if g.Person != who.Name {
			continue
		}
		if n++; n > maxTries {
			break
		}
		if err = p.usable(ctx, who, g.Target, g.Account); err == nil {
			return nil
		}
	}
	return err
}

// opening are the ways to a session under a grant of before.
func (p prober) opening(ctx context.Context, h holdings) []gateway.Probed {
	const none = "no grant of before is on file"
	under := func(by statement.BindingKind) func(gateway.Grant) (string, error) {
		return func(g gateway.Grant) (string, error) {
			return g.ID + " of " + g.Person, p.open(ctx, gateway.Person{Name: g.Person, Vendor: g.Vendor}, g.ID, by)
		}
	}
	return []gateway.Probed{
		try(p, gateway.PathGrant, h.grants, none, under(statement.BindSSH)),
		try(p, gateway.PathTicket, h.grants, none, under(statement.BindLogin)),
		try(p, gateway.PathBrowserShell, h.grants, none, func(g gateway.Grant) (string, error) {
			return g.ID + " of " + g.Person, p.usable(ctx, gateway.Person{Name: g.Person, Vendor: g.Vendor}, g.Target, g.Account)
		}),
		try(p, gateway.PathGrantRow, h.grants, none, func(g gateway.Grant) (string, error) {
			return g.ID + " of " + g.Person, p.grantRow(ctx, g.ID, p.now())
		}),
		try(p, gateway.PathClock, h.grants, none, func(g gateway.Grant) (string, error) {
			return g.ID + " of " + g.Person + " at its beginning", p.grantRow(ctx, g.ID, g.From)
		}),
	}
}

// asking are the ways from a request to a grant.
func (p prober) asking(ctx context.Context, h holdings) []gateway.Probed {
	const none = "no request of before is on file"
	return []gateway.Probed{
		try(p, gateway.PathRequest, h.requests, none, func(r gateway.Request) (string, error) {
			return r.ID + " of " + r.Person, p.approve(ctx, r.ID)
		}),
		try(p, gateway.PathRequestRow, h.requests, none, func(r gateway.Request) (string, error) {
			return r.ID + " of " + r.Person, p.requestRow(ctx, r.ID)
		}),
	}
}

// signingIn are the ways to the pages. Where the scope is of what is reached,
// whoever it does not name may sign in, and reaches nothing.
func (p prober) signingIn(ctx context.Context, scope gateway.Scope, h holdings) []gateway.Probed {
	people, none := h.people, "nobody is on file"
	if scope.Wide() {
		people, none = nil, "this scope closes what is reached, and leaves who may sign in"
	}
	machine := gateway.Person{Name: statement.Machine}
	inviters := slices.DeleteFunc(slices.Clone(people), func(x gateway.Person) bool { return x.Staff() })
	return []gateway.Probed{
		try(p, gateway.PathLogin, people, none, func(x gateway.Person) (string, error) { return x.Name, p.login(ctx, x.Name) }),
		try(p, gateway.PathInvitation, people, none, func(x gateway.Person) (string, error) { return x.Name, p.login(ctx, x.Name) }),
		try(p, gateway.PathStalePage, people, none, func(x gateway.Person) (string, error) { return x.Name, p.invite(ctx, machine, x.Name) }),
		try(p, gateway.PathColleague, inviters, none, func(x gateway.Person) (string, error) { return "by " + x.Name, p.invite(ctx, x, x.Name) }),
	}
}

// backup asks the memory outside the store whether an older one would be seen.
func (p prober) backup(sus gateway.Suspension) gateway.Probed {
	return try(p, gateway.PathBackup, []uint64{p.floor(sus.Scope)}, "", func(at uint64) (string, error) {
		if at < sus.Epoch {
			return fmt.Sprintf("a store of epoch %d: this machine remembers %d outside it", sus.Epoch-1, at), nil
		}
		return "", gateway.Refused("floor", "", "this machine remembers epoch %d outside the store, and refuses one that knows less", at)
	})
}

// others names the same human under another vendor. That is for people to
// judge: nothing of the suspended vendor's opens by it.
func others(now time.Time, h holdings) gateway.Probed {
	out := gateway.Probed{Path: gateway.PathOtherVendor, At: gateway.Instant(now), Tried: len(h.people), Result: gateway.ProbeRefused, Rule: "people",
		Sentence: "none of these people's mail addresses stands under another vendor"}
	if len(h.others) > 0 {
		var names []string
		for _, x := range h.others {
			names = append(names, x.Name+" of "+x.Vendor)
		}
		out.Result, out.Sentence = gateway.ProbeFinding, "the same mail address stands under another vendor, which is not closed by this order"
		out.Subject = strings.Join(names[:min(len(names), maxTries)], ", ")
	}
	return out
}

// browsing is the way back to a console by its cookie, with which come its
// kept connections, WebSockets and downloads.
func (p prober) browsing(h holdings) gateway.Probed {
	if p.cookie == nil {
		return gateway.Probed{Path: gateway.PathHTTPS, Result: gateway.ProbeNotTried, At: gateway.Instant(p.now()), Sentence: "this gateway has no domain for consoles, and reaches none"}
	}
	return try(p, gateway.PathHTTPS, h.consoles, "no cookie of a console is known to this node", func(session string) (string, error) {
		return "cookie of " + session, p.cookie(session)
	})
}

// notTried names what no protocol of this gateway carries.
func (p prober) notTried() []gateway.Probed {
	at := gateway.Instant(p.now())
	var list []gateway.Probed
	for _, x := range []struct {
		path gateway.Path
		why  string
	}{
		{gateway.PathWireGuard, "protocol not carried: this gateway has no WireGuard tunnels"},
		{gateway.PathToken, "no token opens anything: those that there are can only suspend"},
		{gateway.PathPartition, "a node that is cut off cannot be tried from here: it ends all by itself when its lease is over"},
	} {
		list = append(list, gateway.Probed{Path: x.path, Result: gateway.ProbeNotTried, At: at, Sentence: x.why})
	}
	return list
}

// try tries one path with each of what there is, until one is let in. The
// first refusal speaks for all.
func try[T any](p prober, path gateway.Path, with []T, none string, judge func(T) (string, error)) (out gateway.Probed) {
	out = gateway.Probed{Path: path, At: gateway.Instant(p.now()), Result: gateway.ProbeNothing, Sentence: none}
	begun := time.Now()
	defer func() { out.Took = time.Since(begun) }()
	for i, x := range with {
		if i == maxTries {
			out.Left = len(with) - i
			break
		}
		subject, err := judge(x)
		out.Tried++
		switch {
		case err == nil:
			out.Result, out.Subject, out.Rule, out.Sentence = gateway.ProbeOpen, subject, "", "it would have been let in"
			return out
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			out.Result, out.Subject, out.Rule, out.Sentence = gateway.ProbeSilent, subject, "", "the gateway's own rooms did not answer in time"
			return out
		case i == 0:
			e := gateway.AsError(err)
			out.Result, out.Rule, out.Sentence = gateway.ProbeRefused, e.Rule, e.Sentence()
		}
	}
	return out
}

// holdings lists what the scope holds, as the rows say: a probe that believes
// an edited row asks about nothing that would open.
func (r *rooms) holdings(ctx context.Context, scope gateway.Scope) (h holdings, err error) {
	targets, err := r.directory.Targets(ctx)
	if err != nil {
		return h, err
	}
	reach := map[string]gateway.Target{}
	for _, t := range targets {
		reach[t.Name] = t
	}
	covers := func(vendor, person, target string) bool {
		t := reach[target]
		return scope.Covers(gateway.Reach{Vendor: vendor, Person: person, Target: target, Zone: t.Zone, Protocol: t.Kind})
	}
	f := access.Filter{Limit: access.MaxPage}
	switch scope.Kind {
	case gateway.ScopeVendor:
		f.Vendor = scope.Name
	case gateway.ScopePerson:
		f.Person = scope.Name
	case gateway.ScopeTarget:
		f.Target = scope.Name
	}
	if h.grants, err = r.store.Access().Grants(ctx, f); err != nil {
		return h, err
	}
	if h.requests, err = r.store.Access().Requests(ctx, f); err != nil {
		return h, err
	}
	h.grants = slices.DeleteFunc(h.grants, func(g gateway.Grant) bool { return !covers(g.Vendor, g.Person, g.Target) })
	h.requests = slices.DeleteFunc(h.requests, func(x gateway.Request) bool { return !covers(x.Vendor, x.Person, x.Target) })
	h.consoles = r.consolesUnder(ctx, scope)
	return h, r.holders(ctx, scope, &h)
}

// consolesUnder are the consoles' sessions of this node that the scope covers.
// One whose row cannot be read is tried too: it may be.
func (r *rooms) consolesUnder(ctx context.Context, scope gateway.Scope) (under []string) {
	if r.consoles == nil {
		return nil
	}
	for _, id := range r.consoles.Entered() {
		if x, err := r.store.Session().Session(ctx, id); err != nil || scope.Covers(x.Reach()) {
			under = append(under, id)
		}
	}
	return under
}

// holders lists who is under the scope, with their keys; of a wide one, who
// held a grant under it.
func (r *rooms) holders(ctx context.Context, scope gateway.Scope, h *holdings) error {
	all, err := r.directory.People(ctx)
	if err != nil {
		return err
	}
	mails := map[string]string{}
	for _, x := range all {
		under := scope.Covers(gateway.Reach{Vendor: x.Vendor, Person: x.Name})
		if scope.Wide() {
			under = slices.ContainsFunc(h.grants, func(g gateway.Grant) bool { return g.Person == x.Name })
		}
		if !under || x.State == gateway.Removed {
			continue
		}
		h.people = append(h.people, x)
		if x.Email != "" {
			mails[strings.ToLower(x.Email)] = x.Vendor
		}
	}
	for _, x := range all {
		if vendor, same := mails[strings.ToLower(x.Email)]; same && x.Vendor != vendor && x.State != gateway.Removed && !scope.Covers(gateway.Reach{Vendor: x.Vendor, Person: x.Name}) {
			h.others = append(h.others, x)
		}
	}
	for _, x := range h.people {
		keys, err := r.store.Identity().SSHKeys(ctx, x.Name)
		if err != nil {
			return err
		}
		certs, err := r.store.Identity().SSHCertificates(ctx, x.Name)
		if err != nil {
			return err
		}
		h.keys, h.certs, h.waiting = append(h.keys, keys...), append(h.certs, certs...), append(h.waiting, r.identity.WaitingOf(x.Name)...)
	}
	return nil
}
