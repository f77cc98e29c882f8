package main

import (
	"net/http"
	"time"
)

// webStall is how long somebody may take nothing of what a page sends him. The
// whole answer has no bound: recordings and live updates are streams.
const webStall = time.Minute

// unstalled bounds each write of an answer in time, so that who reads slowly,
// or never, holds a connection and its goroutine no longer than that. Consoles
// bound their answers themselves.
func unstalled(h http.Handler, stall time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := &unstalledWriter{w, http.NewResponseController(w), stall, r.ProtoMajor > 1}
		u.bound() // what the server itself sends, and the rest that it flushes when h has returned
		defer u.unbound()
		h.ServeHTTP(u, r)
	})
}

type unstalledWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	stream  bool // HTTP/2: its time runs also when nothing is written, so that it must be stopped
}

// Unwrap is for http.ResponseController.
func (w *unstalledWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write bounds one write.
func (w *unstalledWriter) Write(p []byte) (int, error) {
	w.bound()
	defer w.unbound()
	return w.ResponseWriter.Write(p)
}

// FlushError bounds one flush.
func (w *unstalledWriter) FlushError() error {
	w.bound()
	defer w.unbound()
	return w.control.Flush()
}

func (w *unstalledWriter) bound() {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.stall)) // not every writer has one
}

// unbound leaves a connection of HTTP/1.1 bounded: the next write, or the next
// answer, sets it anew.
func (w *unstalledWriter) unbound() {
	if w.stream {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}
