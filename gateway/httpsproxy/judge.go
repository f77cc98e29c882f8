package httpsproxy

import (
	"io"
	"net/http"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

// look reads the beginning of a form that could hold a file, or all of a body
// that is small: it is sent once it is known.
func (x *exchange) look() ([]byte, *gateway.Error) {
	r := x.r
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	multipart := strings.HasPrefix(baseType(r.Header.Get("Content-Type")), "multipart/")
	small := r.ContentLength > 0 && r.ContentLength <= HeldForm && r.Header.Get("Expect") == ""
	if !multipart && !small {
		return nil, nil
	}
	patience(x.w, BodyIdleTime)
	held, err := io.ReadAll(io.LimitReader(r.Body, HeldForm+1))
	patience(x.w, 0)
	if err != nil {
		return nil, badBody()
	}
	return held, nil
}

func badBody() *gateway.Error {
	return gateway.Invalid("body", "the request's body is not as its head says, or came too slowly")
}

// judge asks the abilities.
func (x *exchange) judge(held []byte) *gateway.Error {
	r := x.r
	if no := x.fromElsewhere(); no != nil {
		return no
	}
	q := gateway.HTTPAsk{Method: r.Method, Path: x.path, WebSocket: isWebSocket(r)}
	x.file, q.Upload = x.uploads(held)
	if no := x.c.abilities.LetsHTTP(q); no != nil {
		return no
	}
	if limit := x.c.abilities.MaxUpload; limit > 0 && r.ContentLength > limit {
		return tooLarge("upload", limit)
	}
	if r.Header.Get("Service-Worker") != "" {
		return gateway.Refused("service-worker", "use the console without it: what it adds works only while nobody looks", "a script that goes on answering after the session has ended is not let")
	}
	return nil
}

// uploads reports whether the request carries a file, or what is no form.
func (x *exchange) uploads(held []byte) (file string, is bool) {
	r := x.r
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return "", false
	}
	kind := r.Header.Get("Content-Type")
	if strings.HasPrefix(baseType(kind), "multipart/") {
		file, is = capture.FileIn(kind, held)
		if is && file == "" {
			file = "file"
		}
		return file, is || len(held) > HeldForm
	}
	if isFormType(kind) {
		return "", false
	}
	return lastSegment(x.path), true
}

// fromElsewhere refuses what another site, or a sister console, makes the
// browser send: a link may lead here, and nothing else.
func (x *exchange) fromElsewhere() *gateway.Error {
	r := x.r
	site, mode := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode")
	no := gateway.Refused("cross-site", "open the console's own page", "another site asked for this in your browser's name")
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch site {
	case "same-origin", "none":
	case "":
		if o := r.Header.Get("Origin"); o != "" && o != x.c.names.outer && (!safe || isWebSocket(r)) {
			return no
		}
		return nil
	default:
		if !safe || mode != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document" {
			return no
		}
		return nil
	}
	if o := r.Header.Get("Origin"); isWebSocket(r) && o != "" && o != x.c.names.outer {
		return no
	}
	return nil
}

func sameOrigin(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "same-origin" || r.Header.Get("Sec-Fetch-Site") == "" && strings.HasSuffix(r.Header.Get("Origin"), "://"+r.Host)
}
