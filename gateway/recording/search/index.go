package search

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/recording"
)

// Recordings is what the index is made of; *recording.Vault is one.
type Recordings interface {
	List(ctx context.Context, q recording.Query) ([]recording.Info, error)
	Find(session string) (recording.Info, error)
	Events(ctx context.Context, session string, tell func(recording.Event) error) error
	Live() []string
	// Room is nil while the disk has room for more than recordings.
	Room() error
}

// maxQueue bounds the sessions that wait for their turn by name. Beyond, the
// list of recordings is compared with the index instead.
const maxQueue = 1024

// Index is the index of all recordings. Its methods may be called from many
// goroutines; Run must be running for anything to be added.
type Index struct {
	path string
	recs Recordings
	log  *slog.Logger

	mu sync.RWMutex // held for writing while the file is made anew
	db *database

	waitMu  sync.Mutex
	ended   map[string]bool // sessions that ended here and are not indexed yet
	missing int             // further recordings that are not
	failed  int             // of those that were tried since the last comparison
	bell    chan struct{}
	queue   []string
	compare bool // the list of recordings with the index
	remake  bool // the file is damaged
}

// Open opens the index at path, and makes it where there is none that can be
// used.
func Open(path string, recs Recordings, log *slog.Logger) (*Index, error) {
	db, err := openDatabase(path)
	if err != nil {
		return nil, gateway.Unavailable("search", err)
	}
	return &Index{path: path, recs: recs, log: log, db: db, ended: map[string]bool{}, bell: make(chan struct{}, 1), compare: true}, nil
}

// Close closes the file. Run must have returned.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.db.close()
}

// Ended tells that a session's recording is sealed. It never waits.
func (x *Index) Ended(session string) {
	x.waitMu.Lock()
	if len(x.queue) < maxQueue {
		x.queue = append(x.queue, session)
		x.ended[session] = true
	} else {
		x.compare = true
	}
	x.waitMu.Unlock()
	x.ring()
}

func (x *Index) ring() {
	select {
	case x.bell <- struct{}{}:
	default: // it rings already
	}
}

// use lets f work with the file. What shows that it is damaged has it made
// anew.
func (x *Index) use(f func(*database) error) error {
	x.mu.RLock()
	err := f(x.db)
	x.mu.RUnlock()
	if err == nil || !broken(err) {
		return err
	}
	x.waitMu.Lock()
	x.remake = true
	x.waitMu.Unlock()
	x.ring()
	return gateway.Unavailable("search", err)
}

// anew throws the file away and opens an empty one.
func (x *Index) anew() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := errors.Join(x.db.close(), removeDatabase(x.path)); err != nil {
		return err
	}
	db, err := openDatabase(x.path)
	if err == nil {
		x.db = db
	}
	return err
}
