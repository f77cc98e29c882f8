package httpsproxy

import (
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

// formTypes are what pages and their scripts send all day: such a body is a
// form, in the sense of the abilities. Everything else is an upload.
var formTypes = map[string]bool{
	"": true, "application/x-www-form-urlencoded": true, "text/plain": true, "application/json": true, "application/xml": true, "text/xml": true,
	"application/graphql": true, "application/csp-report": true, "application/reports+json": true, "application/x-ndjson": true, "text/ping": true,
	"application/grpc": true, "application/grpc-web": true, "application/grpc-web-text": true, "application/connect+proto": true, "application/proto": true,
}

// shownTypes are what browsers show or pages use. Everything else is saved.
var shownTypes = map[string]bool{
	"application/json": true, "application/javascript": true, "application/x-javascript": true, "application/ecmascript": true, "application/xml": true,
	"application/wasm": true, "application/pdf": true, "application/x-ndjson": true, "application/graphql-response": true, "application/vnd.ms-fontobject": true,
	"application/grpc": true, "application/grpc-web": true, "application/grpc-web-text": true, "application/connect+proto": true, "application/proto": true,
	"multipart/x-mixed-replace": true, "multipart/byteranges": true, "application/x-www-form-urlencoded": true, "application/ogg": true,
	"application/vnd.apple.mpegurl": true, "application/x-mpegurl": true, "application/dash+xml": true, "application/x-font-ttf": true, "application/font-woff": true,
}

// savedText is text that browsers save all the same.
var savedText = map[string]bool{"text/csv": true, "text/calendar": true, "text/vcard": true, "text/x-vcard": true, "text/tab-separated-values": true}

func baseType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

func isFormType(contentType string) bool {
	t := baseType(contentType)
	return formTypes[t] || strings.HasSuffix(t, "+json") || strings.HasSuffix(t, "+xml") || strings.HasPrefix(t, "application/grpc")
}

func isShown(contentType string) bool {
	t := baseType(contentType)
	major, _, _ := strings.Cut(t, "/")
	switch {
	case shownTypes[t], strings.HasSuffix(t, "+json"), strings.HasSuffix(t, "+xml"), strings.HasPrefix(t, "application/grpc"):
		return true
	case major == "text":
		return !savedText[t]
	}
	return major == "image" || major == "font" || major == "audio" || major == "video"
}

// isText reports whether people or scripts read it as text, so that a secret in
// it can be looked for.
func isText(contentType string) bool {
	t := baseType(contentType)
	major, sub, _ := strings.Cut(t, "/")
	return t == "" || major == "text" || capture.Structured(contentType) || strings.HasSuffix(sub, "xml") || strings.HasSuffix(sub, "javascript") ||
		strings.HasSuffix(sub, "ecmascript") || sub == "graphql"
}

// saved reports whether browsers save an answer as a file, and its name.
// contentType is the answer's own, or what its first bytes look like.
func saved(h http.Header, contentType, requestPath string) (file string, is bool) {
	d := h.Get("Content-Disposition")
	kind, params, err := mime.ParseMediaType(d)
	switch {
	case d != "" && err != nil: // browsers differ about what they do with it
		is = true
	case kind != "" && kind != "inline":
		is, file = true, params["filename"]
	default:
		is = !isShown(contentType)
	}
	if is && file == "" {
		file = lastSegment(requestPath)
	}
	return file, is
}

func lastSegment(requestPath string) string {
	if p, err := url.PathUnescape(requestPath); err == nil {
		requestPath = p
	}
	if base := path.Base(requestPath); base != "/" && base != "." {
		return base
	}
	return "file"
}

// sizeOf is how large the whole file is that an answer is of, or a part of
// (RFC 9110 clause 14.4); negative: unknown.
func sizeOf(res *http.Response) int64 {
	if r := res.Header.Get("Content-Range"); r != "" {
		if _, total, ok := strings.Cut(r, "/"); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(total), 10, 64); err == nil {
				return n
			}
		}
	}
	return res.ContentLength
}

func tooLarge(what string, limit int64) *gateway.Error {
	return gateway.Refused("abilities.max-"+what, "ask for a grant that lets more", "this grant lets at most %d bytes of one %s", limit, what)
}
