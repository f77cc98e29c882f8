package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// held is one session of this process: stock clients in hundreds would cost
// more at their end than the end that is measured.
type held struct {
	client *ssh.Client
	in     io.WriteCloser
	ended  chan time.Time // when the channel was closed or the connection gone
	back   chan time.Time // when what was typed came back, where noteEcho looks

	mu   sync.Mutex
	took func(h *held, p []byte) // of whoever looks at the output; under mu
	note []int64
	last time.Time // when the last of what is noted was read
}

// upMark is what a held session's command prints when it runs.
const upMark = "up"

// hold opens n sessions with a terminal over a route, atOnce at once.
func hold(ctx context.Context, r route, n int, command, mark string, took func(*held, []byte)) ([]*held, error) {
	var mu sync.Mutex
	var all []*held
	err := together(n, func() error {
		if err := errors.Join(ctx.Err(), r.touch(ctx)); err != nil {
			return err
		}
		client, err := r.dial(ctx)
		if err != nil {
			return err
		}
		h, err := start(client, command, mark, took)
		if err != nil {
			client.Close()
			return err
		}
		mu.Lock()
		all = append(all, h)
		mu.Unlock()
		return nil
	})
	if err != nil {
		leave(all)
		return nil, fmt.Errorf("%s: session %d: %w", r.name, len(all)+1, err)
	}
	return all, nil
}

// start runs the command and waits until it has printed mark.
func start(client *ssh.Client, command, mark string, took func(*held, []byte)) (*held, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 0}); err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h := &held{client: client, ended: make(chan time.Time, 1), back: make(chan time.Time, 1), took: took}
	if h.in, err = session.StdinPipe(); err != nil {
		return nil, err
	}
	if err := session.Start(command); err != nil {
		return nil, err
	}
	up := make(chan struct{})
	go h.read(out, mark, up) // until the channel or the connection ends
	select {
	case <-up:
		return h, nil
	case <-h.ended:
		return nil, errors.New("it ended before its command ran")
	case <-time.After(dialWithin):
		return nil, fmt.Errorf("its command did not run within %s", dialWithin)
	}
}

func (h *held) read(out io.Reader, mark string, up chan<- struct{}) {
	buf := make([]byte, 4<<10)
	var shown []byte
	for {
		n, err := out.Read(buf)
		if up != nil {
			if shown = append(shown, buf[:n]...); bytes.Contains(shown, []byte(mark)) {
				close(up)
				up, shown = nil, nil
			}
		}
		if h.took != nil && n > 0 {
			h.mu.Lock()
			h.took(h, buf[:n])
			h.mu.Unlock()
		}
		if err != nil {
			h.ended <- time.Now()
			return
		}
	}
}

// leave closes them all at once.
func leave(all []*held) {
	var done sync.WaitGroup
	for _, h := range all {
		done.Go(func() { h.client.Close() })
	}
	done.Wait()
}

// end waits for the session's end. One that has ended counts as ended even
// when nobody waits any more.
func (h *held) end(ctx context.Context) (time.Time, bool) {
	select {
	case at := <-h.ended:
		return at, true
	case <-ctx.Done():
	}
	select {
	case at := <-h.ended:
		return at, true
	default:
		return time.Time{}, false
	}
}
