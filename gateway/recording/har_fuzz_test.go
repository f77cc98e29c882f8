package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// FuzzArchive puts anything that a damaged track may hold together, in any
// order: what comes of it is JSON with an entry for each request.
func FuzzArchive(f *testing.F) {
	f.Add(`{"part":"request","n":1,"method":"GET","url":"/a?b=%zz"}`+"\n"+`{"part":"response","n":1,"status":101}`+"\n"+`{"part":"message","n":1,"opcode":1}`+"\n"+`{"part":"end","n":1}`, "\xff text")
	f.Add(`{"part":"request","n":1,"refused":"no","rule":"r"}`+"\n"+`{"part":"shown","n":1}`+"\n"+`{"part":"request","n":1}`, "")
	f.Add(`{"part":"end","n":7,"shown":{"bytes":-5}}`, "x")
	f.Fuzz(func(t *testing.T, tracks, body string) {
		var out bytes.Buffer
		a := &archive{w: bufio.NewWriter(&out)}
		a.print(`{"log":{"entries":[`)
		began := 0
		for i, line := range strings.Split(tracks, "\n") {
			e := HTTPEvent{At: time.Duration(i), Body: []byte(body)}
			if json.Unmarshal([]byte(line), &e.Record) != nil {
				continue
			}
			if a.open[e.Record.N] == nil && e.Record.Part == gateway.HTTPRequest {
				began++
			}
			must(t, a.take(e))
		}
		a.finish(Info{}, nil)
		must(t, a.w.Flush())
		var file harFile
		if err := json.Unmarshal(out.Bytes(), &file); err != nil || len(file.Log.Entries) != began || a.held != 0 {
			t.Fatalf("%d entries of %d, %d bytes held, %v: %s", len(file.Log.Entries), began, a.held, err, out.Bytes())
		}
	})
}
