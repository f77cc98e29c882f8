package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// consoleCommand makes this program an HTTPS console with the certificate and
// the key in the two files given.
const consoleCommand = "console"

const (
	consoleName = "bench"          // the target's, and what its host begins with
	consolePath = "/down?bytes="   // so many bytes come down
	consolePad  = 8<<10 - 64       // of the JSON, about
	pieceEvery  = time.Second / 10 // of /events and of WebSockets with ?ticks
	slowRate    = 64 << 10         // bytes a second of /slow
)

// consoles are the target and what stands before it: the gateway, nginx and
// Caddy, all with one certificate.
type consoles struct {
	cert         rig.Certificate
	target       *part
	secret       string // file of the account's password
	nginx, caddy *rig.Reverse
}

// startConsoles starts the target and the two proxies.
func startConsoles(ctx context.Context, dir string) (*consoles, error) {
	k := &consoles{secret: filepath.Join(dir, "secret")}
	for _, d := range []string{"nginx", "caddy"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(k.secret, []byte(rig.ConsolePassword+"\n"), 0o600); err != nil {
		return nil, err
	}
	var err error
	if k.cert, err = rig.NewCertificate(dir, "localhost", consoleName+".localhost"); err != nil {
		return nil, err
	}
	if k.target, err = startPart(ctx, consoleCommand, k.cert.Cert, k.cert.Key); err != nil {
		return nil, err
	}
	if k.nginx, err = rig.StartNginx(ctx, filepath.Join(dir, "nginx"), k.addr(), k.cert); err == nil {
		k.caddy, err = rig.StartCaddy(ctx, filepath.Join(dir, "caddy"), k.addr(), k.cert)
	}
	if err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func (k *consoles) close() {
	if k == nil {
		return
	}
	for _, r := range []*rig.Reverse{k.nginx, k.caddy} {
		if r != nil {
			r.Kill()
		}
	}
	k.target.stop()
}

// addr is the target's, localhost:port.
func (k *consoles) addr() string { return k.target.said[0] }

// options has the stage show its pages over TLS and know the target, whose
// account the gateway proves.
func (k *consoles) options(o *rig.Options) {
	if k == nil {
		return
	}
	c := rig.Console{Addr: k.addr(), Pin: k.cert.Pin, SecretFile: k.secret}
	ssh := o.Targets
	o.Config, o.TLS = "apps_domain: localhost\n", &k.cert
	o.Targets = func(s *rig.Stage) string { return ssh(s) + c.Target(consoleName) }
}

// opened has an engineer of a vendor open the console: a session of its own.
func (l *lab) opened(ctx context.Context, who string) (host, cookie string, err error) {
	grant, err := l.ConsoleGrant(ctx, who, consoleName, grantTime)
	if err != nil {
		return "", "", err
	}
	l.touching.Lock()
	defer l.touching.Unlock()
	b, err := l.Opened(ctx, who, grant.ID)
	if err != nil {
		return "", "", err
	}
	host, cookie = b.Host()
	b.CloseIdleConnections()
	return host, cookie, nil
}

// console serves until the process is ended.
func console(cert, key string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	fmt.Println("localhost:" + port)
	s := &http.Server{Handler: consolePages(), ReadHeaderTimeout: dialWithin}
	return s.ServeTLS(l, cert, key)
}

func consolePages() http.Handler {
	small := bytes.Repeat([]byte("s"), 200)
	var list bytes.Buffer
	for i := 0; list.Len() < consolePad; i++ {
		fmt.Fprintf(&list, `{"id":%d,"name":"machine-%d","state":"running"},`, i, i*7)
	}
	whole := func(kind string, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			_, _ = w.Write(b) // who asked may have gone
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/small", whole("text/plain", small))
	mux.HandleFunc("/json", whole("application/json", []byte("["+list.String()+`{"id":0}]`)))
	mux.HandleFunc("/down", func(w http.ResponseWriter, r *http.Request) { pour(w, r, 256<<10, 0) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		pour(w, r, int(slowRate*pieceEvery/time.Second), pieceEvery)
	})
	mux.HandleFunc("/up", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 256<<10))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		repeat(w, r, func() error { return say(w, fmt.Sprintf("data: %s%d\n\n", tickMark, time.Now().UnixMicro())) })
	})
	mux.HandleFunc("/ws", echoSocket)
	return mux
}

// pour sends ?bytes= bytes, a piece at once or each tick.
func pour(w http.ResponseWriter, r *http.Request, size int, each time.Duration) {
	left, err := strconv.ParseInt(r.FormValue("bytes"), 10, 64)
	if err != nil {
		http.Error(w, "how many bytes?", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(left, 10))
	piece := make([]byte, size)
	next := func() error {
		n, err := w.Write(piece[:min(left, int64(size))])
		if left -= int64(n); left == 0 {
			return io.EOF
		}
		return err
	}
	if each > 0 {
		repeat(w, r, next)
		return
	}
	for next() == nil {
	}
}

// repeat does something each tick and flushes it, until it cannot.
func repeat(w http.ResponseWriter, r *http.Request, do func() error) {
	tick := time.NewTicker(pieceEvery)
	defer tick.Stop()
	for do() == nil && http.NewResponseController(w).Flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func say(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

// hostname is a host without its port.
func hostname(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return name
}
