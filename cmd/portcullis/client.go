package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"github.com/portcullis/portcullis/gateway"
)

// maxAnswer bounds what a command reads of one answer; recordings are
// streamed and not bound by it.
const maxAnswer = 64 << 20

// client talks to a running gateway over its local socket.
type client struct {
	http *http.Client
	path string
}

// client returns a client of the gateway that the command is about.
func (r *run) client() (*client, error) {
	path, err := r.socket()
	if err != nil {
		return nil, err
	}
	return newClient(path), nil
}

func newClient(path string) *client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &client{http: &http.Client{Transport: &http.Transport{DialContext: dial}}, path: path}
}

// do sends body (nil for none; []byte as it is; else as JSON) and decodes the
// answer into v, which may be nil.
func (c *client) do(ctx context.Context, method, path string, body, v any) error {
	res, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	if len(raw) > maxAnswer {
		return hinted(errors.New("the gateway's answer is too long"), "narrow the list with a filter")
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return nil
}

// stream copies the answer to w as it comes.
func (c *client) stream(ctx context.Context, path string, w io.Writer) error {
	res, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(w, res.Body)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// send sends and turns every answer that is not a success into an error.
func (c *client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var r io.Reader
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		r, contentType = bytes.NewReader(b), "application/yaml"
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://portcullis"+path, r)
	if err != nil {
		return nil, err
	}
	if r != nil {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode/100 != 2 {
		defer res.Body.Close()
		return nil, problem(res)
	}
	return res, nil
}

func (c *client) unreachable(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return hinted(fmt.Errorf("no gateway answers at %s", c.path), "start it with `portcullis serve`, or name its data folder with --data")
	case errors.Is(err, os.ErrPermission):
		return hinted(fmt.Errorf("this user may not use %s", c.path), "run the command as root or as the gateway's own user")
	}
	return fmt.Errorf("talk to the gateway: %w", err)
}

// problem reads RFC 9457 problem details.
func problem(res *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var p struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Rule   string `json:"rule"`
		Next   string `json:"next"`
		Code   string `json:"code"`
	}
	if json.Unmarshal(raw, &p) != nil || p.Detail == "" && p.Title == "" {
		return fmt.Errorf("the gateway answered %s", res.Status)
	}
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	return hinted(&gateway.Error{Code: gateway.Code(p.Code), Rule: p.Rule, Text: text}, p.Next)
}
