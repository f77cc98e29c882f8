package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// maxForensicReport bounds the report file whose digest a restoration names.
const maxForensicReport = 1 << 30

type restoreCmd struct {
	scopeArgs
	Report string `help:"The forensic report on file; its digest goes into the restoration." required:"" type:"existingfile" placeholder:"FILE"`
	Reason string `help:"Why, in a sentence for the record." required:""`
}

// Run signs a restoration with the machine's key: one of the two signatures
// that it needs.
func (c *restoreCmd) Run(r *run) error {
	scope, err := c.scope()
	if err != nil {
		return err
	}
	digest, err := fileDigest(c.Report)
	if err != nil {
		return err
	}
	last, err := r.lastOf(scope)
	if err != nil {
		return err
	}
	if last.ID == "" || !last.Lifted.IsZero() {
		return hinted(fmt.Errorf("%s is not suspended", scope), "`portcullis suspensions` lists what is")
	}
	id := last.ID
	var out gateway.Suspension
	if err := r.act(string(statement.KindRestore), api.RestoreParams{Suspension: id, Scope: scope, Report: digest, Reason: c.Reason}, &out); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, out)
	}
	if out.Lifted.IsZero() {
		_, err = fmt.Fprintf(r.out, "Signed. A person of another role signs the restoration of %s on the page /suspensions/%s; until then it stays closed.\n", out.Scope, out.ID)
		return err
	}
	if _, err = fmt.Fprintf(r.out, "%s is restored. Nothing old is open again; %s\n", out.Scope, afterwards(out.Scope)); err != nil {
		return err
	}
	var x gateway.Ladder
	if err := r.get("/suspensions/"+url.PathEscape(out.ID)+"/ladder", &x); err != nil {
		return err
	}
	return printLadder(r.out, x)
}

// lastOf is the newest suspension of a scope; the zero one if there is none.
func (r *run) lastOf(scope gateway.Scope) (gateway.Suspension, error) {
	var page api.Page[gateway.Suspension]
	if err := r.get("/suspensions", &page); err != nil {
		return gateway.Suspension{}, err
	}
	for _, x := range page.Items { // newest first
		if x.Scope == scope {
			return x, nil
		}
	}
	return gateway.Suspension{}, nil
}

// afterwards says what those who were kept out must do to get in again.
func afterwards(s gateway.Scope) string {
	if s.Wide() {
		return "whoever needs it asks anew."
	}
	return "its people need fresh invitations."
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
		return list(r, "/suspensions", nil, "Nothing was ever suspended.", []string{"SUSPENSION", "SCOPE", "MODE", "EPOCH", "VERDICT", "ORDERED", "BY", "LIFTED", "REASON"}, func(x gateway.Suspension) []string {
			verdict := "PENDING"
			if x.Report != nil {
				verdict = string(x.Report.Verdict)
			}
			return []string{x.ID, x.Scope.String(), string(x.Mode), fmt.Sprint(x.Epoch), verdict, moment(x.Ordered), x.By, moment(x.Lifted), x.Reason}
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
