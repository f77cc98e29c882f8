package recording

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

const (
	maxEvent = 8 << 20 // bytes of one line of an asciicast: a whole frame, each byte as \u00xx
	maxSpeed = 1000
)

// Play shows an asciicast (version 2 or 3) on a terminal in its own time:
// speed times as fast, and no wait longer than idle unless that is zero. Only
// text, colours, cursor movement, erasing and the other screen reach w; nothing
// that sets a title, touches the clipboard, asks the terminal a question or
// drives its window. Whatever happens, the terminal is left as it was found.
// It ends with the recording, or with ctx and its cause.
func Play(ctx context.Context, w io.Writer, r io.Reader, speed float64, idle time.Duration) (err error) {
	if !(speed > 0 && speed <= maxSpeed) {
		return gateway.Invalid("speed", "speed %g is not above 0 and at most %d", speed, maxSpeed)
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	version, err := castVersion(lines)
	if err != nil {
		return err
	}
	screen := newScreen(w)
	defer func() { err = errors.Join(err, screen.close()) }()
	var last time.Duration // of the event before, for v2
	for lines.Scan() {
		f, ok, err := parseEvent(lines.Bytes())
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		wait := f.At
		if version == 2 {
			wait, last = f.At-last, f.At
		}
		if idle > 0 {
			wait = min(wait, idle)
		}
		if err := pause(ctx, time.Duration(float64(wait)/speed)); err != nil {
			return err
		}
		if f.Code != "o" {
			continue
		}
		if err := screen.show(f.Data); err != nil {
			return err
		}
	}
	return lines.Err()
}

func pause(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil || d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func castVersion(lines *bufio.Scanner) (int, error) {
	var h struct {
		Version int `json:"version"`
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &h) != nil || h.Version != 2 && h.Version != 3 {
		return 0, gateway.Invalid("recording", "this is not an asciicast of version 2 or 3")
	}
	return h.Version, nil
}

// parseEvent reads one line; blank ones and comments are no event.
func parseEvent(line []byte) (f Frame, ok bool, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return f, false, nil
	}
	var at float64
	if err := json.Unmarshal(line, &[]any{&at, &f.Code, &f.Data}); err != nil {
		return f, false, fmt.Errorf("read asciicast event: %w", err)
	}
	if math.IsNaN(at) || at < 0 || at > float64(math.MaxInt64/time.Second/2) {
		return f, false, fmt.Errorf("read asciicast event: time %g is out of range", at)
	}
	f.At = time.Duration(at * float64(time.Second))
	return f, true, nil
}
