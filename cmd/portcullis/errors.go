package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/portcullis/portcullis/gateway"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// hintError carries what to do next beside what went wrong.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

func hinted(err error, hint string) error { return &hintError{err, hint} }

// usageError is an error of the command line: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// shownError is an error that was printed already.
type shownError struct{ error }

// report prints err for the person at the terminal and returns the exit
// status.
func report(w io.Writer, err error) int {
	var shown shownError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &shown):
		return exitFailed
	}
	text, hint := err.Error(), ""
	var h *hintError
	var g *gateway.Error
	switch {
	case errors.As(err, &h):
		hint = h.hint
	case errors.As(err, &g) && err.Error() == g.Error(): // not wrapped in words of ours
		bare := *g
		bare.Next, hint = "", g.Next
		text = bare.Error()
	}
	fmt.Fprintln(w, "portcullis:", text)
	if hint != "" {
		fmt.Fprintln(w, "hint:", hint)
	}
	var u usageError
	if errors.As(err, &u) {
		return exitUsage
	}
	return exitFailed
}
