package httpsproxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// The closing page says that it is one, why, and sends back only those who can
// come back.
func TestClosingPage(t *testing.T) {
	g, err := newPages()
	if err != nil {
		t.Fatal(err)
	}
	for reason, again := range map[gateway.EndReason]bool{
		gateway.EndSuspended: false, gateway.EndRevoked: false, gateway.EndWindow: false, gateway.EndHostKey: false, gateway.EndNotGranted: false, gateway.EndVolume: false,
		gateway.EndIdle: true, gateway.EndByStaff: true, gateway.EndStopping: true,
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://pump-web.localhost/", nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		g.refuse(w, r, 401, endedError(&gateway.Ended{Reason: reason}), "http://localhost")
		page := w.Body.String()
		for _, words := range []string{"<h1>This console is closed</h1>", "This session has ended: ", string(reason)} {
			if !strings.Contains(page, words) {
				t.Errorf("%s: the page lacks %q: %s", reason, words, page)
			}
		}
		if strings.Contains(page, "open it anew") != again {
			t.Errorf("%s: sends back %t, want %t", reason, !again, again)
		}
	}
}
