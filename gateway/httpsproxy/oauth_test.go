package httpsproxy

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portcullis/portcullis/gateway"
)

// TestW26ClientCredentials: a token is asked for, renewed before it runs out,
// and not shown, the renewed one neither.
func TestW26ClientCredentials(t *testing.T) {
	var given atomic.Int32
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if u, p, _ := r.BasicAuth(); u != "svc" || p != canary || r.PostFormValue("grant_type") != "client_credentials" {
				t.Errorf("asked by %s with %s", u, r.PostForm)
			}
			rw.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(rw, `{"access_token":"token-number-%d","token_type":"bearer","expires_in":5}`, given.Add(1))
			return
		}
		fmt.Fprint(rw, r.Header.Get("Authorization"))
	}), func(w *world) {
		w.live.account.Proof = gateway.ProofOAuth2
		w.live.cred = Credential{Proof: gateway.ProofOAuth2, Login: "svc", Secret: canary}
		w.live.account.TokenURL = "https://" + w.target.Listener.Addr().String() + "/token"
	})
	w.enter()
	for range 3 {
		if _, body := w.get("/"); body != "Bearer "+strings.Repeat("*", len("token-number-1")) {
			t.Errorf("%q", body)
		}
	}
	if given.Load() != 4 || w.live.creds != 4 {
		t.Errorf("%d tokens, %d credentials", given.Load(), w.live.creds)
	}
}
