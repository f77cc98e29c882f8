package recording

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// What Options means where a field is zero.
const (
	DefaultReserve      = 64 << 20 // bytes
	DefaultSegmentBytes = 64 << 20
	DefaultSyncEvery    = time.Second
)

const (
	manifestName = "manifest.json"
	sealName     = "seal.json"
	segmentExt   = ".seg"
	tornExt      = ".torn"
	dayLayout    = "2006/01/02"
	dayGlob      = "[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]"

	// syncStall is how long a sync may hang before the session is ended.
	syncStall = 10 * time.Second
)

// Options tunes a Vault. Signer and Logger are needed; the rest may be zero.
type Options struct {
	Signer Signer
	// Keys are further public keys, in the text form of Signer.Public, whose
	// seals Verify believes: an earlier key of this machine, another node.
	Keys []string
	Now  func() time.Time
	// Reserve is how many bytes must be free on the disk for a recording to
	// start; live ones are ended at half of it, so that there is room left to
	// seal them and to write the log. Negative: no reserve.
	Reserve int64
	// SegmentBytes is the size at which a segment is closed.
	SegmentBytes int64
	// SyncEvery is how old a byte may get that was shown but not synced: what
	// a power cut may take.
	SyncEvery time.Duration
	Logger    *slog.Logger
}

// Vault is the folder of recordings. Several processes may read it; each
// recording has one writer.
type Vault struct {
	dir     string
	signer  Signer
	keys    keyring
	now     func() time.Time
	reserve uint64
	segment int64
	every   time.Duration
	log     *slog.Logger
	disk    disk

	mu   sync.Mutex
	live map[string]*Recorder // by session

	records sync.Pool // *[]byte: records of HTTP being put together
	packets sync.Pool // *[]byte: frames of packets being put together, so that an idle tunnel holds none

	dayMu sync.Mutex
	day   string // the last one whose folder this process has made durable
}

// Open opens the folder of recordings, and makes it with mode 0700 where there
// is none. It refuses a signer whose signature does not verify under its own
// public key: better now than at the end of a session.
func Open(dir string, o Options) (*Vault, error) {
	if o.Signer == nil || o.Logger == nil {
		return nil, errors.New("open recordings: signer and logger are needed")
	}
	v := &Vault{
		dir: dir, signer: o.Signer, keys: append(keyring{o.Signer.Public()}, o.Keys...), now: o.Now, segment: o.SegmentBytes,
		every: o.SyncEvery, log: o.Logger, disk: realDisk(), live: map[string]*Recorder{}, reserve: DefaultReserve,
	}
	if o.Reserve != 0 {
		v.reserve = uint64(max(o.Reserve, 0))
	}
	v.packets.New = func() any { return new([]byte) }
	if v.now == nil {
		v.now = time.Now
	}
	if v.segment <= 0 {
		v.segment = DefaultSegmentBytes
	}
	if v.every <= 0 {
		v.every = DefaultSyncEvery
	}
	probe := []byte(domainSegment)
	if err := v.keys.verify(o.Signer.Public(), probe, o.Signer.Sign(probe)); err != nil {
		return nil, fmt.Errorf("open recordings: try the signer: %w", err)
	}
	if err := errors.Join(os.MkdirAll(dir, dirMode), v.disk.syncDir(filepath.Dir(dir))); err != nil {
		return nil, fmt.Errorf("open recordings: %w", err)
	}
	return v, nil
}

// Start begins a recording. When it returns, the manifest is durable: from
// then on the recording cannot be missing, only cut short. Any error means
// that the session must not be opened.
func (v *Vault) Start(ctx context.Context, m Meta) (*Recorder, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := gateway.CheckName("session", m.Session); err != nil {
		return nil, err // it becomes the name of a folder
	}
	if err := v.room(v.reserve); err != nil {
		return nil, gateway.Unavailable("recorder", err)
	}
	r, err := v.start(m)
	if err != nil {
		return nil, gateway.Unavailable("recorder", fmt.Errorf("start recording %q: %w", m.Session, err))
	}
	return r, nil
}

func (v *Vault) start(m Meta) (*Recorder, error) {
	begun := v.now()
	m.Started, m.Until = gateway.Instant(m.Started), gateway.Instant(m.Until)
	day := begun.UTC().Format(dayLayout)
	if err := v.makeDay(day); err != nil {
		return nil, err
	}
	dir := filepath.Join(v.dir, day, m.Session)
	if err := os.Mkdir(dir, dirMode); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	r := v.recorder(m, dir, lock, begun)
	if err := r.begin(begun); err != nil {
		// Nothing was shown yet, so nothing is lost with the folder.
		return nil, errors.Join(err, r.out.drop(), r.in.drop(), os.RemoveAll(dir), lock.Close())
	}
	v.mu.Lock()
	v.live[m.Session] = r
	v.mu.Unlock()
	r.runMu.Lock()
	r.runs = false // what begin has written waits for its sync
	r.runMu.Unlock()
	r.rouse()
	return r, nil
}

// makeDay makes the folder of a day. Who comes while another makes it waits,
// for a recording is durable no sooner than its folder.
func (v *Vault) makeDay(day string) error {
	v.dayMu.Lock()
	defer v.dayMu.Unlock()
	if v.day == day && exists(filepath.Join(v.dir, day)) {
		return nil
	}
	if err := v.disk.makeDirs(v.dir, day); err != nil {
		return err
	}
	v.day = day
	return nil
}

func (v *Vault) recorder(m Meta, dir string, lock *os.File, begun time.Time) *Recorder {
	r := &Recorder{
		vault: v, meta: m, dir: dir, lock: lock, fault: newFault(), urgent: make(chan struct{}, 1),
		every: v.every, stopped: make(chan struct{}), runs: true, over: make(chan struct{}), flows: map[*flow]struct{}{},
	}
	track := func(s stream) *journal {
		return &journal{
			disk: v.disk, dir: dir, stream: s, begun: begun, limit: v.segment, oldest: v.every, signer: v.signer,
			now: v.now, fault: r.fault, room: func() error { return v.room(v.reserve / 2) }, id: m.Session, rouse: r.rouse, urgent: r.urgent,
		}
	}
	r.out, r.in = track(output), track(input)
	return r
}

// begin makes the manifest and the first segments durable: manifest, folder,
// and the folder of the day. The segments' own content follows with the first
// sync; an empty segment is as good as a header.
func (r *Recorder) begin(begun time.Time) error {
	raw, err := enclose(r.vault.signer, domainManifest, manifest{Version: formatVersion, Begun: gateway.Instant(begun), Meta: r.meta})
	if err != nil {
		return err
	}
	r.manifest = gateway.DigestOf(raw)
	if err := r.out.open(r.manifest); err != nil {
		return err
	}
	if err := r.in.open(r.manifest); err != nil {
		return err
	}
	if err := r.vault.disk.writeFile(r.dir, manifestName, raw); err != nil {
		return err
	}
	return r.vault.disk.syncDir(filepath.Dir(r.dir))
}

// room refuses when fewer than least bytes are free.
func (v *Vault) room(least uint64) error {
	free, err := v.disk.free(v.dir)
	if err != nil {
		return err
	}
	if free < least {
		return fmt.Errorf("the disk of the recordings has %d MiB free and %d MiB are kept in reserve", free>>20, least>>20)
	}
	return nil
}

// recorderOf finds a recording that this process writes.
func (v *Vault) recorderOf(session string) *Recorder {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.live[session]
}

func (v *Vault) forget(r *Recorder) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.live, r.meta.Session)
}

// find answers the folder of a recording.
func (v *Vault) find(session string) (string, error) {
	if err := gateway.CheckName("session", session); err != nil {
		return "", err
	}
	for day, err := range v.days() {
		if err != nil {
			return "", err
		}
		dir := filepath.Join(day, session)
		if _, err := os.Lstat(dir); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", gateway.Unavailable("recorder", err)
		}
	}
	return "", gateway.NotFound("recording", session)
}

// days yields the folders of the days, newest first.
func (v *Vault) days() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		days, err := fs.Glob(os.DirFS(v.dir), dayGlob)
		if err != nil {
			yield("", gateway.Internal(err))
			return
		}
		for i := len(days) - 1; i >= 0; i-- { // Glob sorts
			if !yield(filepath.Join(v.dir, days[i]), nil) {
				return
			}
		}
	}
}

// nameStream reads the stream out of a segment's name.
func nameStream(name string) stream {
	if strings.HasPrefix(name, input.String()) {
		return input
	}
	return output
}
