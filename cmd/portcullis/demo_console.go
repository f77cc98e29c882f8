package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"html/template"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	consoleLife  = 10 * 365 * 24 * time.Hour // of the sample console's certificate
	consoleTick  = time.Second               // between two readings that it sends
	consoleLeave = 2 * time.Second           // for its last answers
	consoleForm  = 4 << 10
)

// sampleConsole is an HTTPS target of the sample plant: a pump with a page, a
// set point, readings as they come and a file, behind a password.
type sampleConsole struct {
	addr, pin, secretFile string

	password string
	srv      *http.Server
	served   chan struct{}

	mu       sync.Mutex
	setPoint int
}

// startConsole serves the console. Certificate, password and port are kept in
// dir, so that a second start is the same target.
func startConsole(ctx context.Context, dir string) (*sampleConsole, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &sampleConsole{secretFile: filepath.Join(dir, "password"), served: make(chan struct{}), setPoint: 1480}
	if err := c.keys(dir); err != nil {
		return nil, err
	}
	port, err := targetPort(ctx, filepath.Join(dir, "port"))
	if err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	c.pin, c.addr = "sha256:"+hex.EncodeToString(sum[:]), net.JoinHostPort("localhost", port)
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, err
	}
	c.srv = &http.Server{Handler: c.handler(), ReadHeaderTimeout: socketHeaderTimeout, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}}
	go func() {
		defer close(c.served)
		_ = c.srv.ServeTLS(l, "", "") // ended by stop
	}()
	return c, nil
}

// stop ends it, also streams that nobody closes.
func (c *sampleConsole) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), consoleLeave)
	defer cancel()
	if err := c.srv.Shutdown(ctx); err != nil {
		_ = c.srv.Close() // streams are cut off
	}
	<-c.served
}

// keys makes the password and the certificate at the first start.
func (c *sampleConsole) keys(dir string) error {
	raw, err := os.ReadFile(c.secretFile)
	if err == nil {
		c.password = strings.TrimSpace(string(raw))
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	x := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Pump station 7"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(consoleLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	c.password = rand.Text()
	for name, raw := range map[string][]byte{
		"certificate.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"key.pem":         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(c.secretFile, []byte(c.password+"\n"), 0o600)
}

func (c *sampleConsole) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.page)
	mux.HandleFunc("POST /setpoint", c.set)
	mux.HandleFunc("GET /readings", c.readings)
	mux.HandleFunc("GET /readings.csv", c.file)
	mux.HandleFunc("GET /console.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, consoleScript)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, word, ok := r.BasicAuth()
		if !ok || user != "service" || subtle.ConstantTimeCompare([]byte(word), []byte(c.password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="Pump station 7"`)
			http.Error(w, "This console asks for its password.", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

var consolePage = template.Must(template.New("console").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Pump station 7</title>
<script src="/console.js" defer></script>
<h1>Pump station 7</h1>
<p>Speed now: <output id="rpm">{{.}}</output> rpm</p>
<form method="post" action="/setpoint"><label>Set point, rpm <input name="rpm" type="number" min="0" max="3000" value="{{.}}"></label> <button>Set</button></form>
<p><a href="/readings.csv" download>Readings of today</a></p>
</html>
`))

const consoleScript = `new EventSource("/readings").onmessage = (e) => { document.getElementById("rpm").value = e.data; };
`

func (c *sampleConsole) speed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setPoint
}

func (c *sampleConsole) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = consolePage.Execute(w, c.speed()) // the browser may have left
}

func (c *sampleConsole) set(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, consoleForm)
	rpm, err := strconv.Atoi(r.PostFormValue("rpm"))
	if err != nil || rpm < 0 || rpm > 3000 {
		http.Error(w, "A set point is a number from 0 to 3000.", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.setPoint = rpm
	c.mu.Unlock()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// readings sends the speed, which wavers a little, as it is read.
func (c *sampleConsole) readings(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(consoleTick)
	defer tick.Stop()
	for {
		if _, err := fmt.Fprintf(w, "data: %d\n\n", c.speed()+time.Now().Second()%5); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

func (c *sampleConsole) file(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/csv")
	w.Header().Set("Content-Disposition", `attachment; filename="readings.csv"`)
	fmt.Fprintln(w, "minute,rpm")
	for i := range 24 * 60 {
		fmt.Fprintf(w, "%02d:%02d,%d\n", i/60, i%60, c.speed()+i%5)
	}
}

// entry is the console in the inventory.
func (c *sampleConsole) entry() map[string]any {
	return map[string]any{
		"name": "pump-console", "title": "Pump station 7, web console", "kind": "https", "address": c.addr, "zone": "sample-plant", "impact": "low", "vendors": []string{demoVendor},
		"https":    map[string]any{"trust": "pin", "pins": []string{c.pin}},
		"accounts": []map[string]any{{"name": "service", "login": "service", "proof": "password", "secret_file": c.secretFile}},
	}
}
