package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// runWithin bounds the whole run.
const runWithin = 20 * time.Minute

// family is a group of figures that can be asked for alone. The names of its
// lines begin with its own.
type family struct {
	name    string
	measure func(context.Context, *lab) error
	console bool // before an HTTPS console, over TLS
	network bool // behind tunnels; it needs root
	nodes   int  // of a cluster, each family of which has one of its own; 0: one gateway
}

var families = []family{
	{name: "ssh.idle", measure: measureIdle},
	{name: "ssh.aes", measure: bulk("ssh.aes", ssh.CipherAES128GCM)},
	{name: "ssh.chacha", measure: bulk("ssh.chacha", ssh.CipherChaCha20Poly1305)},
	{name: "ssh.setup", measure: measureSetup},
	{name: "ssh.parallel", measure: measureParallel},
	{name: "ssh.echo", measure: measureEcho},
	{name: "ssh.tail", measure: measureTail},
	{name: "https.rps", measure: measureSmall, console: true},
	{name: "https.cpu", measure: measureSmallCPU, console: true},
	{name: "https.download", measure: measureDownload, console: true},
	{name: "https.upload", measure: measureUpload, console: true},
	{name: "https.p99", measure: measureAdded, console: true},
	{name: "https.ws", measure: measureSockets, console: true},
	{name: "wg.flow1", measure: flows("wg.flow1", 1), network: true},
	{name: "wg.flow8", measure: flows("wg.flow8", 8), network: true},
	{name: "wg.setup", measure: measureHandshakes, network: true},
	{name: "wg.fair", measure: measureFair, network: true},
	{name: "wg.idle", measure: measureIdleTunnels, network: true},
	{name: "gate.ssh", measure: measureGate},
	{name: "gate.https", measure: measureHTTPSGate, console: true},
	{name: "gate.wg", measure: measureTunnelGate, network: true},
	{name: "gate.stock", measure: measureStock},
	{name: "gate.cluster", measure: measureCluster, nodes: clusterNodes},
	{name: "gate.cluster.noredis", measure: measureNoRedis, nodes: clusterNodes},
}

// covers is whether a line or family of that name is meant by word.
func covers(word, name string) bool { return word == name || strings.HasPrefix(name, word+".") }

func main() {
	if len(os.Args) > 1 { // this program again, as a part of a family
		switch os.Args[1] {
		case relayCommand:
			exit(relay(os.Args[2]))
		case tlsRelayCommand:
			exit(tlsRelay(os.Args[2], os.Args[3], os.Args[4]))
		case tickerCommand:
			exit(ticker())
		case consoleCommand:
			exit(console(os.Args[2], os.Args[3]))
		case libraryCommand:
			exit(relayLibrary(os.Args[2], os.Args[3], os.Args[4], os.Args[5]))
		}
	}
	quick := flag.Bool("quick", false, "move little; the figures say nothing")
	flag.Parse()
	// The load must not stop to collect while it takes times.
	debug.SetGCPercent(400)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, runWithin)
	err := bench(ctx, flag.Args(), *quick)
	cancel()
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func bench(ctx context.Context, words []string, quick bool) error {
	want, err := wanted(words)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "portcullis-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := program(ctx, dir)
	if err != nil {
		return err
	}
	out, err := results(want)
	if err != nil {
		return err
	}
	defer out.Close()
	v := full
	if quick {
		v = small
	}
	for _, f := range want {
		if err := f.run(ctx, bin, filepath.Join(dir, f.name), out, v); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return out.Sync()
}

func wanted(words []string) ([]family, error) {
	if len(words) == 0 {
		return families, nil
	}
	var want []family
	for _, w := range words {
		if !slices.ContainsFunc(families, func(f family) bool { return covers(w, f.name) }) {
			return nil, fmt.Errorf("%q is no family of figures; there are: %s", w, names(families))
		}
	}
	for _, f := range families {
		if slices.ContainsFunc(words, func(w string) bool { return covers(w, f.name) }) {
			want = append(want, f)
		}
	}
	return want, nil
}

func names(all []family) string {
	var list []string
	for _, f := range all {
		list = append(list, f.name)
	}
	return strings.Join(list, ", ")
}

func (f family) run(ctx context.Context, bin, dir string, out *os.File, v volume) error {
	l, err := newLab(ctx, bin, dir, out, v, f)
	if err != nil {
		return err
	}
	defer l.Close()
	// What it recorded is gigabytes, and the next one needs the room.
	defer os.RemoveAll(dir)
	err = f.measure(ctx, l)
	if err != nil && l.cluster != nil {
		fmt.Fprint(os.Stderr, l.grief())
	}
	return err
}

// results opens bench.txt with the lines that this run does not make anew.
func results(want []family) (*os.File, error) {
	const name = "bench.txt"
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	out, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(old)) {
		of, _, _ := strings.Cut(line, " ")
		anew := slices.ContainsFunc(want, func(f family) bool { return covers(f.name, of) })
		known := slices.ContainsFunc(families, func(f family) bool { return covers(f.name, of) })
		if known && !anew {
			if _, err := out.WriteString(line); err != nil {
				return nil, errors.Join(err, out.Close())
			}
		}
	}
	return out, nil
}

// program is PORTCULLIS_BIN, or built here.
func program(ctx context.Context, dir string) (string, error) {
	if bin := os.Getenv("PORTCULLIS_BIN"); bin != "" {
		return bin, nil
	}
	bin := filepath.Join(dir, "portcullis")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "github.com/portcullis/portcullis/cmd/portcullis")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build the gateway: %s", said), err)
	}
	return bin, nil
}
