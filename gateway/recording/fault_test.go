package recording

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// limitFiles lets no file grow beyond limit bytes until the test ends: the
// kernel then takes a part of a write, and refuses the rest, as a full disk
// does.
func limitFiles(t *testing.T, limit uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var was syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: was.Max}))
	lift = func() {
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))
		signal.Reset(syscall.SIGXFSZ)
	}
	t.Cleanup(lift)
	return lift
}

// mustFail waits for the recorder's own word that it cannot go on.
func mustFail(t *testing.T, r *Recorder) {
	t.Helper()
	select {
	case <-r.Failed().Done():
		if err := context.Cause(r.Failed()); !gateway.IsCode(err, gateway.CodeUnavailable) {
			t.Errorf("the recorder failed with %v", err)
		}
	case <-t.Context().Done():
	}
}

// fillUp writes until a write is refused and answers what was let through.
func fillUp(t *testing.T, ch *Channel) (shown int) {
	t.Helper()
	for {
		p := patternAt(shown, 1000)
		err := ch.Output(Stdout, p)
		if gateway.IsCode(err, gateway.CodeUnavailable) {
			return shown
		}
		must(t, err)
		shown += len(p)
	}
}

// TestP3WriteFails lets a write be taken in part: what was let through is
// recorded, nothing more is, and the seal says that it was interrupted.
func TestP3WriteFails(t *testing.T) {
	v := openVault(t, t.TempDir(), noReserve)
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	lift := limitFiles(t, 50_000)
	shown := fillUp(t, ch)
	mustFail(t, r)
	if err := ch.Input([]byte("x")); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("input after the fault: %v", err)
	}
	lift()
	s := sealIt(t, r)
	if s.BytesOut != int64(shown) {
		t.Errorf("%d bytes are recorded, %d were shown", s.BytesOut, shown)
	}
	must(t, v.Verify("ses_1"))
	info, err := v.Find("ses_1")
	must(t, err)
	if info.State != Interrupted || !strings.Contains(info.Fault, "too large") {
		t.Errorf("%+v", info)
	}
}

//
//
// TestP3DiskIsFull fills a real small disk, so that not even the footer finds
// room: the recording stays unsealed, whole, and is recovered when there is
// room again.
func TestP3DiskIsFull(t *testing.T) {
	dir, grow := smallDisk(t)
	v := openVault(t, dir, noReserve, small(16<<10))
	r := start(t, v, "ses_1")
	shown := fillUp(t, shell(t, r))
	mustFail(t, r)
	if _, err := v.Start(t.Context(), metaOf("ses_2")); !gateway.IsCode(err, gateway.CodeUnavailable) {
		t.Errorf("start on a full disk: %v", err)
	}
	if _, err := r.Seal(gateway.EndRecorder); err == nil {
		t.Log("the truncated frame left room for the seal")
	} else if info, err := v.Find("ses_1"); err != nil || info.State != Unsealed {
		t.Errorf("%+v, %v", info, err)
	}
	grow()
	_, err := v.Recover(t.Context())
	must(t, err)
	must(t, v.Verify("ses_1"))
	info, err := v.Find("ses_1")
	must(t, err)
	if info.State != Interrupted || info.BytesOut != int64(shown) {
		t.Errorf("%d bytes were shown: %+v", shown, info)
	}
}

// smallDisk mounts a disk of 256 KiB where the machine lets us, and elsewhere
// limits the files of this process to as much.
func smallDisk(t *testing.T) (dir string, grow func()) {
	t.Helper()
	dir = t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k")
	if errors.Is(err, syscall.EPERM) {
		return dir, limitFiles(t, 15_000)
	}
	must(t, err)
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir, func() { must(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m")) }
}

// what Start has answered is durable before it answers: the signed
// manifest, the entry of each folder above it, and a sync that fails or hangs
// lets nothing begin.
func TestP3DurableBeforeAnythingBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := openVault(t, t.TempDir())
		synced := map[string]bool{}
		var broken error
		hung := make(chan struct{})
		close(hung)
		v.disk.sync = func(f *os.File) error {
			<-hung
			synced[f.Name()] = true
			return broken
		}
		r := start(t, v, "ses_1")
		day := filepath.Dir(r.dir)
		for _, name := range []string{filepath.Join(r.dir, manifestName+".new"), r.dir, day, v.dir} {
			if !synced[name] {
				t.Errorf("a recording began before %s was synced", name)
			}
		}
		sealIt(t, r)
		broken = syscall.EIO
		if _, err := v.Start(t.Context(), metaOf("ses_2")); !gateway.IsCode(err, gateway.CodeUnavailable) {
			t.Errorf("began on a disk that does not sync: %v", err)
		}
		broken, hung = nil, make(chan struct{})
		begun := make(chan *Recorder)
		go func() { begun <- start(t, v, "ses_3") }()
		time.Sleep(time.Minute)
		select {
		case <-begun:
			t.Error("began while the disk did not answer")
		default:
		}
		close(hung)
		sealIt(t, <-begun)
	})
}

// TestP3SyncFails ends the session within a second of the disk's first no.
func TestP3SyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := openVault(t, t.TempDir())
		var broken atomic.Bool
		v.disk.sync = func(*os.File) error {
			if broken.Load() {
				return syscall.EIO
			}
			return nil
		}
		r := start(t, v, "ses_1")
		time.Sleep(time.Second) // the new folder's own sync is over
		broken.Store(true)
		begun := time.Now()
		ch := shell(t, r)
		mustFail(t, r)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("told after %s", took)
		}
		if err := ch.Output(Stdout, []byte("x")); !gateway.IsCode(err, gateway.CodeUnavailable) {
			t.Errorf("output after the fault: %v", err)
		}
		broken.Store(false)
		sealIt(t, r)
		if info, err := v.Find("ses_1"); err != nil || info.State != Interrupted || !strings.Contains(info.Fault, "input/output") {
			t.Errorf("%+v, %v", info, err)
		}
		must(t, v.Verify("ses_1"))
	})
}

// TestP3PowerCutTakesASecond runs against a disk that needs 700 ms for a sync:
// however long it takes, no byte is let through while one that is older than a
// second is not synced.
func TestP3PowerCutTakesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := openVault(t, t.TempDir())
		type shownAt struct {
			end int64
			at  time.Time
		}
		var shown []shownAt // of this test's goroutine
		synced := make(chan int64, 100)
		v.disk.sync = func(f *os.File) error {
			info, err := f.Stat()
			if err != nil || !strings.HasSuffix(f.Name(), segmentName(output, 1)) {
				return err
			}
			time.Sleep(700 * time.Millisecond) // the slow disk itself
			synced <- info.Size()
			return nil
		}
		r := start(t, v, "ses_1")
		ch := shell(t, r)
		var end, durable int64
		for range 500 {
			time.Sleep(10 * time.Millisecond) // the target's pace
			must(t, ch.Output(Stdout, []byte("0123456789")))
			for len(synced) > 0 {
				durable = max(durable, <-synced)
			}
			r.out.mu.Lock()
			end = r.out.size
			r.out.mu.Unlock()
			shown = append(shown, shownAt{end, time.Now()})
			for _, s := range shown {
				if age := time.Since(s.at); s.end > durable && age > DefaultSyncEvery {
					t.Fatalf("a byte was shown %s ago and is not synced", age)
				}
			}
		}
		if durable == 0 {
			t.Error("nothing was synced")
		}
		sealIt(t, r)
	})
}

// TestP3DiskHangs holds output back while a sync hangs, and gives the session
// up when it hangs for too long. An idle session does not sync.
func TestP3DiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := openVault(t, t.TempDir())
		var hangs atomic.Bool
		var syncs atomic.Int32
		hung := make(chan struct{})
		v.disk.sync = func(*os.File) error {
			syncs.Add(1)
			if hangs.Load() {
				<-hung
			}
			return nil
		}
		r := start(t, v, "ses_1")
		ch := shell(t, r)
		time.Sleep(time.Second)
		before := syncs.Load()
		time.Sleep(time.Hour)
		if n := syncs.Load() - before; n != 0 {
			t.Errorf("an idle session synced %d times", n)
		}
		hangs.Store(true)
		must(t, ch.Output(Stdout, []byte("a")))
		time.Sleep(1500 * time.Millisecond)
		held := make(chan error)
		begun := time.Now()
		go func() { held <- ch.Output(Stdout, []byte("b")) }()
		if err := <-held; !gateway.IsCode(err, gateway.CodeUnavailable) {
			t.Errorf("output of a hung disk: %v", err)
		}
		if took := time.Since(begun); took < time.Second || took > syncStall {
			t.Errorf("held back for %s", took)
		}
		mustFail(t, r)
		close(hung)
		if s := sealIt(t, r); s.BytesOut != 1 {
			t.Errorf("sealed %+v", s)
		}
	})
}

// TestReserve refuses to start when the disk is nearly full, and ends what is
// live while there is still room to seal it.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := openVault(t, t.TempDir())
		var free atomic.Uint64
		v.disk.free = func(string) (uint64, error) { return free.Load(), nil }
		free.Store(DefaultReserve)
		r := start(t, v, "ses_1")
		ch := shell(t, r)
		free.Store(DefaultReserve/2 + 1)
		if _, err := v.Start(t.Context(), metaOf("ses_2")); !gateway.IsCode(err, gateway.CodeUnavailable) {
			t.Errorf("start: %v", err)
		}
		time.Sleep(2 * time.Second)
		must(t, ch.Output(Stdout, []byte("a")))
		free.Store(DefaultReserve/2 - 1)
		mustFail(t, r)
		sealIt(t, r)
		must(t, v.Verify("ses_1"))
		if info, err := v.Find("ses_1"); err != nil || info.State != Interrupted || !strings.Contains(info.Fault, "reserve") {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

// a target that fills the disk between two syncs is stopped while the
// reserve is still there: no time passes here at all.
func TestReserveIsKeptFromAFastTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := openVault(t, t.TempDir())
		free := uint64(DefaultReserve)
		v.disk.free = func(string) (uint64, error) { return free, nil }
		r := start(t, v, "ses_1")
		ch := shell(t, r)
		piece, written := make([]byte, 64<<10), 0
		for free = DefaultReserve/2 - 1; written < 2*roomStep; written += len(piece) {
			if err := ch.Output(Stdout, piece); err != nil {
				break
			}
		}
		if written >= 2*roomStep {
			t.Errorf("%d bytes were written with the reserve gone", written)
		}
		sealIt(t, r)
		if info, err := v.Find("ses_1"); err != nil || info.State != Interrupted || !strings.Contains(info.Fault, "reserve") {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

// TestSealLetsGo holds that who waits for the disk is told of the seal, and
// that what a forward has let through by then is in its account.
func TestSealLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := openVault(t, t.TempDir())
		r := start(t, v, "ses_1")
		held := map[*Channel]chan error{shell(t, r): make(chan error), forward(t, r, 2): make(chan error)}
		for ch := range held {
			must(t, ch.Output(Stdout, []byte("in time")))
		}
		r.stop() // as Seal does first
		time.Sleep(2 * time.Second)
		for ch, answer := range held {
			go func() { answer <- ch.Output(Stdout, []byte("late")) }()
		}
		synctest.Wait()
		sealIt(t, r)
		for _, answer := range held {
			if err := <-answer; !gateway.IsCode(err, gateway.CodeConflict) {
				t.Errorf("output held back over the seal: %v", err)
			}
		}
		if all := flows(t, v, "ses_1"); all[len(all)-1].SHA256Out != gateway.DigestOf([]byte("in time")) {
			t.Errorf("the forward is told as %+v", all[len(all)-1])
		}
	})
}
