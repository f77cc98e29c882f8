package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/web/api"
)

type recordingsCmd struct {
	narrow
}

// Run lists recordings.
func (c *recordingsCmd) Run(r *run) error {
	return list(r, "/recordings", c.query(), "No recordings.", []string{"SESSION", "VENDOR", "PERSON", "ACCOUNT@TARGET", "STARTED", "LENGTH", "OUT", "IN", "STATE"}, func(x api.Recorded) []string {
		s := x.Session
		row := []string{s.ID, s.Vendor, s.Person, s.Account + "@" + s.Target, moment(s.Started)}
		if x.Away {
			return append(row, "", "", "", "at "+s.Node+", which does not answer")
		}
		if x.Recording == nil {
			return append(row, "", "", "", "MISSING")
		}
		state := "open"
		switch {
		case x.Recording.Interrupted:
			state = "cut short"
		case x.Recording.Sealed:
			state = "sealed"
		}
		return append(row, x.Recording.Length.Round(time.Second).String(), size(x.Recording.BytesOut), size(x.Recording.BytesIn), state)
	})
}

type recordingCmd struct {
	Play   recordingPlayCmd   `cmd:"" help:"Play a recording in this terminal."`
	Export recordingExportCmd `cmd:"" help:"Write a recording: what was shown or typed, a console's exchanges, a tunnel's flows or packets."`
	Search recordingSearchCmd `cmd:"" help:"Search what the targets showed."`
	Verify recordingVerifyCmd `cmd:"" help:"Verify a recording's seals."`
}

type recordingPlayCmd struct {
	ID    string        `arg:"" help:"The session."`
	Speed float64       `help:"How many times as fast; 0 prints all at once." default:"1"`
	Idle  time.Duration `help:"Longest pause." default:"2s"`
}

// Run plays a recording. What could move files, set titles or answer queries
// of this terminal is left out.
func (p *recordingPlayCmd) Run(r *run) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := c.stream(ctx, api.Prefix+"/recordings/"+url.PathEscape(p.ID)+"/asciicast?version=2", pw)
		pw.CloseWithError(err)
		done <- err
	}()
	speed, idle := p.Speed, p.Idle
	if speed == 0 {
		speed, idle = 1, time.Nanosecond
	}
	playErr := recording.Play(ctx, r.out, pr, speed, idle)
	cancel()
	_ = pr.Close() // the reader of a pipe
	err = <-done
	if playErr != nil && !errors.Is(playErr, context.Canceled) {
		return playErr
	}
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return nil
}

type recordingExportCmd struct {
	ID      string  `arg:"" help:"The session."`
	Format  string  `help:"asciicast-v3, asciicast-v2, stdout, stderr (raw bytes), stdin (raw bytes of one channel) input (what was typed; asciicast), of a console har (HTTP Archive 1.2) or har-input (with what was typed), or of a tunnel flows (JSON lines) or pcapng (its packets)." enum:"asciicast-v3,asciicast-v2,stdout,stderr,stdin,input,har,har-input,flows,pcapng" default:"asciicast-v3"`
	Channel *uint32 `help:"Of stdout, stderr, stdin: this channel alone, by its number in the recording's index."`
	Output  string  `short:"o" help:"File to write; standard output by default." type:"path"`
}

// Run writes a recording.
func (e *recordingExportCmd) Run(r *run) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	base := "/recordings/" + url.PathEscape(e.ID)
	path := map[string]string{
		"asciicast-v3": api.Prefix + base + "/asciicast?version=3", "asciicast-v2": api.Prefix + base + "/asciicast?version=2",
		"input": api.Prefix + base + "/input", "stdout": "/local" + base + "/raw?stream=stdout", "stderr": "/local" + base + "/raw?stream=stderr",
		"stdin": "/local" + base + "/raw?stream=stdin", "har": api.Prefix + base + "/har", "har-input": api.Prefix + base + "/har?typed=true",
		"flows": api.Prefix + base + "/flows", "pcapng": api.Prefix + base + "/pcapng",
	}[e.Format]
	if e.Channel != nil {
		if !strings.Contains(path, "/raw?") {
			return gateway.Invalid("channel", "the format %s has all channels; --channel goes with stdout, stderr and stdin", e.Format)
		}
		path += "&channel=" + strconv.FormatUint(uint64(*e.Channel), 10)
	}
	if e.Output == "" {
		return c.stream(r.ctx, path, r.out)
	}
	f, err := os.OpenFile(e.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := c.stream(r.ctx, path, f); err != nil {
		f.Close()
		_ = os.Remove(e.Output) // half a recording is none
		return err
	}
	return f.Close()
}

type recordingSearchCmd struct {
	Text    string   `arg:"" help:"What to look for, without regard to case."`
	Vendor  string   `help:"Of this vendor only." placeholder:"V"`
	Person  string   `help:"Of this person only." placeholder:"P"`
	Target  string   `help:"At this target only." placeholder:"T"`
	Session string   `help:"In this session only." placeholder:"ID"`
	Kind    []string `help:"Of these kinds only: output, command, file, request, flow, note." placeholder:"KIND"`
	From    string   `help:"From this time on, as 2026-11-22T10:00:00Z." placeholder:"TIME"`
	To      string   `help:"Before this time." placeholder:"TIME"`
	Before  string   `help:"Page on, as the page before said." placeholder:"PLACE"`
	Limit   int      `help:"At most so many (1 to 200)." default:"50"`
}

// Run searches recordings.
func (s *recordingSearchCmd) Run(r *run) error {
	q := narrow{Vendor: s.Vendor, Person: s.Person, Target: s.Target, Before: s.Before, Limit: s.Limit}.query()
	q.Set("text", s.Text)
	for k, v := range map[string]string{"session": s.Session, "from": s.From, "to": s.To} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if len(s.Kind) > 0 {
		q["kind"] = s.Kind
	}
	if r.JSON {
		return list[api.Hit](r, "/recordings", q, "", nil, nil)
	}
	var hits api.Hits
	if err := r.get("/recordings?"+q.Encode(), &hits); err != nil {
		return err
	}
	return s.print(r, hits)
}

// print shows the hits, and beside them what was not searched: "not found"
// must not be taken for more than it is.
func (s *recordingSearchCmd) print(r *run, hits api.Hits) error {
	rows := make([][]string, len(hits.Items))
	for i, h := range hits.Items {
		rows[i] = []string{h.Session, h.At.Round(time.Millisecond).String(), h.Kind, h.Line}
	}
	if err := table(r.out, "Not found in these recordings.", []string{"SESSION", "AT", "KIND", "LINE"}, rows); err != nil {
		return err
	}
	if hits.Waiting > 0 {
		fmt.Fprintf(r.errOut, "Recordings not in the index yet, and so not searched: %d. Search again in a moment.\n", hits.Waiting)
	}
	for _, n := range api.Silent(hits.Nodes) {
		fmt.Fprintf(r.errOut, "Node %s does not answer: its recordings were not searched.\n", printable(n))
	}
	for _, session := range hits.Cut {
		fmt.Fprintf(r.errOut, "Session %s is too large to be searched to its end; play it to see the rest.\n", printable(session))
	}
	if hits.Next != "" {
		fmt.Fprintf(r.errOut, "There is more: page on with --before %s\n", printable(hits.Next))
	}
	return nil
}

type recordingVerifyCmd struct {
	ID string `arg:"" help:"The session."`
}

// Run verifies a recording's seals.
func (v *recordingVerifyCmd) Run(r *run) error {
	var out struct {
		Session string `json:"session"`
		Holds   bool   `json:"holds"`
		Fault   string `json:"fault,omitempty"`
	}
	if err := r.get("/recordings/"+url.PathEscape(v.ID)+"/verify", &out); err != nil {
		return err
	}
	if r.JSON {
		if err := printJSON(r.out, out); err != nil {
			return err
		}
	} else if out.Holds {
		fmt.Fprintf(r.out, "PASS  recording %s holds.\n", out.Session)
	} else {
		fmt.Fprintf(r.out, "FAIL  recording %s: %s\n", out.Session, printable(out.Fault))
	}
	if !out.Holds {
		return shownError{errors.New(out.Fault)}
	}
	return nil
}
