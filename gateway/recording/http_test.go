package recording

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// console begins the one channel of an HTTPS session.
func console(t testing.TB, r *Recorder) *Channel {
	t.Helper()
	c, err := r.Channel(0, gateway.Channel{Kind: gateway.ChannelHTTPS})
	must(t, err)
	return c
}

// What a browser sent lies with what was typed; that it sent something, and
// all that it was shown, lies apart from it.
func TestExchangesAreKeptInTheirTracks(t *testing.T) {
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"))
	r := start(t, v, "ses_1")
	c := console(t, r)
	for _, x := range []struct {
		record gateway.HTTPRecord
		body   string
	}{
		{gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 1, Method: "POST", URL: "/login", Header: []gateway.HTTPField{{Name: "Cookie", Redacted: "0a"}}}, ""},
		{gateway.HTTPRecord{Part: gateway.HTTPSent, N: 1}, "user=ana&word=typed-one"},
		{gateway.HTTPRecord{Part: gateway.HTTPResponse, N: 1, Status: 200}, ""},
		{gateway.HTTPRecord{Part: gateway.HTTPShown, N: 1}, "<p>shown-one"},
		{gateway.HTTPRecord{Part: gateway.HTTPMessage, N: 2, Client: true, Opcode: 1}, "typed-two"},
		{gateway.HTTPRecord{Part: gateway.HTTPMessage, N: 2, Opcode: 1}, "shown-two"},
		{gateway.HTTPRecord{Part: gateway.HTTPEnd, N: 1, Sent: &gateway.HTTPBody{Bytes: 23}}, ""},
	} {
		must(t, c.Exchange(x.record, []byte(x.body)))
	}
	sealed := sealIt(t, r)
	must(t, v.Verify("ses_1"))
	if sealed.BytesIn != int64(len("user=ana&word=typed-one")+len("typed-two")) || sealed.BytesOut != int64(len("<p>shown-one")+len("shown-two")) {
		t.Errorf("the seal counts %d in, %d out", sealed.BytesIn, sealed.BytesOut)
	}
	dir, err := v.find("ses_1")
	must(t, err)
	var told []string
	for f, err := range allFrames(dir, output) {
		must(t, err)
		switch f.kind {
		case kindHTTP:
			var h gateway.HTTPRecord
			must(t, json.Unmarshal(f.payload, &h))
			told = append(told, string(h.Part))
		case kindBody:
			told = append(told, string(f.payload))
		}
	}
	if got, want := strings.Join(told, " "), "request response shown <p>shown-one message message shown-two end"; got != want {
		t.Errorf("the output track tells %q, want %q", got, want)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "output-*"))
	must(t, err)
	for _, s := range segments {
		raw, err := os.ReadFile(s)
		must(t, err)
		if bytes.Contains(raw, []byte("typed-")) {
			t.Errorf("%s holds what was typed", s)
		}
	}
}

// What no frame can hold is refused, and the recording goes on.
func TestExchangeRefusesWhatItCannotHold(t *testing.T) {
	v := openVault(t, filepath.Join(t.TempDir(), "recordings"))
	r := start(t, v, "ses_1")
	c := console(t, r)
	for name, err := range map[string]error{
		"a long URL":  c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 1, URL: strings.Repeat("a", maxPayload)}, nil),
		"a long body": c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPShown, N: 1}, make([]byte, MaxHTTPBody+1)),
	} {
		if !gateway.IsCode(err, gateway.CodeInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 2}, nil))
	sealIt(t, r)
	must(t, v.Verify("ses_1"))
}
