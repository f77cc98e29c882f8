package recording

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Both directions of one channel come in the order of time, over the edges of
// segments, and what another channel carried or the target complained stays out.
func TestExchange(t *testing.T) {
	c := newClock()
	v := openVault(t, t.TempDir(), at(c), small(4096), noReserve)
	r := start(t, v, "ses_1")
	files, err := r.Channel(1, gateway.Channel{Kind: gateway.ChannelSFTP})
	must(t, err)
	other, err := r.Channel(2, gateway.Channel{Kind: gateway.ChannelExec, Command: "id"})
	must(t, err)
	var want []string
	for i := range 20 {
		ask, answer := bytes.Repeat([]byte{byte('a' + i)}, 700), bytes.Repeat([]byte{byte('A' + i)}, 900)
		must(t, files.Input(ask))
		must(t, other.Output(Stdout, []byte("not this")))
		must(t, files.Output(Stdout, answer)) // at the same instant as what was asked
		must(t, files.Output(Stderr, []byte("nor this")))
		want = append(want, fmt.Sprint(true, string(ask)), fmt.Sprint(false, string(answer)))
		c.pass(time.Millisecond)
	}
	check := func(when string) {
		t.Helper()
		var got []string
		must(t, v.Exchange(t.Context(), "ses_1", 1, func(client bool, p []byte) error {
			got = append(got, fmt.Sprint(client, string(p)))
			return nil
		}))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %d pieces of %d, or in another order", when, len(got), len(want))
		}
	}
	check("live")
	sealIt(t, r)
	check("sealed")
	enough := errors.New("enough")
	if err := v.Exchange(t.Context(), "ses_1", 1, func(bool, []byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a teller who stops: %v", err)
	}
	if err := v.Exchange(t.Context(), "ses_none", 1, nil); !gateway.IsCode(err, gateway.CodeNotFound) {
		t.Errorf("no such session: %v", err)
	}
}
