package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// modes word what an order does to what is live.
var modes = map[gateway.Mode]string{
	gateway.ModeCut:    "end",
	gateway.ModeFreeze: "freeze",
	gateway.ModeDrain:  "drain",
	gateway.ModeNoNew:  "leave to their windows' ends",
}

// printPreview says what an order would close, and whom it would leave.
func printPreview(w io.Writer, o api.SuspendParams, p api.SuspendPreview) error {
	spared := map[string]api.ExceptParams{}
	for _, e := range o.Except {
		spared[e.Session] = e
	}
	touched := 0
	rows := make([][]string, len(p.Sessions))
	for i, x := range p.Sessions {
		becomes := becomes(o, x)
		if e, ok := spared[x.ID]; ok {
			becomes = fmt.Sprintf("left alone for %s; %s answers for it", time.Duration(e.Seconds)*time.Second, e.Owner)
		} else {
			touched++
		}
		rows[i] = []string{x.ID, x.Person, x.Account + "@" + x.Target, moment(x.Started), size(x.BytesOut), x.Transfer(), becomes}
	}
	verb := modes[o.Mode]
	if o.Mode == gateway.ModeDrain {
		verb = fmt.Sprintf("drain for %s", time.Duration(o.Drain)*time.Second)
	}
	fmt.Fprintf(w, "Suspending %s (now %s) in the mode %s would %s %d live sessions, leave %d alone, cancel %d requests, close %d grants and keep %d people out:\n",
		o.Scope, p.State, o.Mode, verb, touched, len(p.Sessions)-touched, len(p.Requests), len(p.Grants), len(p.People))
	for _, e := range o.Except {
		if !strings.Contains(fmt.Sprint(rows), e.Session) {
			fmt.Fprintf(w, "Session %s is not live under %s, so it cannot be excepted.\n", printable(e.Session), o.Scope)
		}
	}
	if err := table(w, "No session is live.", []string{"SESSION", "PERSON", "ACCOUNT@TARGET", "STARTED", "OUT", "TRANSFER", "BECOMES"}, rows); err != nil {
		return err
	}
	if silent := api.Silent(p.Nodes); len(silent) > 0 {
		fmt.Fprintf(w, "Not answering now: %s; what runs there is shown as the store knew it last.\n", printable(strings.Join(silent, ", ")))
	}
	_, err := fmt.Fprintf(w, "A node that has neither store nor bus for its lease (%s) ends all of it by itself.\n", p.Lease)
	return err
}

// becomes says what the order would make of a live session.
func becomes(o api.SuspendParams, x gateway.Session) string {
	switch o.Mode {
	case gateway.ModeFreeze:
		return "frozen"
	case gateway.ModeDrain:
		return "draining, ended after " + (time.Duration(o.Drain) * time.Second).String()
	case gateway.ModeNoNew:
		return "left to its window's end, " + moment(x.Until)
	}
	return "ended at once"
}

func printReport(w io.Writer, x gateway.Suspension) error {
	rep := x.Report
	if rep == nil {
		_, err := fmt.Fprintf(w, "PENDING  %s is suspended (%s); no report yet.\n", x.Scope, x.ID)
		return err
	}
	fmt.Fprintf(w, "%s  %s is suspended.\n\n", rep.Verdict, x.Scope)
	fmt.Fprintf(w, "Suspension  %s, epoch %d, ordered by %s at %s\n", x.ID, x.Epoch, x.By, x.Ordered.UTC().Format("2006-01-02 15:04:05.000Z"))
	printMode(w, x)
	fmt.Fprintf(w, "Reason      %s\n", printable(x.Reason))
	fmt.Fprintf(w, "Durable     %s after the order\n", ms(rep.Durable.Sub(rep.Ordered)))
	fmt.Fprintf(w, "Finished    %s after the order\n", ms(rep.Finished.Sub(rep.Ordered)))
	c := rep.Cancelled
	fmt.Fprintf(w, "Cancelled   %d requests, %d grants, %d logins, %d tickets, %d invitations\n", c.Requests, c.Grants, c.Logins, c.Tickets, c.Invitations)
	fmt.Fprintf(w, "Rotate      what its sessions could have seen: portcullis secrets exposed --suspension %s\n", x.ID)
	if rep.Note != "" {
		fmt.Fprintf(w, "Note        %s\n", printable(rep.Note))
	}
	for _, n := range rep.Nodes {
		if err := printNode(w, x, n); err != nil {
			return err
		}
	}
	return nil
}

// printMode says what the order does to what is live, and who answers for
// what it leaves. The default says nothing.
func printMode(w io.Writer, x gateway.Suspension) {
	switch x.Mode {
	case gateway.ModeFreeze:
		fmt.Fprintln(w, "Mode        freeze: sessions stay up, and what is typed in them is held")
	case gateway.ModeDrain:
		fmt.Fprintf(w, "Mode        drain: what is live ends at %s at the latest\n", moment(x.Until))
	case gateway.ModeNoNew:
		fmt.Fprintln(w, "Mode        no-new: what is live goes on to its window's end")
	}
	for _, e := range x.Except {
		fmt.Fprintf(w, "Excepted    %s until %s; %s answers for it: %s\n", e.Session, moment(e.Until), printable(e.Owner), printable(e.Reason))
	}
}

func printNode(w io.Writer, x gateway.Suspension, n gateway.NodeReport) error {
	fmt.Fprintln(w)
	if !n.Answered {
		_, err := fmt.Fprintf(w, "Node %s has not answered; its lease ends at %s and it closes everything by itself.\n", n.Node, moment(n.LeaseEnds))
		return err
	}
	left := ""
	if n.Left > 0 {
		left = fmt.Sprintf(", %d left by the order", n.Left)
	}
	fmt.Fprintf(w, "Node %s: %d live before, %d live after%s\n", n.Node, n.LiveBefore, n.LiveAfter, left)
	rows := make([][]string, len(n.Sessions))
	for i, s := range n.Sessions {
		after := ms(s.After)
		if !s.Closed && s.Fate != gateway.FateFrozen {
			after = "-"
		}
		rows[i] = []string{s.Session, s.Person, s.Target, string(s.Protocol), outcome(x, s), after, fmt.Sprint(s.BytesAfter)}
	}
	return table(w, "No session was live.", []string{"SESSION", "PERSON", "TARGET", "PROTOCOL", "STATE", "AFTER", "BYTES AFTER"}, rows)
}

// outcome words what became of one session.
func outcome(x gateway.Suspension, s gateway.ClosedSession) string {
	switch {
	case s.Closed:
		return "closed, measured"
	case s.Fate == gateway.FateFrozen:
		return "frozen"
	case s.Fate == gateway.FateDraining:
		return "draining until " + moment(x.Until)
	case s.Fate == gateway.FateLeft:
		return "left to its window's end"
	case s.Fate == gateway.FateExcepted:
		for _, e := range x.Except {
			if e.Session == s.Session {
				return "left until " + moment(e.Until) + ", " + e.Owner + " answers"
			}
		}
		return "left"
	}
	return "OPEN"
}
