package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/evidence"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// Times of --wait.
const (
	followEvery = 200 * time.Millisecond
	leaseMargin = 15 * time.Second // beyond the end of the last lease
)

type suspensionCmd struct {
	Show suspensionShowCmd `cmd:"" help:"Print the proof of a suspension, or write it signed into a file."`
}

type suspensionShowCmd struct {
	ID   string `arg:"" help:"The suspension."`
	Wait bool   `help:"Wait until the verdict is PASS or FAIL, or the last lease is over."`
	DSSE string `help:"Write the proof into this file, as an in-toto statement in a DSSE envelope signed by the machine's key; - is the standard output." name:"dsse" placeholder:"FILE"`
}

// Run prints the proof. The exit status is 0 for PASS alone.
func (c *suspensionShowCmd) Run(r *run) error {
	if c.Wait {
		if err := r.follow(c.ID); err != nil {
			return err
		}
	}
	raw, p, err := r.proof(c.ID)
	if err != nil {
		return err
	}
	switch {
	case c.DSSE == "-":
		_, err = r.out.Write(raw)
	case c.DSSE != "":
		if err = os.WriteFile(c.DSSE, raw, 0o600); err == nil {
			err = r.printProof(p)
		}
	default:
		err = r.printProof(p)
	}
	if err != nil || p.Verdict == gateway.Pass {
		return err
	}
	return hinted(fmt.Errorf("the suspension stands, and its proof says %s", p.Verdict), "read it above; follow it with `portcullis suspension show "+c.ID+" --wait`")
}

func (r *run) printProof(p evidence.Suspension) error {
	if r.JSON {
		return printJSON(r.out, p)
	}
	return printProof(r.out, p)
}

// proof fetches the signed proof, and reads what it says. That the answer is
// this gateway's is the local socket's matter.
func (r *run) proof(id string) ([]byte, evidence.Suspension, error) {
	c, err := r.client()
	if err != nil {
		return nil, evidence.Suspension{}, err
	}
	var b bytes.Buffer
	res, err := c.send(r.ctx, http.MethodGet, api.Prefix+"/suspensions/"+url.PathEscape(id)+"/proof", nil)
	if err != nil {
		return nil, evidence.Suspension{}, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(&b, io.LimitReader(res.Body, evidence.MaxFile+1)); err != nil {
		return nil, evidence.Suspension{}, fmt.Errorf("read the proof: %w", err)
	}
	e, err := evidence.ParseEnvelope(b.Bytes())
	if err != nil {
		return nil, evidence.Suspension{}, err
	}
	var said struct {
		Predicate evidence.Suspension `json:"predicate"`
	}
	err = json.Unmarshal(e.Payload, &said)
	return b.Bytes(), said.Predicate, err
}

// follow reads a suspension again until its report is final, or until the last
// lease that it names has been over for a while.
func (r *run) follow(id string) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	begun := time.Now()
	for {
		var x gateway.Suspension
		if err := r.get("/suspensions/"+url.PathEscape(id), &x); err != nil {
			return err
		}
		if x.Report != nil && x.Report.Verdict != gateway.Pending || time.Now().After(waitUntil(x, begun)) {
			return nil
		}
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-tick.C:
		}
	}
}

// waitUntil is the end of the last lease of a node that has not answered, and
// a margin; without one it is settle from the beginning on.
func waitUntil(x gateway.Suspension, begun time.Time) time.Time {
	var last time.Time
	if x.Report != nil {
		for _, n := range x.Report.Nodes {
			if !n.Answered && n.LeaseEnds.After(last) {
				last = n.LeaseEnds
			}
		}
	}
	if last.IsZero() {
		return begun.Add(settle)
	}
	return last.Add(leaseMargin)
}

type verifyCmd struct {
	File string   `arg:"" help:"What to verify: the proof of a suspension." type:"existingfile"`
	Root []string `help:"A key to believe, as it stands in roots[]; those of the configuration by default." placeholder:"ed25519:…"`
}

// Run verifies a file offline: with nothing but it and the roots.
func (c *verifyCmd) Run(r *run) error {
	roots, err := c.roots(r)
	if err != nil {
		return err
	}
	raw, err := readBounded(c.File, evidence.MaxFile)
	if err != nil {
		return err
	}
	p, err := evidence.VerifySuspension(raw, roots)
	if err != nil {
		var e *gateway.Error
		if errors.As(err, &e) {
			return hinted(fmt.Errorf("%s does not hold (%s): %s", c.File, e.Rule, e.Text), e.Next)
		}
		return err
	}
	if r.JSON {
		return printJSON(r.out, p)
	}
	fmt.Fprintf(r.out, "The file holds: it was written by node %s of %s and signed by %s.\n", printable(p.Node), printable(p.Gateway), p.Key)
	if p.Touched {
		fmt.Fprintf(r.out, "The order in it is by %s's own key; that signature is for the gateway's chain, whose enrolments are not in this file.\n", printable(p.Authority.By))
	}
	fmt.Fprintln(r.out)
	return printProof(r.out, p.Suspension)
}

func (c *verifyCmd) roots(r *run) ([]ed25519.PublicKey, error) {
	if len(c.Root) == 0 {
		cfg, err := r.configOf()
		if err != nil {
			return nil, hinted(err, "name the gateway's key with --root")
		}
		return cfg.RootKeys()
	}
	var keys []ed25519.PublicKey
	for _, text := range c.Root {
		k, err := statement.ParseRoot(text)
		if err != nil {
			return nil, usageError{err}
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// readBounded reads a file of at most that many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("%s has more than %s", path, size(most))
	}
	return raw, err
}
