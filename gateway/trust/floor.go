package trust

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Bounds of the floor's file.
const (
	maxSubject = 2048      // bytes of one subject
	maxFloor   = 256 << 20 // bytes of the file that are read at the start
	crowded    = 1024      // lines that were overtaken by others before the file is written anew
)

// Floor is what this machine has seen, kept in a file of its own beside the
// database: for each subject a number that only rises. The subjects are
// "vendor:NAME", "person:NAME" and "target:NAME" (version of the statement),
// "vendor-epoch:NAME", "person-epoch:NAME" and the same of every other kind of
// scope, "grant-closed:ID" (1),
// "key-removed:CREDENTIAL" and "sshkey-removed:FINGERPRINT" (1, or the moment
// of removal in Unix microseconds, see Removed).
//
// The file holds one line a change: subject, number, CRC-32C. It is appended
// to and synced; a last line cut short by a crash is dropped at the next open
// and a broken line anywhere else is an error. One process opens it at a time.
// A nil Floor remembers nothing.
type Floor struct {
	mu      sync.Mutex // guards the fields below it
	at      map[string]uint64
	file    *os.File
	size    int64 // bytes of whole lines
	written uint64
	failed  error // a write that may have torn the file: nothing is written after it

	syncing sync.Mutex // taken without mu held; guards synced
	synced  uint64
}

// OpenFloor reads the floor at path, or begins an empty one. The file is for
// the service's user alone.
func OpenFloor(path string) (*Floor, error) {
	raw, err := readFloor(path)
	if err != nil {
		return nil, err
	}
	at, whole, lines, err := parseFloor(raw)
	if err != nil {
		return nil, fmt.Errorf("read floor %q: %w", path, err)
	}
	if lines > len(at)+crowded || raw == nil {
		if whole, err = rewrite(path, at); err != nil {
			return nil, fmt.Errorf("write floor %q: %w", path, err)
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open floor: %w", err)
	}
	if err := errors.Join(file.Chmod(0o600), file.Truncate(whole), file.Sync()); err != nil {
		return nil, errors.Join(fmt.Errorf("open floor %q: %w", path, err), file.Close())
	}
	return &Floor{at: at, file: file, size: whole}, nil
}

// At is the number of a subject; zero if it was never raised.
func (f *Floor) At(subject string) uint64 {
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[subject]
}

// Raise lifts a subject to version, durable when it returns nil. A number
// that is not above the present one changes nothing. The memory is raised
// even when the disk refuses, so that this process at least holds to it.
func (f *Floor) Raise(subject string, version uint64) error {
	if f == nil {
		return nil
	}
	n, err := f.put(subject, version)
	if err != nil {
		return gateway.Unavailable("floor", err)
	}
	if err := f.sync(n); err != nil {
		return gateway.Unavailable("floor", err)
	}
	return nil
}

// RaiseRemoved notes the moment from which a key is removed. Subject is
// "key-removed:CREDENTIAL" or "sshkey-removed:FINGERPRINT".
func (f *Floor) RaiseRemoved(subject string, at time.Time) error {
	return f.Raise(subject, uint64(max(1, at.UnixMicro())))
}

// Close closes the file. Later raises are refused.
func (f *Floor) Close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = os.ErrClosed
	}
	return f.file.Close()
}

// sight raises a subject that was seen to hold, without waiting for the disk
// and without a disk that refuses standing in the way: a read stays a read, and
// a suspension must go through on a full disk. Whoever made the change waits.
func (f *Floor) sight(subject string, version uint64) {
	if f != nil && f.At(subject) < version {
		_, _ = f.put(subject, version)
	}
}

// removed corrects a row's time of removal by what this machine has seen.
func (f *Floor) removed(subject string, row time.Time) (time.Time, error) {
	const microseconds = 1 << 40 // numbers above are times, not flags
	n := f.At(subject)
	switch {
	case n == 0:
		return row, nil
	case row.IsZero():
		return row, broken("the store has forgotten a removal that this machine has seen (%s)", gateway.Quote(subject))
	case n > microseconds && time.UnixMicro(int64(n)).Before(row):
		return row, broken("the store tells a later removal than this machine has seen (%s)", gateway.Quote(subject))
	}
	return row, nil
}

// put raises in memory and appends a line; the answer is what sync waits for.
func (f *Floor) put(subject string, version uint64) (uint64, error) {
	if subject == "" || len(subject) > maxSubject || strings.ContainsAny(subject, " \n\r") {
		return 0, fmt.Errorf("floor subject %q is not one word", subject)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if version > f.at[subject] {
		f.at[subject] = version
		if f.failed != nil {
			return 0, f.failed
		}
		line := floorLine(subject, version)
		if _, err := f.file.Write(line); err != nil {
			if cut := f.file.Truncate(f.size); cut != nil {
				f.failed = errors.Join(err, cut)
			}
			return 0, err
		}
		f.size += int64(len(line))
		f.written++
	}
	return f.written, f.failed
}

// sync waits until the first n lines are on disk. One sync serves all who
// wait for it.
func (f *Floor) sync(n uint64) error {
	f.syncing.Lock()
	defer f.syncing.Unlock()
	if f.synced >= n {
		return nil
	}
	f.mu.Lock()
	upto := f.written
	f.mu.Unlock()
	if err := f.file.Sync(); err != nil {
		f.mu.Lock()
		f.failed = err // the kernel may have dropped the pages: nothing after is sure
		f.mu.Unlock()
		return err
	}
	f.synced = upto
	return nil
}

func readFloor(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open floor: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFloor {
		return nil, fmt.Errorf("open floor %q: it is not a plain file of at most %d bytes", path, maxFloor)
	}
	raw, err := os.ReadFile(path) // #nosec G304 -- the data folder is the operator's own
	if err != nil {
		return nil, fmt.Errorf("open floor: %w", err)
	}
	if raw == nil {
		raw = []byte{}
	}
	return raw, nil
}

// parseFloor reads lines; whole is how many bytes of them are good.
func parseFloor(raw []byte) (at map[string]uint64, whole int64, lines int, err error) {
	at = make(map[string]uint64)
	for len(raw) > 0 {
		line, rest, ended := bytes.Cut(raw, []byte("\n"))
		subject, version, ok := parseLine(string(line))
		if !ended || !ok {
			if len(rest) > 0 {
				return nil, 0, 0, fmt.Errorf("line %d is damaged", lines+1)
			}
			return at, whole, lines, nil
		}
		at[subject] = max(at[subject], version)
		whole += int64(len(line)) + 1
		lines++
		raw = rest
	}
	return at, whole, lines, nil
}

func parseLine(line string) (string, uint64, bool) {
	field := strings.Split(line, " ")
	if len(field) != 3 || field[0] == "" {
		return "", 0, false
	}
	version, err := strconv.ParseUint(field[1], 10, 64)
	if err != nil || string(floorLine(field[0], version)) != line+"\n" {
		return "", 0, false
	}
	return field[0], version, true
}

func floorLine(subject string, version uint64) []byte {
	s := subject + " " + strconv.FormatUint(version, 10)
	return fmt.Appendf(nil, "%s %08x\n", s, crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli)))
}

// rewrite writes the floor anew, one line a subject, and puts it in place in
// one step.
func rewrite(path string, at map[string]uint64) (int64, error) {
	var b bytes.Buffer
	subjects := make([]string, 0, len(at))
	for s := range at {
		subjects = append(subjects, s)
	}
	slices.Sort(subjects)
	for _, s := range subjects {
		b.Write(floorLine(s, at[s]))
	}
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // #nosec G304 -- as above
	if err != nil {
		return 0, err
	}
	_, err = f.Write(b.Bytes())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(tmp, path); err != nil {
		return 0, err
	}
	dir, err := os.Open(filepath.Dir(path)) // #nosec G304 -- as above
	if err != nil {
		return 0, err
	}
	return int64(b.Len()), errors.Join(dir.Sync(), dir.Close())
}
