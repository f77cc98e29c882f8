package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Pair names a certificate's PEM file, its chain after it, and its key's.
type Pair struct{ Certificate, Key string }

// PairFiles serves certificates from files, and takes new ones without a restart.
type PairFiles struct {
	pairs []Pair
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamps []string // what the files looked like when they were read
	loaded []*tls.Certificate
}

// ServeFiles reads the files once, strictly. Later, files that cannot be read
// leave the certificates before them in use, and are complained about in the
// log: half of a pair that is being written must not close the gateway.
func ServeFiles(pairs []Pair, now func() time.Time, log *slog.Logger) (*PairFiles, error) {
	f := &PairFiles{pairs: pairs, now: now, log: log, looked: now()}
	if len(pairs) == 0 {
		return nil, errors.New("no certificate is named")
	}
	var err error
	if f.stamps, err = f.stamp(); err != nil {
		return nil, err
	}
	f.loaded, err = f.load()
	return f, err
}

// Config implements Serving.
func (f *PairFiles) Config() *tls.Config { return listening(f.get) }

// Soonest implements Serving.
func (f *PairFiles) Soonest() (Served, bool) {
	var first Served
	for _, c := range f.current() {
		if s := servedOf(c); first.Until.IsZero() || s.Until.Before(first.Until) {
			first = s
		}
	}
	return first, true
}

// get picks the first certificate that the client takes, or the first of all,
// so that a client which asks for no name still gets a handshake.
func (f *PairFiles) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := f.current()
	for _, c := range all {
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return all[0], nil
}

func (f *PairFiles) current() []*tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked).Abs() >= ReloadEvery {
		f.looked = now
		f.reload()
	}
	return f.loaded
}

// reload takes new files; the caller holds mu.
func (f *PairFiles) reload() {
	stamps, err := f.stamp()
	if err == nil && slices.Equal(stamps, f.stamps) {
		return
	}
	var loaded []*tls.Certificate
	if err == nil {
		loaded, err = f.load()
	}
	if err != nil {
		f.log.Error("the new certificate cannot be used; the one before it is served on", "error", err)
		f.stamps = stamps // complained about once
		return
	}
	f.loaded, f.stamps = loaded, stamps
	for _, c := range loaded {
		f.log.Info("a new certificate is served", "names", c.Leaf.DNSNames, "until", c.Leaf.NotAfter)
	}
}

func (f *PairFiles) load() ([]*tls.Certificate, error) {
	var all []*tls.Certificate
	for _, p := range f.pairs {
		c, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate %q: %w", p.Certificate, err)
		}
		if c.Leaf.NotAfter.Before(f.now()) {
			return nil, fmt.Errorf("certificate %q ended on %s", p.Certificate, c.Leaf.NotAfter.UTC().Format("2006-01-02 15:04 UTC"))
		}
		all = append(all, &c)
	}
	return all, nil
}

// stamp tells files apart from those before them: renewal tools replace files
// or point a link elsewhere, and both are seen.
func (f *PairFiles) stamp() ([]string, error) {
	var all []string
	for _, p := range f.pairs {
		for _, path := range []string{p.Certificate, p.Key} {
			info, err := os.Stat(path)
			if err != nil {
				return nil, err
			}
			all = append(all, fmt.Sprint(info.ModTime().UnixNano(), info.Size()))
		}
	}
	return all, nil
}
