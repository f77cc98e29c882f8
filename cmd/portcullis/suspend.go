package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// settle is how long --wait waits for a report to be final, beyond the lease.
const settle = 90 * time.Second

// Bounds of one command.
const (
	maxScopes = 64 // orders
	ordersAt  = 8  // of them given at once
)

// scopeArgs name one scope.
type scopeArgs struct {
	Kind string `arg:"" enum:"vendor,person,target,zone,protocol,all" help:"What to restore: vendor, person, target, zone, protocol or all."`
	Name string `arg:"" optional:"" help:"Its name; all has none."`
}

func (s scopeArgs) scope() (gateway.Scope, error) { return scopeOf(s.Kind, s.Name) }

func scopeOf(kind, name string) (gateway.Scope, error) {
	scope := gateway.Scope{Kind: gateway.ScopeKind(kind), Name: name}
	switch {
	case scope.Kind == gateway.ScopeAll && (name == "" || name == gateway.AllVendors):
		scope.Name = gateway.AllVendors
	case scope.Kind == gateway.ScopeAll:
		return scope, usagef("all takes no name: it is every vendor; to suspend one, say vendor %s", name)
	case name == "":
		return scope, usagef("which %s? name it", kind)
	}
	return scope, nil
}

type suspendCmd struct {
	Kind  string   `arg:"" enum:"vendor,person,target,zone,protocol,all" help:"What to close: vendor, person, target, zone, protocol or all."`
	Names []string `arg:"" optional:"" help:"Its name; of several each gets an order of its own, at once. all has none."`

	Reason string `help:"Why, in a sentence for the record." required:""`
	Mode   string `help:"What becomes of live sessions: cut ends them, freeze holds what is typed, drain=15m ends them by then, no-new leaves them to their windows." default:"cut" placeholder:"MODE"`

	Except       []string        `help:"Leave this session alone; with --owner, --except-reason and --until, once for each." placeholder:"SESSION" sep:"none"`
	Owner        []string        `help:"Person of the staff who answers for it." placeholder:"NAME" sep:"none"`
	ExceptReason []string        `help:"Why it is left." placeholder:"REASON" sep:"none"`
	Until        []time.Duration `help:"For how long, 24h at most." placeholder:"DURATION" sep:"none"`

	Wait    bool `help:"Wait for every node's answer."`
	Preview bool `help:"Show what would be closed, and close nothing."`

	Server    string `help:"URL of the gateway's pages, to order it with a token from elsewhere." placeholder:"URL"`
	TokenFile string `help:"File with the token." type:"path" placeholder:"FILE"`
}

// Run drops the gate.
func (s *suspendCmd) Run(r *run) error {
	orders, err := s.orders(r)
	if err != nil {
		return err
	}
	if s.Preview {
		return s.preview(r, orders)
	}
	done, errs := make([]gateway.Suspension, len(orders)), make([]error, len(orders))
	turn := make(chan struct{}, ordersAt)
	var all sync.WaitGroup
	for i, o := range orders {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			done[i], errs[i] = s.order(r, o)
		})
	}
	all.Wait()
	if len(orders) == 1 {
		if errs[0] != nil {
			return errs[0]
		}
		return r.printSuspension(done[0])
	}
	return r.printOrders(orders, done, errs)
}

func (s *suspendCmd) order(r *run, o api.SuspendParams) (gateway.Suspension, error) {
	if s.Server != "" || s.TokenFile != "" {
		return r.suspendFrom(s.Server, s.TokenFile, o)
	}
	var out gateway.Suspension
	if err := r.act(string(statement.KindSuspend), o, &out); err != nil || !s.Wait {
		return out, err
	}
	return r.settled(out)
}

// orders draws up what the command line says, one for each name. Nothing is
// ordered where one of them is wrong.
func (s *suspendCmd) orders(r *run) ([]api.SuspendParams, error) {
	names := slices.Compact(slices.Sorted(slices.Values(s.Names)))
	if len(names) == 0 {
		names = []string{""}
	}
	if len(names) > maxScopes {
		return nil, usagef("%d names are too many for one command, which takes %d", len(names), maxScopes)
	}
	mode, drain, err := readMode(s.Mode)
	if err != nil {
		return nil, err
	}
	list := make([]api.SuspendParams, len(names))
	for i, name := range names {
		scope, err := scopeOf(s.Kind, name)
		if err != nil {
			return nil, err
		}
		list[i] = api.SuspendParams{Scope: scope, Mode: mode, Drain: int64(drain / time.Second), Reason: s.Reason}
	}
	return list, s.exceptions(r, list)
}

// readMode reads "freeze" or "drain=15m".
func readMode(text string) (gateway.Mode, time.Duration, error) {
	name, length, timed := strings.Cut(text, "=")
	mode := gateway.Mode(name)
	switch {
	case !slices.Contains(gateway.Modes, mode):
		return "", 0, usagef("--mode %s is not one of cut, no-new, freeze, drain=15m", name)
	case timed != (mode == gateway.ModeDrain):
		return "", 0, usagef("--mode: drain takes a time, as in drain=15m, and no other mode takes one")
	case !timed:
		return mode, 0, nil
	}
	d, err := time.ParseDuration(length)
	if err != nil || d < time.Second || d > gateway.MaxDrain || d%time.Second != 0 {
		return "", 0, usagef("--mode: drain=%s is not a time of whole seconds, at most %s", length, gateway.MaxDrain)
	}
	return mode, d, nil
}

// exceptions puts each exception into the order that covers its session.
func (s *suspendCmd) exceptions(r *run, list []api.SuspendParams) error {
	n := len(s.Except)
	if len(s.Owner) != n || len(s.ExceptReason) != n || len(s.Until) != n {
		return usagef("each --except has an --owner, an --except-reason and an --until of its own")
	}
	for i, id := range s.Except {
		if s.Until[i] < time.Second || s.Until[i] > gateway.MaxException {
			return usagef("--until: %s is not a time of at most %s", s.Until[i], gateway.MaxException)
		}
		at := 0
		if len(list) > 1 {
			var x api.Watched
			if err := r.get("/sessions/"+url.PathEscape(id), &x); err != nil {
				return err
			}
			if at = slices.IndexFunc(list, func(o api.SuspendParams) bool { return o.Scope.Covers(x.Reach()) }); at < 0 {
				return hinted(fmt.Errorf("none of these orders reaches session %s", id), "`portcullis sessions` lists who is live")
			}
		}
		list[at].Except = append(list[at].Except, api.ExceptParams{Session: id, Owner: s.Owner[i], Reason: s.ExceptReason[i], Seconds: int64(s.Until[i] / time.Second)})
	}
	return nil
}

func (s *suspendCmd) preview(r *run, orders []api.SuspendParams) error {
	all := make([]api.SuspendPreview, len(orders))
	for i, o := range orders {
		if err := r.post("/suspensions/preview", o.Scope, &all[i]); err != nil {
			return err
		}
	}
	if r.JSON && len(all) == 1 {
		return printJSON(r.out, all[0])
	}
	if r.JSON {
		return printJSON(r.out, all)
	}
	for i, o := range orders {
		if i > 0 {
			fmt.Fprintln(r.out)
		}
		if err := printPreview(r.out, o, all[i]); err != nil {
			return err
		}
	}
	return nil
}

// printOrders prints each order's report, and answers an error unless all of
// them are PASS.
func (r *run) printOrders(orders []api.SuspendParams, done []gateway.Suspension, errs []error) error {
	if r.JSON {
		var given []gateway.Suspension
		for i := range done {
			if errs[i] == nil {
				given = append(given, done[i])
			}
		}
		if err := printJSON(r.out, given); err != nil {
			return err
		}
	}
	failed := 0
	for i, o := range orders {
		if errs[i] != nil {
			failed++
			report(r.errOut, fmt.Errorf("%s is not suspended: %w", o.Scope, errs[i]))
			continue
		}
		if !passed(done[i]) {
			failed++
		}
		if !r.JSON {
			if err := printReport(r.out, done[i]); err != nil {
				return err
			}
			fmt.Fprintln(r.out)
		}
	}
	if failed > 0 {
		return hinted(fmt.Errorf("%d of %d orders are not PASS", failed, len(orders)), "read the reports above")
	}
	return nil
}

func passed(x gateway.Suspension) bool { return x.Report != nil && x.Report.Verdict == gateway.Pass }

// settled reads the suspension again until its report is final.
func (r *run) settled(x gateway.Suspension) (gateway.Suspension, error) {
	end := time.NewTimer(settle)
	defer end.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for x.Report == nil || x.Report.Verdict == gateway.Pending {
		select {
		case <-r.ctx.Done():
			return x, r.ctx.Err()
		case <-end.C:
			return x, nil
		case <-tick.C:
		}
		if err := r.get("/suspensions/"+url.PathEscape(x.ID), &x); err != nil {
			return x, err
		}
	}
	return x, nil
}

// printSuspension prints the report and answers an error unless it is PASS,
// so that a script sees by the exit status that something is still open.
func (r *run) printSuspension(x gateway.Suspension) error {
	if r.JSON {
		if err := printJSON(r.out, x); err != nil {
			return err
		}
	} else if err := printReport(r.out, x); err != nil {
		return err
	}
	if passed(x) {
		return nil
	}
	return hinted(errors.New("the suspension stands, but not everything was measured closed"), "read the report above; follow it with `portcullis suspensions "+x.ID+"`")
}
