package recording

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway"
)

// TestEvents tells what was shown and when a line was sent, in the order of
// time, and never what was typed.
func TestEvents(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c))
	r := start(t, v, "ses_1")
	ch := shell(t, r)
	c.pass(time.Second)
	must(t, ch.Output(Stdout, []byte("$ ")))
	c.pass(time.Second)
	must(t, ch.Input([]byte("secret\r\r")))
	c.pass(time.Second)
	must(t, ch.Output(Stdout, []byte("\r\n")))
	must(t, ch.Resize(100, 30))
	must(t, ch.Note("a note"))
	must(t, ch.File(gateway.File{Op: gateway.FileRead, Path: "/f"}))
	exec, err := r.Channel(2, gateway.Channel{Kind: gateway.ChannelExec, Command: "cat"})
	must(t, err)
	must(t, exec.Input([]byte("a file\n")))
	must(t, exec.Exit(nil, ""))
	if live := v.Live(); !slices.Equal(live, []string{"ses_1"}) {
		t.Errorf("live: %v", live)
	}
	sealIt(t, r)
	if live := v.Live(); len(live) != 0 {
		t.Errorf("live after the end: %v", live)
	}

	var got []string
	must(t, v.Events(t.Context(), "ses_1", func(e Event) error {
		said := map[string]bool{
			"opened": e.Opened != nil, fmt.Sprintf("output %q", e.Output): e.Output != nil, "size": e.Size != nil, "entered": e.Entered,
			"note " + e.Note: e.Note != "", "file": e.File != nil, "flow": e.Flow != nil, "exited": e.Exited,
		}
		for what, is := range said {
			if is {
				got = append(got, fmt.Sprintf("%s %d %s", e.At, e.Channel, what))
			}
		}
		return nil
	}))
	want := []string{"0s 1 opened", `1s 1 output "$ "`, "2s 1 entered", "2s 1 entered", `3s 1 output "\r\n"`, "3s 1 size", "3s 1 note a note", "3s 1 file", "3s 2 opened", "3s 2 exited"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := v.Events(t.Context(), "ses_9", nil); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("events of what is not there: %v", err)
	}
}
