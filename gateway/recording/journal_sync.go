package recording

import (
	"errors"
	"os"
	"time"
)

// late reports whether showing more would leave a byte unsynced for longer
// than was promised.
func (j *journal) late(now time.Time) bool {
	since := j.syncing
	if since.IsZero() {
		since = j.dirty
	}
	return !since.IsZero() && now.Sub(since) > j.oldest
}

// hold gives up the lock until the sync under way has ended or the recording
// has failed.
func (j *journal) hold() {
	if j.synced == nil {
		j.synced = make(chan struct{})
	}
	synced := j.synced
	ring(j.urgent)
	j.mu.Unlock()
	defer j.mu.Lock()
	select {
	case <-synced:
	case <-j.fault.ctx.Done():
	}
}

// touch notes that there are bytes to sync, written at now or later, and rouses
// who does it.
func (j *journal) touch(now time.Time) {
	if j.dirty.IsZero() {
		j.dirty = now
		j.rouse()
	}
}

// sync makes durable what was written before it was called.
func (j *journal) sync(dir *os.File) error {
	j.mu.Lock()
	if j.dirty.IsZero() || j.closed {
		j.mu.Unlock()
		return nil
	}
	files := append(j.closing, j.file)
	newDir := j.newDir
	j.closing, j.newDir, j.syncing, j.dirty = nil, false, j.dirty, time.Time{}
	j.mu.Unlock()

	err := j.syncFiles(files, newDir, dir)

	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		err = j.fault.fail(err) // before anybody who waits may write again
	}
	j.syncing = time.Time{}
	j.release()
	return err
}

// release lets go on who waits for a sync.
func (j *journal) release() {
	if j.synced != nil {
		close(j.synced)
		j.synced = nil
	}
}

// syncFiles syncs in the order of writing and closes all but the last.
func (j *journal) syncFiles(files []*os.File, newDir bool, dir *os.File) error {
	var errs []error
	for i, f := range files {
		errs = append(errs, j.disk.sync(f))
		if i < len(files)-1 {
			errs = append(errs, f.Close())
		}
	}
	if newDir {
		errs = append(errs, j.disk.sync(dir))
	}
	return errors.Join(errs...)
}
