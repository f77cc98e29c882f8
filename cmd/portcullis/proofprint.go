package main

import (
	"fmt"
	"io"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/evidence"
)

// fine prints a time to the millisecond, UTC.
func fine(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000Z") }

// printProof prints a report with what proves it, the verdict first.
func printProof(w io.Writer, p evidence.Suspension) error {
	if err := printReport(w, p.Suspension); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if r := p.Suspension.Report; r != nil {
		fmt.Fprintf(w, "T0          %s, first close %s after the order, last %s\n", fine(p.T0), ms(p.FirstClose), ms(p.LastClose))
		for _, n := range r.Nodes {
			if n.Within > 0 {
				fmt.Fprintf(w, "Clock       node %s stood %s from this node's, give or take %s\n", printable(n.Node), ms(n.Offset), ms(n.Within))
			}
		}
	}
	fmt.Fprintf(w, "Signed      %s, by %s key %s\n", printable(p.Authority.By), p.Authority.Proof, printable(p.Authority.Key))
	fmt.Fprintf(w, "Order       %s\nAssertion   %s\n", p.Order.Digest, p.Authority.Assertion)
	for _, d := range p.Authority.Basis {
		fmt.Fprintf(w, "Entitled by %s\n", d)
	}
	if p.Previous != nil {
		fmt.Fprintf(w, "Before it   %s, %s\n", p.Previous.ID, p.Previous.Statement)
	}
	fmt.Fprintf(w, "Written     %s by node %s\n", fine(p.Written), printable(p.Node))
	if p.Suspension.Report != nil {
		if err := printProbes(w, p.Suspension.Report.Probes); err != nil {
			return err
		}
	}
	return printAttempts(w, p.Attempts)
}

func printProbes(w io.Writer, probes []gateway.Probed) error {
	fmt.Fprintln(w, "\nWays back in, tried by this gateway after the close:")
	rows := make([][]string, len(probes))
	for i, x := range probes {
		said := x.Sentence
		if x.Subject != "" && x.Result != gateway.ProbeRefused {
			said = x.Subject + ": " + said
		}
		rows[i] = []string{string(x.Path), result(x), x.At.UTC().Format("15:04:05.000Z"), ms(x.Took), x.Rule, said}
	}
	return table(w, "None was tried.", []string{"PATH", "RESULT", "AT", "TOOK", "RULE", "WHAT WAS SAID"}, rows)
}

// result words what came of a path, with how often it was tried.
func result(x gateway.Probed) string {
	switch {
	case x.Result == gateway.ProbeOpen:
		return "OPEN"
	case x.Result == gateway.ProbeRefused && x.Left > 0:
		return fmt.Sprintf("refused %d times, %d more not tried", x.Tried, x.Left)
	case x.Result == gateway.ProbeRefused && x.Tried > 1:
		return fmt.Sprintf("refused %d times", x.Tried)
	}
	return string(x.Result)
}

func printAttempts(w io.Writer, a evidence.Attempts) error {
	more := ""
	if a.More {
		more = " or more"
	}
	fmt.Fprintf(w, "\nTurned away since, until %s: %d%s\n", fine(a.Until), a.Count, more)
	if len(a.Last) == 0 {
		return nil
	}
	rows := make([][]string, len(a.Last))
	for i, x := range a.Last {
		rows[i] = []string{fmt.Sprint(x.Seq), moment(x.At), x.Event, x.Person, x.Source, x.Rule, x.Reason}
	}
	return table(w, "", []string{"SEQ", "AT", "EVENT", "PERSON", "FROM", "RULE", "WHAT WAS SAID"}, rows)
}
