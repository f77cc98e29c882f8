package transfer

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/portcullis/portcullis/gateway"
)

// The bounds of one SFTP channel.
const (
	// maxPending bounds the requests without an answer. One kind of client asks
	// for a whole file at once: at 32 KiB each this is 2 GiB.
	maxPending = 64 << 10
	// maxNamed bounds the paths of requests without an answer, in bytes.
	maxNamed = 1 << 20
	// maxOpen bounds the files and folders that are open or being opened.
	maxOpen = 1024
	// maxRefused bounds the refusals, each of which is recorded.
	maxRefused = 4096
	// maxWhy bounds what the index keeps of a target's words.
	maxWhy = 200
)

// version is the one that is spoken: what all servers in use speak. A client
// that offers more is offered down.
const version = 3

// extensions are the requests beyond version 3 that are understood. The
// target's list is cut down to them.
var extensions = map[string]bool{
	"posix-rename@openssh.com": true, "statvfs@openssh.com": true, "fstatvfs@openssh.com": true,
	"hardlink@openssh.com": true, "fsync@openssh.com": true, "lsetstat@openssh.com": true,
	"limits@openssh.com": true, "expand-path@openssh.com": true, "copy-data": true,
	"users-groups-by-id@openssh.com": true, "home-directory": true,
}

// sftp is the tap of an SFTP channel. Lock order: mu and out are never held
// together, and neither while bytes go to the target.
type sftp struct {
	sink  Sink
	reply func([]byte) error
	sums  summer
	again bool // a recording is played: answers of ours stand among the target's

	client  packets // of the goroutine that calls Client
	target  packets // of the goroutine that calls Target
	greeted bool    // of the goroutine that calls Client
	agreed  bool    // of the goroutine that calls Target

	out sync.Mutex // one packet at a time towards the client

	mu      sync.Mutex // guards what follows, and the sink
	asked   bool       // INIT has come
	pending map[uint32]request
	handles map[string]*handle // that may be used
	open    map[*handle]bool   // that were not told yet
	opening int                // opens without an answer
	named   int                // bytes of paths in pending
	refused int
	room    int // for bytes out of order
}

func newSFTP(s Sink, reply func([]byte) error) *sftp {
	return &sftp{
		sink: s, reply: reply, room: maxAhead,
		pending: map[uint32]request{}, handles: map[string]*handle{}, open: map[*handle]bool{},
	}
}

// request is what was asked of the target and not answered yet.
type request struct {
	kind   byte // fxp…, or one of the kinds below for an extension
	h      *handle
	file   *gateway.File // told when the answer is here; nil is nothing to tell
	offset uint64        // read, write
	n      uint32        // read: how much may come; write: how much went
	size   int64         // fsetstat: the new size, or -1
	opens  *handle       // open, opendir: what is made of the handle
}

// Kinds of extended requests by their answers; no packet has these types.
const (
	extLimits = 240 + iota
	extStatvfs
	extNames
	extUsers
	extStatus
)

// Client implements Tap.
func (s *sftp) Client(p []byte, forward func([]byte) error) error {
	return s.client.each(p, s.ask, forward)
}

// Target implements Tap. Whole packets go on only, so that an answer of ours
// never lands inside one.
func (s *sftp) Target(p []byte, forward func([]byte) error) error {
	return s.target.each(p, s.answer, func(b []byte) error {
		s.out.Lock()
		defer s.out.Unlock()
		return forward(b)
	})
}

// Close implements Tap.
func (s *sftp) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range slices.SortedFunc(maps.Keys(s.open), func(a, b *handle) int { return strings.Compare(a.path, b.path) }) {
		h.tell(s, gateway.FileCut, "")
	}
	for _, r := range s.pending {
		if r.file != nil {
			r.file.Verdict = gateway.FileCut
			s.sink.File(*r.file)
		}
	}
	clear(s.pending)
	clear(s.handles)
}

// ask looks at one packet of the client's.
func (s *sftp) ask(pkt []byte) ([]byte, error) {
	if !s.greeted {
		return s.greet(pkt)
	}
	r := &reader{p: pkt[5:]}
	id := r.uint32()
	if r.bad {
		return nil, broken("an SFTP request without a number is not carried")
	}
	s.mu.Lock()
	no, err := s.request(pkt[4], id, r)
	s.mu.Unlock()
	if err != nil || no == nil {
		return pkt, err
	}
	b := append(make([]byte, 4, 64), fxpStatus)
	b = binary.BigEndian.AppendUint32(b, id)
	b = binary.BigEndian.AppendUint32(b, no.code)
	b = appendString(appendString(b, clean(no.text, maxPath)), "en")
	s.out.Lock()
	defer s.out.Unlock()
	return nil, s.reply(packet(b))
}

// greet takes the client's INIT, and passes on one of version 3.
func (s *sftp) greet(pkt []byte) ([]byte, error) {
	r := &reader{p: pkt[5:]}
	v := r.uint32()
	if pkt[4] != fxpInit || r.bad {
		return nil, broken("what the client sent is not SFTP")
	}
	if v < version {
		return nil, broken("SFTP version %d is not carried; version 3 is", v)
	}
	s.greeted = true
	s.mu.Lock()
	s.asked = true
	s.mu.Unlock()
	if v == version && len(r.p) == 0 {
		return pkt, nil
	}
	return packet(binary.BigEndian.AppendUint32(append(make([]byte, 4, 9), fxpInit), version)), nil
}

// agree takes the target's VERSION, and passes on the extensions that are
// understood.
func (s *sftp) agree(pkt []byte) ([]byte, error) {
	r := &reader{p: pkt[5:]}
	v := r.uint32()
	s.mu.Lock()
	asked := s.asked
	s.mu.Unlock()
	if pkt[4] != fxpVersion || r.bad || !asked {
		return nil, broken("what the target sent is not SFTP: its account may print something when it logs in")
	}
	if v != version {
		return nil, broken("the target speaks version %d of SFTP, and version 3 is carried", v)
	}
	b := binary.BigEndian.AppendUint32(append(make([]byte, 4, len(pkt)), fxpVersion), version)
	for len(r.p) > 0 {
		name, value := string(r.string()), string(r.string())
		if r.bad {
			return nil, broken("the target's list of SFTP extensions cannot be read")
		}
		if extensions[name] {
			b = appendString(appendString(b, name), value)
		}
	}
	s.agreed = true
	return packet(b), nil
}
