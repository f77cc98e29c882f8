package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// runWithin bounds the whole run.
const runWithin = 20 * time.Minute

// family is a group of figures that can be asked for alone.
type family struct {
	name    string
	measure func(context.Context, *lab) error
}

var families = []family{{"ssh", measureSSH}, {"gate", measureGate}}

func main() {
	if len(os.Args) == 3 && os.Args[1] == relayCommand { // this program again, as the baseline of gate.ssh
		exit(relay(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, runWithin)
	err := bench(ctx, os.Args[1:])
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

func bench(ctx context.Context, want []string) error {
	var names []string
	for _, f := range families {
		names = append(names, f.name)
	}
	for _, w := range want {
		if !slices.Contains(names, w) {
			return fmt.Errorf("%q is no family of figures; there are: %s", w, strings.Join(names, ", "))
		}
	}
	dir, err := os.MkdirTemp("", "portcullis-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := binary(ctx, dir)
	if err != nil {
		return err
	}
	out, err := os.Create("bench.txt")
	if err != nil {
		return err
	}
	defer out.Close()
	for _, f := range families {
		if len(want) > 0 && !slices.Contains(want, f.name) {
			continue
		}
		l, err := newLab(ctx, bin, filepath.Join(dir, f.name), out)
		if err != nil {
			return err
		}
		err = f.measure(ctx, l)
		l.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return out.Sync()
}

// binary is PORTCULLIS_BIN, or built here.
func binary(ctx context.Context, dir string) (string, error) {
	if bin := os.Getenv("PORTCULLIS_BIN"); bin != "" {
		return bin, nil
	}
	bin := filepath.Join(dir, "portcullis")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "github.com/portcullis/portcullis/cmd/portcullis")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build the gateway: %s", said), err)
	}
	return bin, nil
}
