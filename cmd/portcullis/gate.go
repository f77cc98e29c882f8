package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// maxForensicReport bounds the report file whose digest a restoration names.
const maxForensicReport = 1 << 30

// settle is how long --wait waits for a report to be final, beyond the lease.
const settle = 90 * time.Second

type scopeArgs struct {
	Kind string `arg:"" enum:"vendor,person" help:"What to close: vendor or person."`
	Name string `arg:"" help:"Its name."`
}

func (s scopeArgs) scope() gateway.Scope {
	return gateway.Scope{Kind: gateway.ScopeKind(s.Kind), Name: s.Name}
}

type suspendCmd struct {
	scopeArgs
	Reason  string `help:"Why, in a sentence for the record." required:""`
	Wait    bool   `help:"Wait for every node's answer."`
	Preview bool   `help:"Show what would be closed, and close nothing."`
}

// Run drops the gate.
func (s *suspendCmd) Run(r *run) error {
	if s.Preview {
		return s.preview(r)
	}
	var out gateway.Suspension
	if err := r.act(string(statement.KindSuspend), api.SuspendParams{Scope: s.scope(), Reason: s.Reason}, &out); err != nil {
		return err
	}
	if s.Wait {
		var err error
		if out, err = r.settled(out); err != nil {
			return err
		}
	}
	return r.printSuspension(out)
}

func (s *suspendCmd) preview(r *run) error {
	var out api.SuspendPreview
	if err := r.post("/suspensions/preview", s.scope(), &out); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, out)
	}
	fmt.Fprintf(r.out, "Suspending %s (now %s) would end %d live sessions, cancel %d requests, close %d grants and keep %d people out:\n",
		s.scope(), out.State, len(out.Sessions), len(out.Requests), len(out.Grants), len(out.People))
	rows := make([][]string, len(out.Sessions))
	for i, x := range out.Sessions {
		rows[i] = []string{x.ID, x.Person, x.Account + "@" + x.Target, moment(x.Started), size(x.BytesOut)}
	}
	return table(r.out, "No session is live.", []string{"SESSION", "PERSON", "ACCOUNT@TARGET", "STARTED", "OUT"}, rows)
}

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
	if x.Report != nil && x.Report.Verdict == gateway.Pass {
		return nil
	}
	return hinted(errors.New("the suspension stands, but not everything was measured closed"), "read the report above; follow it with `portcullis suspensions "+x.ID+"`")
}

func printReport(w io.Writer, x gateway.Suspension) error {
	rep := x.Report
	if rep == nil {
		_, err := fmt.Fprintf(w, "PENDING  %s is suspended (%s); no report yet.\n", x.Scope, x.ID)
		return err
	}
	fmt.Fprintf(w, "%s  %s is suspended.\n\n", rep.Verdict, x.Scope)
	fmt.Fprintf(w, "Suspension  %s, epoch %d, ordered by %s at %s\n", x.ID, x.Epoch, x.By, x.Ordered.UTC().Format("2006-01-02 15:04:05.000Z"))
	fmt.Fprintf(w, "Reason      %s\n", printable(x.Reason))
	fmt.Fprintf(w, "Durable     %s after the order\n", ms(rep.Durable.Sub(rep.Ordered)))
	fmt.Fprintf(w, "Finished    %s after the order\n", ms(rep.Finished.Sub(rep.Ordered)))
	c := rep.Cancelled
	fmt.Fprintf(w, "Cancelled   %d requests, %d grants, %d logins, %d tickets, %d invitations\n", c.Requests, c.Grants, c.Logins, c.Tickets, c.Invitations)
	if rep.Note != "" {
		fmt.Fprintf(w, "Note        %s\n", printable(rep.Note))
	}
	for _, n := range rep.Nodes {
		fmt.Fprintln(w)
		if !n.Answered {
			fmt.Fprintf(w, "Node %s has not answered; its lease ends at %s and it closes everything by itself.\n", n.Node, moment(n.LeaseEnds))
			continue
		}
		fmt.Fprintf(w, "Node %s: %d live before, %d live after\n", n.Node, n.LiveBefore, n.LiveAfter)
		rows := make([][]string, len(n.Sessions))
		for i, s := range n.Sessions {
			state := "closed"
			if !s.Closed {
				state = "OPEN"
			}
			rows[i] = []string{s.Session, s.Person, s.Target, string(s.Protocol), state, ms(s.After), fmt.Sprint(s.BytesAfter)}
		}
		if err := table(w, "No session was live.", []string{"SESSION", "PERSON", "TARGET", "PROTOCOL", "STATE", "AFTER", "BYTES AFTER"}, rows); err != nil {
			return err
		}
	}
	return nil
}

type restoreCmd struct {
	scopeArgs
	Report string `help:"The forensic report on file; its digest goes into the restoration." required:"" type:"existingfile" placeholder:"FILE"`
	Reason string `help:"Why, in a sentence for the record." required:""`
}

// Run signs a restoration with the machine's key: one of the two signatures
// that it needs.
func (c *restoreCmd) Run(r *run) error {
	digest, err := fileDigest(c.Report)
	if err != nil {
		return err
	}
	var page api.Page[gateway.Suspension]
	if err := r.get("/suspensions", &page); err != nil {
		return err
	}
	id := ""
	for _, x := range page.Items { // newest first
		if x.Scope == c.scope() && x.Lifted.IsZero() {
			id = x.ID
			break
		}
	}
	if id == "" {
		return hinted(fmt.Errorf("%s is not suspended", c.scope()), "`portcullis suspensions` lists what is")
	}
	var out gateway.Suspension
	if err := r.act(string(statement.KindRestore), api.RestoreParams{Suspension: id, Scope: c.scope(), Report: digest, Reason: c.Reason}, &out); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, out)
	}
	if out.Lifted.IsZero() {
		_, err = fmt.Fprintf(r.out, "Signed. A second person signs the restoration of %s on the page /suspensions/%s; until then it stays closed.\n", out.Scope, out.ID)
	} else {
		_, err = fmt.Fprintf(r.out, "%s is restored. Nothing old is open again; its people need fresh invitations.\n", out.Scope)
	}
	return err
}

func fileDigest(path string) (gateway.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return gateway.Digest{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxForensicReport+1))
	switch {
	case err != nil:
		return gateway.Digest{}, err
	case n == 0:
		return gateway.Digest{}, fmt.Errorf("%s is empty; a restoration needs the forensic report", path)
	case n > maxForensicReport:
		return gateway.Digest{}, fmt.Errorf("%s has more than %s", path, size(maxForensicReport))
	}
	return gateway.Digest(h.Sum(nil)), nil
}

type suspensionsCmd struct {
	ID   string `arg:"" optional:"" help:"Print this one's report."`
	Wait bool   `help:"Wait for every node's answer."`
}

// Run lists suspensions or prints one report.
func (c *suspensionsCmd) Run(r *run) error {
	if c.ID == "" {
		return list(r, "/suspensions", nil, "Nothing was ever suspended.", []string{"SUSPENSION", "SCOPE", "EPOCH", "VERDICT", "ORDERED", "BY", "LIFTED", "REASON"}, func(x gateway.Suspension) []string {
			verdict := "PENDING"
			if x.Report != nil {
				verdict = string(x.Report.Verdict)
			}
			return []string{x.ID, x.Scope.String(), fmt.Sprint(x.Epoch), verdict, moment(x.Ordered), x.By, moment(x.Lifted), x.Reason}
		})
	}
	var x gateway.Suspension
	if err := r.get("/suspensions/"+url.PathEscape(c.ID), &x); err != nil {
		return err
	}
	if c.Wait {
		var err error
		if x, err = r.settled(x); err != nil {
			return err
		}
	}
	return r.printSuspension(x)
}
