package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// checkTimeout bounds the whole check.
const checkTimeout = 2 * time.Minute

// story is one play of the demo's check, in a folder that goes with it if all
// holds.
type story struct {
	*run
	dir string
}

// scene is one step of it. What it returns stands beside its line, and from
// the second line on below it.
type scene struct {
	what string
	do   func() (string, error)
}

// tell plays in a fresh folder, and leaves the folder for a look if a step did
// not hold.
func tell(r *run, play func(*story) error) (err error) {
	ctx, cancel := context.WithTimeout(r.ctx, checkTimeout)
	defer cancel()
	own := *r
	own.ctx = ctx
	s := &story{run: &own}
	if s.dir, err = scratch(r.Data, "portcullis-check-"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(s.dir)
		} else {
			fmt.Fprintln(r.errOut, "portcullis: what the check left is in", s.dir)
		}
	}()
	if err := play(s); err != nil {
		return err
	}
	_, err = fmt.Fprintln(r.out, "PASS  the whole story holds")
	return err
}

// scratch makes a folder in parent, or where the system keeps such.
func scratch(parent, name string) (string, error) {
	if parent != "" {
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(parent, name)
}

// play plays scenes, a line each with its time, to the first that does not
// hold.
func (s *story) play(scenes ...scene) error {
	for _, x := range scenes {
		begun := time.Now()
		note, err := x.do()
		took := time.Since(begun).Round(time.Millisecond)
		if err != nil {
			fmt.Fprintf(s.out, "FAIL  %-52s %8s  %s\n", x.what, took, printable(err.Error()))
			return shownError{err}
		}
		note, more, _ := strings.Cut(note, "\n")
		if _, err := fmt.Fprintf(s.out, "ok    %-52s %8s  %s\n", x.what, took, printable(note)); err != nil {
			return err
		}
		for l := range strings.Lines(more) {
			if l = strings.TrimSpace(l); l != "" {
				fmt.Fprintln(s.out, "      |", printable(l))
			}
		}
	}
	return nil
}
