package recording

import (
	"errors"
	"fmt"
)

// shut refuses every later append, and lets go on who waits to make one.
func (j *journal) shut() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.release()
}

// appendLast writes a frame between shut and close. The segment may grow
// beyond its limit by it.
func (j *journal) appendLast(k kind, channel uint32, payload []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.fault.get(); err != nil {
		return err
	}
	if err := j.put(channel, j.clock(j.now()), part{k, payload}); err != nil {
		return j.fault.fail(err)
	}
	return nil
}

// close writes the last footer, syncs, and closes every file whatever goes
// wrong. shut comes first.
func (j *journal) close(interrupted bool) ([]segmentSeal, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if interrupted {
		// A write that failed half-way may have left a piece of its frame.
		if err := j.file.Truncate(j.size); err != nil {
			return nil, errors.Join(err, j.drop())
		}
	}
	var err error
	if !j.ended {
		_, err = j.finish(interrupted)
	}
	for _, f := range append(j.closing, j.file) {
		if err == nil {
			err = j.disk.sync(f)
		}
	}
	if err := errors.Join(err, j.drop()); err != nil {
		return nil, fmt.Errorf("close segment %q: %w", segmentName(j.stream, j.seq), err)
	}
	return j.done, nil
}

// drop closes the files as they are.
func (j *journal) drop() error {
	var errs []error
	for _, f := range append(j.closing, j.file) {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	j.closing, j.file = nil, nil
	return errors.Join(errs...)
}
