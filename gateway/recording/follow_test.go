package recording

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// TestFollowFromTheBeginningToTheEnd joins a session late, hears what was,
// then what comes, over segments' ends, and leaves with the seal.
func TestFollowFromTheBeginningToTheEnd(t *testing.T) {
	v := openVault(t, t.TempDir(), small(300))
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	must(t, ch.Output(Stdout, []byte("before ")))
	heard := make(chan string)
	ended := make(chan error)
	go func() {
		ended <- v.Follow(t.Context(), "ses_1", func(f Frame) error { heard <- f.Code + " " + f.Data; return nil })
	}()
	var got []string
	for range 3 {
		got = append(got, <-heard)
	}
	for _, s := range []string{"one", "two", "three", "four", "five", "six", "seven"} {
		must(t, ch.Output(Stdout, []byte(s)))
		got = append(got, <-heard)
	}
	must(t, ch.Note("goodbye"))
	got = append(got, <-heard)
	sealIt(t, r)
	must(t, <-ended)
	want := []string{"r 80x24", "m shell", "o before ", "o one", "o two", "o three", "o four", "o five", "o six", "o seven", "m goodbye"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var again []string
	must(t, v.Follow(t.Context(), "ses_1", func(f Frame) error { again = append(again, f.Code+" "+f.Data); return nil }))
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("after the seal: %s", diff)
	}
}

// TestFollowCast gives the same bytes live as Asciicast does afterwards.
func TestFollowCast(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c))
	r := told(t, c, v)
	var lines []string
	ended := make(chan error)
	go func() {
		ended <- v.FollowCast(t.Context(), "ses_1", func(l []byte) error { lines = append(lines, string(l)); return nil })
	}()
	sealIt(t, r)
	must(t, <-ended)
	if diff := cmp.Diff(cast(t, v, "ses_1", 2), lines); diff != "" {
		t.Error(diff)
	}
}

// TestSlowFollowerHoldsNobodyUp lets a follower stand still for good.
func TestSlowFollowerHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := openVault(t, t.TempDir())
		r := start(t, v, "ses_1")
		ch := shell(t, r)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the page was closed")
		stuck, ended := make(chan struct{}), make(chan error)
		go func() {
			ended <- v.Follow(ctx, "ses_1", func(Frame) error { <-stuck; return nil })
		}()
		synctest.Wait()
		for range 1000 {
			must(t, ch.Output(Stdout, []byte("on and on ")))
		}
		sealIt(t, r)
		cancel(gone)
		close(stuck)
		if err := <-ended; !errors.Is(err, gone) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestFollowerLeaves holds that what the follower answers ends it, and that a
// live session with nothing to say does not keep it from leaving.
func TestFollowerLeaves(t *testing.T) {
	v := openVault(t, t.TempDir())
	shell(t, start(t, v, "ses_1"))
	full := errors.New("the browser is gone")
	if err := v.Follow(t.Context(), "ses_1", func(Frame) error { return full }); !errors.Is(err, full) {
		t.Errorf("ended with %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	err := v.Follow(ctx, "ses_1", func(f Frame) error {
		if f.Code == "m" {
			cancel(full)
		}
		return nil
	})
	if !errors.Is(err, full) {
		t.Errorf("ended with %v", err)
	}
	if len(v.recorderOf("ses_1").out.watchers) != 0 {
		t.Error("a follower that left is still told")
	}
	if err := v.Follow(t.Context(), "ses_9", nil); err == nil || !strings.Contains(err.Error(), "ses_9") {
		t.Errorf("follow what is not there: %v", err)
	}
}
