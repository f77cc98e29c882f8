package recording

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// FuzzRecordsAreAsTheLibraryWritesThem: every field, with every text.
func FuzzRecordsAreAsTheLibraryWritesThem(f *testing.F) {
	f.Add("request", uint32(1), "/a?b=<c>&\"\\", 200, int64(7), byte(1), true)
	f.Add("", uint32(0), "", 0, int64(-1), byte(0), false)
	f.Add("end", uint32(9), "\x00\xff é\u2028", -5, int64(1<<40), byte(8), true)
	f.Fuzz(func(t *testing.T, part string, n uint32, text string, status int, size int64, op byte, yes bool) {
		r := gateway.HTTPRecord{
			Part: gateway.HTTPPart(part), N: n, Method: text, URL: text, Proto: text, Status: status, File: text, Refused: text, Rule: text,
			Client: yes, Opcode: op, Redacted: yes, Cut: text,
		}
		if yes {
			r.Header = []gateway.HTTPField{{Name: "A", Value: text}, {Name: text, Redacted: text}}
			r.Sent = &gateway.HTTPBody{Type: text, Bytes: size, Kept: int64(status), SHA256: gateway.DigestOf([]byte(text))}
			r.Shown = &gateway.HTTPBody{Bytes: size}
		}
		want, err := json.Marshal(r)
		must(t, err)
		if got := appendRecord(nil, &r); string(got) != string(want) {
			t.Errorf("written %s\nlibrary %s", got, want)
		}
	})
}

// TestEveryFieldOfARecordIsWritten: one that is added later too.
func TestEveryFieldOfARecordIsWritten(t *testing.T) {
	for kind, want := range map[reflect.Type]int{reflect.TypeFor[gateway.HTTPRecord](): 16, reflect.TypeFor[gateway.HTTPField](): 3, reflect.TypeFor[gateway.HTTPBody](): 4} {
		if kind.NumField() != want {
			t.Errorf("%s has %d fields; appendRecord knows %d", kind, kind.NumField(), want)
		}
	}
}
