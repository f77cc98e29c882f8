package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
)

// Bounds of live streams.
const (
	maxStreams = 512              // open at once, of everybody
	streamLife = 5 * time.Minute  // then the browser comes back and is asked who it is anew
	streamBeat = 15 * time.Second // a comment line, so that a vanished browser is noticed
	countEvery = 2 * time.Second  // byte counts of live sessions
)

// eventStream writes server-sent events, each with its own deadline.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// send writes one event; an empty name is the default "message".
func (s *eventStream) send(name string, data []byte) error {
	var b bytes.Buffer
	if name != "" {
		b.WriteString("event: " + name + "\n")
	}
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return s.write(b.Bytes())
}

func (s *eventStream) write(b []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(watchWrite)) // not every writer has one
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.control.Flush()
}

func (s *Server) enter() (leave func(), err error) {
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		return nil, &gateway.Error{Code: gateway.CodeTooMany, Rule: "streams", Text: "too many pages are watching at once", Next: "close one and try again"}
	}
	return func() { s.streams.Add(-1) }, nil
}

// Update is what the live stream says of one line of the log. It names what
// has changed; the reader asks for what he may see of it.
type Update struct {
	Seq        int64         `json:"seq"`
	Name       audit.Name    `json:"name"`
	At         time.Time     `json:"at"`
	Actor      string        `json:"actor,omitempty"`
	Vendor     string        `json:"vendor,omitempty"`
	Person     string        `json:"person,omitempty"`
	Target     string        `json:"target,omitempty"`
	Request    string        `json:"request,omitempty"`
	Grant      string        `json:"grant,omitempty"`
	Session    string        `json:"session,omitempty"`
	Suspension string        `json:"suspension,omitempty"`
	Outcome    audit.Outcome `json:"outcome,omitempty"`
}

// counts are the bytes of one live session so far, and what runs in it now.
type counts struct {
	ID       string                `json:"id"`
	BytesIn  int64                 `json:"bytes_in"`
	BytesOut int64                 `json:"bytes_out"`
	Running  []gateway.ChannelKind `json:"running,omitempty"`
}

func (s *Server) stream(c call) (any, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var counting sync.WaitGroup
	defer counting.Wait()
	ctx, cancel := context.WithTimeout(c.Context(), streamLife)
	defer cancel()
	lines := s.cfg.Audit.Follow(ctx)
	out := newStream(c.w)
	beat, lives := time.NewTicker(streamBeat), make(chan Live)
	defer beat.Stop()
	staff := c.who.Machine() || Holds(c.who.Person, SeeAll)
	if staff {
		counting.Go(func() { s.keepCounting(ctx, c.who, lives) })
	}
	var told counted
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil, nil
		case line, ok := <-lines:
			if !ok || ends(c.who, line.Event) {
				return nil, nil // the browser comes back and is asked who it is
			}
			if staff || mine(c.who.Person, line.Event) {
				err = out.sendJSON("change", updateOf(line))
			}
		case <-beat.C:
			err = out.write([]byte(": still here\n\n"))
		case live := <-lives:
			err = told.send(out, live)
		}
		if err != nil {
			return nil, nil // the reader has left
		}
	}
}

// keepCounting hands over what lives each countEvery, until ctx is done. It
// stands beside the stream, which a node that is slow to answer must not hold up.
func (s *Server) keepCounting(ctx context.Context, who Who, lives chan<- Live) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case <-ctx.Done():
			return
		case lives <- s.Live(ctx, who):
		}
	}
}

// counted is what a stream was told last.
type counted struct {
	counts []byte
	silent []string
}

// send tells what is new: counts, and which nodes do not answer.
func (t *counted) send(out *eventStream, live Live) error {
	if silent := Silent(live.Nodes); !slices.Equal(silent, t.silent) {
		t.silent = silent
		if err := out.sendJSON("nodes", append([]string{}, silent...)); err != nil {
			return err
		}
	}
	now := []counts{}
	for _, l := range live.Items {
		now = append(now, counts{l.ID, l.BytesIn, l.BytesOut, l.Running})
	}
	raw, err := json.Marshal(now)
	if err != nil || bytes.Equal(raw, t.counts) {
		return err
	}
	t.counts = raw
	return out.send("counts", raw)
}

func (s *eventStream) sendJSON(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.send(name, raw)
}

func updateOf(l Line) Update {
	e := l.Event
	return Update{
		Seq: l.Seq, Name: e.Name, At: e.At, Actor: e.Actor, Vendor: e.Vendor, Person: e.Person, Target: e.Target,
		Request: e.Request, Grant: e.Grant, Session: e.Session, Suspension: e.Suspension, Outcome: e.Outcome,
	}
}

// mine reports whether a vendor's person may hear of the event: it is about
// him, or he did it.
func mine(p gateway.Person, e audit.Event) bool { return e.Person == p.Name || e.Actor == p.Name }

// ends reports whether the event may have ended the login that the stream
// hangs on: then the stream ends, and whoever comes back is asked anew.
func ends(who Who, e audit.Event) bool {
	if who.Machine() {
		return false
	}
	switch e.Name {
	case audit.LoginEnded:
		return e.Actor == who.Person.Name || e.Person == who.Person.Name
	case audit.Suspended, audit.VendorAdmitted, audit.PersonAdmitted:
		return e.Person == who.Person.Name || e.Vendor != "" && e.Vendor == who.Person.Vendor
	}
	return false
}
