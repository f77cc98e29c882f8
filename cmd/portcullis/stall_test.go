package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Somebody who takes nothing of a long answer is not waited for, over either
// protocol; an answer that pauses for longer than that is not cut.
func TestWhoTakesNothingIsLetGo(t *testing.T) {
	const stall = 200 * time.Millisecond
	failed, paused := make(chan error, 2), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for piece := make([]byte, 64<<10); err == nil; {
			_, err = w.Write(piece)
		}
		failed <- err
	})
	mux.HandleFunc("/pause", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush()
		<-paused
		_, _ = io.WriteString(w, "b")
	})
	srv := httptest.NewUnstartedServer(unstalled(mux, stall))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	for _, protocol := range []string{"http/1.1", "h2"} {
		c := srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		c.NextProtos = []string{protocol}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: protocol == "h2"}}
		r, err := client.Get(srv.URL + "/long") // and its body is not read
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-failed:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: a handler waits for who takes nothing", protocol)
		}
		r.Body.Close()
		client.CloseIdleConnections()
	}
	var bodies []io.ReadCloser
	for _, h2 := range []bool{false, true} {
		tr := srv.Client().Transport.(*http.Transport).Clone()
		tr.TLSClientConfig.NextProtos = map[bool][]string{false: {"http/1.1"}, true: {"h2"}}[h2]
		tr.ForceAttemptHTTP2 = h2
		r, err := (&http.Client{Transport: tr}).Get(srv.URL + "/pause")
		if err != nil {
			t.Fatal(err)
		}
		defer tr.CloseIdleConnections()
		bodies = append(bodies, r.Body)
	}
	time.AfterFunc(3*stall, func() { close(paused) })
	for i, b := range bodies {
		if got, err := io.ReadAll(b); err != nil || string(got) != "ab" {
			t.Errorf("%d: an answer that paused: %q, %v", i, got, err)
		}
		b.Close()
	}
}
