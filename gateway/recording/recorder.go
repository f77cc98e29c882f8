package recording

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Recorder writes one session. Its channels may be used from any number of
// goroutines; whoever called Start must call Seal.
type Recorder struct {
	vault    *Vault
	meta     Meta
	dir      string
	lock     *os.File // the folder, held as long as we write
	manifest gateway.Digest
	fault    *fault
	out, in  *journal
	urgent   chan struct{}

	every   time.Duration // the promised age of an unsynced byte
	stopped chan struct{} // closed by Seal: nothing is synced any more but by it
	syncing sync.WaitGroup

	runMu sync.Mutex // guards the next three; taken while a journal's mu is held
	runs  bool       // run is under way
	again bool       // something was written since it last began to sync
	shut  bool       // stopped is closed

	flowsMu sync.Mutex
	flows   map[*flow]struct{} // forwards that have not ended

	sealing sync.Once
	sealed  Sealed
	sealErr error
	over    chan struct{} // closed when Seal has finished: followers read on to the end and leave
}

// Failed is done, with the cause, when a write or a sync did not succeed or
// the disk is nearly full: the session must end, and every later Output is
// refused. It is never done when the recording is sealed in good order.
func (r *Recorder) Failed() context.Context { return r.fault.ctx }

// Bytes answers how much was shown and typed so far.
func (r *Recorder) Bytes() (out, in int64) { return r.out.bytes(), r.in.bytes() }

// Session is the session's identifier.
func (r *Recorder) Session() string { return r.meta.Session }

// rouse has what was written synced. There is a goroutine for it only while
// there is something to sync, so an idle session costs nothing.
func (r *Recorder) rouse() {
	r.runMu.Lock()
	defer r.runMu.Unlock()
	r.again = true
	if !r.runs && !r.shut {
		r.runs = true
		r.syncing.Go(r.run)
	}
}

// run syncs until all that was written is durable. It begins at half the
// promised age, to leave the disk the other half.
func (r *Recorder) run() {
	pause := time.NewTimer(r.every / 2)
	defer pause.Stop()
	for r.writtenOn() {
		pause.Reset(r.every / 2)
		select {
		case <-r.stopped:
			return
		case <-r.urgent:
		case <-pause.C:
		}
		r.runMu.Lock()
		r.again = false
		r.runMu.Unlock()
		if err := r.sync(); err != nil {
			r.vault.log.Error("recording stopped", slog.String("session", r.meta.Session), slog.Any("cause", err))
			_ = r.fault.fail(err)
			return // it runs for ever: nothing is synced after a fault
		}
	}
}

// writtenOn reports whether there is more to sync. It says no once: the next
// write begins another run.
func (r *Recorder) writtenOn() bool {
	r.runMu.Lock()
	defer r.runMu.Unlock()
	r.runs = r.again
	return r.again
}

// stop ends the syncing and waits for the sync that is under way.
func (r *Recorder) stop() {
	r.runMu.Lock()
	if !r.shut {
		r.shut = true
		close(r.stopped)
	}
	r.runMu.Unlock()
	r.syncing.Wait()
}

// sync makes both streams durable and looks whether there is room for more.
func (r *Recorder) sync() error {
	// A sync that hangs in the kernel cannot be called off, but the session
	// must not wait for it.
	stalled := time.AfterFunc(syncStall, func() {
		_ = r.fault.fail(fmt.Errorf("the disk has not answered a sync for %s", syncStall))
	})
	defer stalled.Stop()
	if err := errors.Join(r.out.sync(r.lock), r.in.sync(r.lock)); err != nil {
		return err
	}
	return r.vault.room(r.vault.reserve / 2)
}

// Seal ends the recording: the last segments are closed and synced, the seal
// is written, and from then on Verify holds. Everything that comes later on a
// channel is refused. A second call answers what the first did.
//
// An error means that the recording lies unsealed, whole up to its last frame;
// Recover seals it as interrupted when the disk lets it.
func (r *Recorder) Seal(reason gateway.EndReason) (Sealed, error) {
	r.sealing.Do(func() {
		r.stop()
		r.sealed, r.sealErr = r.seal(reason)
		r.vault.forget(r)
		_ = r.lock.Close() // only now may Recover have it
		close(r.over)
	})
	return r.sealed, r.sealErr
}

func (r *Recorder) seal(reason gateway.EndReason) (Sealed, error) {
	r.out.shut()
	r.in.shut()
	r.sealFlows()
	broken := r.fault.get()
	out, outErr := r.out.close(broken != nil)
	in, inErr := r.in.close(broken != nil)
	if err := errors.Join(outErr, inErr); err != nil {
		return Sealed{}, gateway.Unavailable("recorder", err)
	}
	s := seal{
		Version: formatVersion, Session: r.meta.Session, Manifest: r.manifest, SealedAt: gateway.Instant(r.vault.now()),
		Reason: reason, Interrupted: broken != nil, Segments: append(out, in...),
	}
	if broken != nil {
		s.Fault = errors.Unwrap(broken).Error()
	}
	return r.vault.writeSeal(r.dir, s)
}

// writeSeal adds the segments up and puts seal.json in its place.
func (v *Vault) writeSeal(dir string, s seal) (Sealed, error) {
	for _, seg := range s.Segments {
		if nameStream(seg.Name) == output {
			s.BytesOut += seg.Bytes
		} else {
			s.BytesIn += seg.Bytes
		}
		s.LastMicros = max(s.LastMicros, seg.LastMicros)
		s.Torn += seg.Torn
	}
	raw, err := enclose(v.signer, domainSeal, s)
	if err != nil {
		return Sealed{}, gateway.Internal(fmt.Errorf("seal recording %q: %w", s.Session, err))
	}
	if err := v.disk.writeFile(dir, sealName, raw); err != nil {
		return Sealed{}, gateway.Unavailable("recorder", fmt.Errorf("seal recording %q: %w", filepath.Base(dir), err))
	}
	return s.sealed(gateway.DigestOf(raw)), nil
}
