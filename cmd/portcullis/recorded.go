package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
)

// logPage is how many rows of the log are read at once.
const logPage = 500

// recordedHere holds this node's recordings to a log that has verified: what
// it says was sealed here is here, under the seal that it names. Whether a
// recording is whole beneath its seal is for `recording verify` to say.
func recordedHere(ctx context.Context, src audit.Source, cfg Config, keys *certs.Authority) ([]string, error) {
	dir := cfg.RecordingsDir()
	find := func(session string) (recording.Info, error) {
		return recording.Info{}, gateway.NotFound("recording", session)
	}
	switch _, err := os.Stat(dir); {
	case err == nil:
		v, err := recording.Open(dir, recording.Options{Signer: recording.NewKey(keys.MachineKey()), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, err
		}
		find = v.Find
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	var faults []string
	here := map[string]bool{} // sessions that were opened at this node and not sealed yet
	for next := int64(0); ; {
		rows, err := src.Rows(ctx, next, logPage)
		if err != nil || len(rows) == 0 {
			return faults, err
		}
		for _, row := range rows {
			next = row.Seq + 1
			e, err := row.Event()
			if err != nil {
				return nil, err
			}
			fault, err := heldTo(row.Seq, e, cfg.Node, here, find)
			if err != nil {
				return nil, err
			}
			if fault != "" {
				faults = append(faults, fault)
			}
		}
	}
}

// heldTo looks at the recording that an event speaks of, if it is one of here.
func heldTo(seq int64, e audit.Event, node string, here map[string]bool, find func(string) (recording.Info, error)) (fault string, err error) {
	seal := e.Detail["digest"]
	switch e.Name {
	case audit.SessionOpened:
		if e.Detail["node"] == node {
			here[e.Session] = true
		}
		return "", nil
	case audit.RecordingRecovered:
		seal = e.Detail["seal"]
	case audit.RecordingSealed:
	default:
		return "", nil
	}
	if !here[e.Session] || e.Outcome != audit.OK {
		return "", nil
	}
	delete(here, e.Session)
	info, err := find(e.Session)
	switch {
	case gateway.IsCode(err, gateway.CodeNotFound):
		return fmt.Sprintf("row %d: the recording of session %s was sealed and is not there", seq, e.Session), nil
	case err != nil:
		return "", err
	case info.Digest.String() != seal:
		return fmt.Sprintf("row %d: the recording of session %s is under another seal than this row names", seq, e.Session), nil
	}
	return "", nil
}
