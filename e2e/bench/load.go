package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// measureDownload measures how much a second comes down of one long answer,
// connection included, and the CPU that the way takes for a GiB.
func measureDownload(ctx context.Context, l *lab) error {
	return l.loads(ctx, "https.download", (*web).download)
}

// measureUpload is the same of one long request.
func measureUpload(ctx context.Context, l *lab) error {
	return l.loads(ctx, "https.upload", (*web).upload)
}

func (l *lab) loads(ctx context.Context, name string, move func(w *web, ctx context.Context, proto string, size int64) error) error {
	ways, err := l.ways(ctx)
	if err != nil {
		return err
	}
	size := int64(l.volume.loadMiB) << 20
	for _, proto := range []string{h1, h2} {
		rate, cpu := make([][]float64, webWays), make([][]float64, webWays)
		for range l.volume.loadRounds {
			for i, w := range ways {
				before, began := w.route().cpu(), time.Now()
				if err := move(w, ctx, proto, size); err != nil {
					return fmt.Errorf("%s: %s: %w", w.name, proto, err)
				}
				took := time.Since(began)
				after, err := w.route().settled(ctx)
				if err != nil {
					return err
				}
				mib := float64(l.volume.loadMiB)
				rate[i] = append(rate[i], mib/took.Seconds())
				cpu[i] = append(cpu[i], (after-before).Seconds()/(mib/1024))
			}
		}
		l.webFigures(name+"."+proto, medians(rate), "MiB/s", true)
		l.webFigures(name+"."+proto+".cpu", medians(cpu), "s/GiB", false)
	}
	return nil
}

func (w *web) download(ctx context.Context, proto string, size int64) error {
	path := consolePath + strconv.FormatInt(size, 10)
	var n int64
	if proto == h2 {
		c := w.client()
		defer c.CloseIdleConnections()
		r, err := w.request(ctx, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		if n, _, err = w.fetch(c, r); err != nil {
			return err
		}
	} else {
		c, err := w.open(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if n, err = c.get(w.head(http.MethodGet, path)); err != nil {
			return err
		}
	}
	if n != size {
		return fmt.Errorf("%d of %d bytes came down", n, size)
	}
	return nil
}

func (w *web) upload(ctx context.Context, proto string, size int64) error {
	var counted []byte
	if proto == h2 {
		c := w.client()
		defer c.CloseIdleConnections()
		r, err := w.request(ctx, http.MethodPost, "/up", io.LimitReader(nothing{}, size))
		if err != nil {
			return err
		}
		r.ContentLength = size
		if _, counted, err = w.fetch(c, r); err != nil {
			return err
		}
	} else {
		c, err := w.open(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if counted, err = c.send(w.head(http.MethodPost, "/up", "Content-Length: "+strconv.FormatInt(size, 10)), size); err != nil {
			return err
		}
	}
	if got := strings.TrimSpace(string(counted)); got != strconv.FormatInt(size, 10) {
		return fmt.Errorf("%s of %d bytes came up", got, size)
	}
	return nil
}

// send sends a request with so many zeroes and returns its answer.
func (c *wire) send(head []byte, size int64) ([]byte, error) {
	if _, err := c.Write(head); err != nil {
		return nil, err
	}
	if _, err := io.CopyBuffer(c.Conn, struct{ io.Reader }{io.LimitReader(nothing{}, size)}, make([]byte, 256<<10)); err != nil {
		return nil, err
	}
	n, err := c.answer(http.StatusOK)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(c.r, n))
}

// nothing is zeroes without end.
type nothing struct{}

// Read implements io.Reader.
func (nothing) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// measureSockets is what an idle WebSocket costs in memory on the way.
func measureSockets(ctx context.Context, l *lab) error {
	// A process that has enrolled people and applied a plant is not fresh.
	if err := l.Stop(); err != nil {
		return err
	}
	if err := l.Start(ctx); err != nil {
		return err
	}
	ways, err := l.ways(ctx)
	if err != nil {
		return err
	}
	each := make([]float64, webWays)
	for i, w := range ways {
		if each[i], err = l.sockets(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	l.webFigures("https.ws", each, "KiB", false)
	return nil
}

func (l *lab) sockets(ctx context.Context, w *web) (each float64, err error) {
	ask, stop, err := w.askers(ctx, h1, sizes[0].path, 1)
	if err == nil { // the first request loads what any request needs
		err = ask[0]()
	}
	stop()
	if err != nil {
		return 0, err
	}
	before, err := memory(ctx, w.route(), idleSettle)
	if err != nil {
		return 0, err
	}
	held := make(chan *wire, l.volume.sockets)
	defer func() {
		for range len(held) {
			(<-held).Close()
		}
	}()
	opening, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if err := together(l.volume.sockets, func() error {
		c, err := w.socket(opening, "/ws")
		if err == nil {
			held <- c
		}
		return err
	}); err != nil {
		return 0, err
	}
	after, err := memory(ctx, w.route(), idleSettle)
	if err != nil {
		return 0, err
	}
	for range len(held) { // each of them lives
		c := <-held
		held <- c
		if err := c.echoes(time.Now().Add(dialWithin)); err != nil {
			return 0, fmt.Errorf("an idle WebSocket: %w", err)
		}
	}
	return (after - before) / float64(l.volume.sockets), nil
}

// echoes has a WebSocket send back what it is sent.
func (c *wire) echoes(by time.Time) error {
	if err := c.SetDeadline(by); err != nil {
		return err
	}
	if err := writeFrame(c, frameText, []byte("still there"), true); err != nil {
		return err
	}
	op, p, err := readFrame(c.r)
	if err == nil && (op != frameText || string(p) != "still there") {
		err = fmt.Errorf("%s: echoed %q", c.name, p)
	}
	return err
}
