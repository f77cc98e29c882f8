package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const checkpointMode = 0o600

// checkpointEvery is how soon one write of the file may follow another. A
// session is half a dozen commits: writing a file, two fsyncs and a rename for
// each was 11 % of the samples of a profile of opening one after another.
const checkpointEvery = 250 * time.Millisecond

// CheckpointFile keeps the newest checkpoint in a file outside the database:
// the floor below which the log cannot be cut without notice. Its goroutine
// writes the newest one it was given, so that no commit waits for a second
// fsync: the first after a pause at once, and what comes thick and fast every
// 250 ms. After a crash the file may lag by the commits of that time, and is
// still a floor. It never goes down.
type CheckpointFile struct {
	path    string
	log     *slog.Logger
	wake    chan struct{} // holds one token while something waits to be written
	closing chan struct{} // ends a pause
	done    chan struct{}

	mu     sync.Mutex // guards what follows
	newest Checkpoint
	closed bool
	failed error // of the last write
}

// OpenCheckpointFile takes up the file at path; none is written before Keep.
func OpenCheckpointFile(path string, log *slog.Logger) (*CheckpointFile, error) {
	have, err := ReadCheckpoint(path)
	if err != nil {
		return nil, err
	}
	f := &CheckpointFile{path: path, log: log, wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}), newest: have}
	go f.run(have.Size)
	return f, nil
}

// ReadCheckpoint reads what a CheckpointFile has kept; the zero Checkpoint if
// there is no file. The size is taken from the note as it stands: Verify opens
// the signature.
func ReadCheckpoint(path string) (Checkpoint, error) {
	note, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Checkpoint{}, nil
	case err != nil:
		return Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	lines := strings.SplitN(string(note), "\n", 3)
	if len(lines) < 3 || len(note) > MaxNote {
		return Checkpoint{}, fmt.Errorf("read checkpoint: %q does not hold a signed note; put the last good copy of it back", path)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read checkpoint: %q names no size; put the last good copy of it back", path)
	}
	return Checkpoint{Size: size, Note: note}, nil
}

// Keep takes note of a checkpoint and returns at once. It is made to be the
// store's hook after each commit.
func (f *CheckpointFile) Keep(cp Checkpoint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || cp.Size <= f.newest.Size {
		return
	}
	f.newest = cp
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Close writes what waits, and returns the error of the last write.
func (f *CheckpointFile) Close() error {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.closing)
		close(f.wake)
	}
	f.mu.Unlock()
	<-f.done
	return f.failed
}

func (f *CheckpointFile) run(written int64) {
	defer close(f.done)
	for range f.wake {
		f.mu.Lock()
		cp := f.newest
		f.mu.Unlock()
		if cp.Size <= written {
			continue
		}
		err := replaceFile(f.path, cp.Note)
		if err == nil {
			written = cp.Size
		} else {
			f.log.Error("the checkpoint outside the database could not be written", "path", f.path, "err", err)
		}
		f.mu.Lock()
		f.failed = err
		f.mu.Unlock()
		f.pause()
	}
}

// pause lets the next checkpoints gather.
func (f *CheckpointFile) pause() {
	t := time.NewTimer(checkpointEvery)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.closing:
	}
}

// replaceFile puts content in the place of path: after a power cut there is
// the old file or the new one, whole.
func replaceFile(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Chmod(checkpointMode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir) // without it the new name may be lost in a power cut: then there is the old file
}
