package recording

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

const (
	fileMode = 0o600
	dirMode  = 0o700

	// roomStep is how many bytes may be written before it is looked whether there
	// is room for more: a sync, which looks too, may be half a second away, and a
	// fast target fills in that time what is kept for sealing and for the log.
	roomStep = 1 << 20

	// maxFrames bounds the frames that are written with one system call.
	maxFrames = 4

	// maxClosing bounds the full segments that wait for their sync.
	maxClosing = 16
)

var errSealed = errors.New("the recording is sealed")

// journal writes one stream of a recording, segment by segment. append may be
// called from any goroutine; sync from the recorder's run alone; close once,
// after that has ended.
type journal struct {
	disk   disk
	dir    string
	stream stream
	begun  time.Time
	limit  int64         // a segment is closed when it would grow beyond
	oldest time.Duration // how old an unsynced byte may get
	signer Signer
	now    func() time.Time
	fault  *fault
	room   func() error // nil while a recording may go on
	id     string
	rouse  func()          // there is something to sync; called with mu held
	urgent chan<- struct{} // cap 1: a segment is full, sync now

	mu       sync.Mutex
	file     *os.File
	seed     uint32
	seq      uint32
	size     int64 // of the current segment up to its last whole frame
	unlooked int64 // bytes since room was asked
	counts   counts
	hash     hash.Hash // of the current segment
	done     []segmentSeal
	total    uint64 // data bytes of all segments
	last     time.Duration
	ended    bool                       // the current segment has its footer
	closed   bool                       // append is refused
	closing  []*os.File                 // full, not synced yet
	newDir   bool                       // the folder has an entry that is not synced yet
	dirty    time.Time                  // since when there are unsynced bytes; zero: none
	syncing  time.Time                  // the same for the sync under way
	synced   chan struct{}              // closed when the sync under way ends; nil when nobody waits
	watchers map[chan struct{}]struct{} // followers, each told at most once until it looks

	heads [maxFrames][frameHead]byte
	tails [maxFrames][frameTail]byte
	vec   [3 * maxFrames][]byte
}

// open makes the first segment. previous is the digest of the manifest.
func (j *journal) open(previous gateway.Digest) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.begin(previous)
}

// begin makes the next segment and writes its header.
func (j *journal) begin(previous gateway.Digest) error {
	name := segmentName(j.stream, j.seq+1)
	f, err := os.OpenFile(filepath.Join(j.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, fileMode)
	if err != nil {
		return err
	}
	b := header{stream: j.stream, seq: j.seq + 1, begun: j.begun.UnixMicro(), session: j.id, previous: previous}.encode()
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.seq, j.size, j.counts, j.newDir = f, j.seq+1, headerSize, counts{}, true
	j.ended = false
	j.seed = binary.BigEndian.Uint32(b[headerSize-4:])
	j.hash = sha256.New()
	j.hash.Write(b)
	j.touch(j.now())
	return nil
}

// append writes one frame with one system call and returns when the kernel
// has it: from then on only the loss of power can take it back.
func (j *journal) append(k kind, channel uint32, payload []byte) error {
	return j.appendAll(channel, part{k, payload})
}

// part is what one frame of several is to hold.
type part struct {
	kind    kind
	payload []byte
}

// appendAll writes at most maxFrames of one moment, next to each other in one
// segment.
func (j *journal) appendAll(channel uint32, parts ...part) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, p := range parts {
		n += frameHead + len(p.payload) + frameTail
	}
	now, err := j.ready(int64(n))
	if err != nil {
		return err
	}
	if j.unlooked += int64(n); j.unlooked >= roomStep {
		j.unlooked = 0
		if err := j.room(); err != nil {
			return j.fault.fail(err)
		}
	}
	if err := j.put(channel, j.clock(now), parts...); err != nil {
		return j.fault.fail(err) // what the kernel took of the frames, close cuts off, or Recover
	}
	j.touch(now)
	for w := range j.watchers {
		ring(w)
	}
	return nil
}

// clock is the time of a frame: it never runs back, whatever the clock does.
func (j *journal) clock(now time.Time) time.Duration {
	j.last = max(j.last, now.Sub(j.begun).Truncate(time.Microsecond))
	return j.last
}

// put writes frames and counts them. It allocates nothing and copies no
// payload: the payload goes to the kernel from where it lies.
func (j *journal) put(channel uint32, at time.Duration, parts ...part) error {
	vec := j.vec[:0]
	for i, p := range parts {
		head, tail := &j.heads[i], &j.tails[i]
		putHead(head, p.kind, channel, at, len(p.payload))
		binary.BigEndian.PutUint32(tail[:], checksum(j.seed, head[:], p.payload))
		vec = append(vec, head[:], p.payload, tail[:])
	}
	err := writev(j.file, vec)
	clear(vec)
	if err != nil {
		return err
	}
	for i, p := range parts {
		j.hash.Write(j.heads[i][:])
		j.hash.Write(p.payload)
		j.hash.Write(j.tails[i][:])
		j.size += int64(frameHead + len(p.payload) + frameTail)
		if p.kind != kindFooter {
			j.counts.add(p.kind, len(p.payload), at)
			if p.kind.data() {
				j.total += uint64(len(p.payload))
			}
		}
	}
	return nil
}

// ready waits until a frame of n bytes may be written: the oldest unsynced
// byte is young enough, and the segment has room or a new one is begun. It
// answers the time, which is asked for once a frame: that costs a tenth of one
// with a single byte in it.
func (j *journal) ready(n int64) (now time.Time, err error) {
	for {
		if err := j.fault.get(); err != nil {
			return now, err
		}
		if j.closed {
			return now, errSealed
		}
		now = j.now()
		full := j.size+n > j.limit && j.counts.frames > 0
		if !j.late(now) && (!full || len(j.closing) < maxClosing) {
			if full {
				return now, j.roll()
			}
			return now, nil
		}
		j.hold()
	}
}

// roll closes the current segment and begins the next. It waits for no disk:
// the full one is synced by the recorder's run.
func (j *journal) roll() error {
	full := j.file
	s, err := j.finish(false)
	if err == nil {
		err = j.begin(s.Digest)
	}
	if err != nil {
		return j.fault.fail(err)
	}
	j.closing = append(j.closing, full)
	ring(j.urgent)
	return nil
}

// finish writes the footer and notes the segment for the seal.
func (j *journal) finish(interrupted bool) (segmentSeal, error) {
	f := footer{interrupted: interrupted, frames: j.counts.frames, data: j.counts.data}
	j.hash.Sum(f.body[:0])
	payload, err := encodeFooter(f, j.signer)
	if err != nil {
		return segmentSeal{}, err
	}
	if err := j.put(0, j.counts.last, part{kindFooter, payload}); err != nil {
		return segmentSeal{}, err
	}
	s := segmentSeal{
		Name: segmentName(j.stream, j.seq), Size: j.size, Interrupted: interrupted,
		Frames: int64(j.counts.frames), Bytes: int64(j.counts.data), LastMicros: j.counts.last.Microseconds(),
	}
	j.hash.Sum(s.Digest[:0])
	j.done, j.ended = append(j.done, s), true
	return s, nil
}

// bytes is how much of the session's own data was written.
func (j *journal) bytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(j.total)
}

// written is how large the files are together, if anything stands in them.
func (j *journal) written() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := int64(0)
	if !j.ended && j.counts.frames > 0 {
		n = j.size
	}
	for _, s := range j.done {
		n += s.Size
	}
	return n
}

// watch registers a follower's bell, which rings after each frame.
func (j *journal) watch(bell chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.watchers == nil {
		j.watchers = map[chan struct{}]struct{}{}
	}
	j.watchers[bell] = struct{}{}
}

func (j *journal) unwatch(bell chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.watchers, bell)
}

// ring rings a bell of capacity one; a bell that rings already is enough.
func ring(bell chan<- struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
