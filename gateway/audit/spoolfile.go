package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// spoolName is the file of what waits, in the spool's folder. Each line is
//
//	BASE64(signature) SP JSON LF
//
// The signature is the machine key's over spoolPrefix and the hash of the line
// before and of this JSON. The first line says whose spool it is.
const (
	spoolName    = "events"
	spoolPrefix  = "portcullis spool v1\n"
	maxSpoolLine = 4 * MaxBody
)

type spoolLine struct {
	N       int64            `json:"n"`
	Spool   string           `json:"spool,omitempty"`
	Node    string           `json:"node,omitempty"`
	Began   int64            `json:"began_us,omitempty"`
	Weight  Weight           `json:"weight,omitempty"`
	Events  []*record        `json:"events,omitempty"`
	Session *gateway.Session `json:"session,omitempty"`
}

// spoolFile is one file of what waits, from the first failure of the store to
// the end of its replay. Its owner locks.
type spoolFile struct {
	path, id, node string
	began          time.Time
	f              *os.File // nil: not opened for writing yet
	size           int64    // of the lines that are ours and on the disk
	n              int64    // lines
	hash           [sha256.Size]byte
	broken         error // the disk did not take back what it did not write whole
}

// editedError says which line of a spool is not what the node wrote.
type editedError struct {
	id   string
	line int64
	why  string
}

func (e *editedError) Error() string {
	return fmt.Sprintf("line %d of spool %s is not what this node wrote: %s", e.line+1, e.id, e.why)
}

func newSpoolFile(path, node string, now time.Time) *spoolFile {
	return &spoolFile{path: path, id: gateway.NewID("spo", now), node: node, began: gateway.Instant(now)}
}

// append writes h as a line and returns it as it will be replayed.
func (f *spoolFile) append(key ed25519.PrivateKey, h Happened) (Happened, error) {
	if f.broken != nil {
		return h, f.broken
	}
	if f.f == nil {
		if err := f.open(key); err != nil {
			return h, err
		}
	}
	h.Spooled = f.id + "/" + strconv.FormatInt(f.n, 10)
	line := spoolLine{N: f.n, Weight: h.Weight, Session: h.Session}
	events := h.Events
	h.Events = nil
	for _, e := range events {
		e, err := e.tidy()
		if err != nil {
			return h, err
		}
		e.Detail = maps.Clone(e.Detail)
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail[spooledDetail] = h.Spooled
		h.Events = append(h.Events, e)
		line.Events = append(line.Events, recordOf(e))
	}
	return h, f.write(key, line, h.Weight.room())
}

// open begins the file, or goes on behind the last line that is ours: what a
// crash cut short was never answered.
func (f *spoolFile) open(key ed25519.PrivateKey) (err error) {
	f.f, err = os.OpenFile(f.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = f.f.Truncate(f.size)
	}
	if err == nil && f.n == 0 {
		err = f.write(key, spoolLine{Spool: f.id, Node: f.node, Began: f.began.UnixMicro()}, MaxSpool)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(f.path))
	}
	if err != nil && f.f != nil {
		err = errors.Join(err, f.f.Close())
		f.f = nil
	}
	return err
}

func (f *spoolFile) write(key ed25519.PrivateKey, line spoolLine, room int64) error {
	raw, err := json.Marshal(line)
	if err != nil {
		return err
	}
	hash := chained(f.hash, raw)
	text := base64.StdEncoding.AppendEncode(nil, ed25519.Sign(key, signedSpool(hash)))
	text = append(append(append(text, ' '), raw...), '\n')
	if len(text) > maxSpoolLine || f.size+int64(len(text)) > room {
		return ErrSpoolFull
	}
	_, err = f.f.WriteAt(text, f.size)
	if err == nil {
		err = f.f.Sync()
	}
	if err != nil { // half a line must not stand before the next one
		if back := f.f.Truncate(f.size); back != nil {
			f.broken = errors.Join(err, back)
		}
		return err
	}
	f.size, f.n, f.hash = f.size+int64(len(text)), f.n+1, hash
	return nil
}

func chained(before [sha256.Size]byte, raw []byte) [sha256.Size]byte {
	return sha256.Sum256(append(before[:len(before):len(before)], raw...))
}

func signedSpool(hash [sha256.Size]byte) []byte {
	return append([]byte(spoolPrefix), hex.EncodeToString(hash[:])...)
}

// putAway removes the file, or moves it where it stays.
func (f *spoolFile) putAway(to string) error {
	if err := f.close(); err != nil {
		return err
	}
	if to == "" {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncFolder(filepath.Dir(f.path))
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := os.Rename(f.path, to); err != nil {
		return err
	}
	return errors.Join(syncFolder(filepath.Dir(f.path)), syncFolder(filepath.Dir(to)))
}

func (f *spoolFile) close() error {
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}

// readSpool reads what waits for a node. With an *editedError, what stands
// before the line that it names is ours.
func readSpool(path, node string, key ed25519.PublicKey) (*spoolFile, []Happened, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the spool: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("read the spool: %w", err)
	}
	f := newSpoolFile(path, node, info.ModTime()) // until its first line says better
	all, err := f.read(io.LimitReader(file, MaxSpool+1), key)
	return f, all, err
}

func (f *spoolFile) read(from io.Reader, key ed25519.PublicKey) (all []Happened, err error) {
	lines := bufio.NewReaderSize(from, maxSpoolLine)
	for {
		text, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return all, nil // what has no end was cut short by a crash, and never answered
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return all, fmt.Errorf("read the spool: %w", err)
		}
		h, why := f.take(text, key)
		if why != "" {
			return all, &editedError{f.id, f.n, why}
		}
		if f.n > 1 {
			all = append(all, h)
		}
	}
}

// take reads one line, and says why it is not the next one of this file.
func (f *spoolFile) take(text []byte, key ed25519.PublicKey) (h Happened, why string) {
	sig, raw, _ := bytes.Cut(bytes.TrimSuffix(text, []byte("\n")), []byte(" "))
	hash := chained(f.hash, raw)
	signature, err := base64.StdEncoding.Strict().DecodeString(string(sig))
	if err != nil || len(signature) != ed25519.SignatureSize || !ed25519.Verify(key, signedSpool(hash), signature) {
		return h, "its signature does not hold"
	}
	var line spoolLine
	if err := json.Unmarshal(raw, &line); err != nil || line.N != f.n {
		return h, "it does not read"
	}
	if f.n == 0 {
		f.id, f.node, f.began = line.Spool, line.Node, time.UnixMicro(line.Began).UTC()
	}
	h = Happened{Session: line.Session, Weight: line.Weight, Spooled: f.id + "/" + strconv.FormatInt(f.n, 10)}
	for _, r := range line.Events {
		e, err := r.event()
		if err != nil {
			return h, "an event of it does not read"
		}
		h.Events = append(h.Events, e)
	}
	f.size, f.n, f.hash = f.size+int64(len(text)), f.n+1, hash
	return h, ""
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
