package httpsproxy

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/httpsproxy/capture"
)

const sniffed = 512 // bytes that tell a type (net/http.DetectContentType)

// buffers are for bodies on their way to browsers.
type buffers struct{ pool sync.Pool }

// buffer is what one answer needs on its way.
type buffer struct {
	body   [chunk]byte
	pieces [3]gateway.HTTPPiece // of the recording
	shown  shown
}

func (b *buffers) get() *buffer {
	if p, ok := b.pool.Get().(*buffer); ok {
		return p
	}
	return new(buffer)
}

// put takes one back, unless somebody may still read it.
func (b *buffers) put(p *buffer) {
	if p.shown.lost {
		return
	}
	clear(p.pieces[:])
	p.shown = shown{}
	b.pool.Put(p)
}

// answer shows the target's answer, if the abilities let it.
func (x *exchange) answer(res *http.Response) {
	c := x.c
	buf := c.p.bodies.get()
	defer c.p.bodies.put(buf)
	kind, first, err := x.kind(res, buf)
	if err != nil {
		x.failed(err)
		return
	}
	file, isFile := saved(res.Header, kind, x.path)
	isFile = isFile && hasBody(x.r.Method, res)
	if !isFile {
		file = ""
	}
	rec := gateway.HTTPRecord{Part: gateway.HTTPResponse, N: x.n, Proto: res.Proto, Status: res.StatusCode, Header: c.capture.Fields(res.Header), File: file}
	if no := x.judgeAnswer(res, isFile); no != nil {
		rec.Refused, rec.Rule = no.Sentence(), no.Rule
		if !x.ends(c.record(rec)) {
			x.told(no)
			x.end("refused: " + no.Text)
		}
		return
	}
	encoding, clean, err := c.unpack(res, kind)
	if err != nil {
		x.failed(err)
		return
	}
	x.out = c.capture.Body(kind, encoding, clean)
	s := &buf.shown
	*s = shown{x: x, res: res, buf: buf.body[:], list: buf.pieces[:0], tally: tally{c: c, part: gateway.HTTPShown, n: x.n, acc: x.out}, left: res.ContentLength}
	if s.most = chunk; x.r.ProtoMajor == 2 {
		s.most, s.buf = streamWrite, buf.body[:chunk/streamWrite*streamWrite]
	}
	if clean && c.scrub != nil {
		s.scrub = c.scrub.Stream()
	}
	if isFile {
		s.limit = c.abilities.MaxDownload
	}
	if s.short(len(first)) {
		s.whole(rec, len(first))
		return
	}
	if !x.ends(c.record(rec)) {
		s.run(first)
	}
}

// kind is the answer's type. Where the target names none, its first bytes tell,
// as they tell browsers; they are returned, in buf. An answer of unknown length
// is not kept waiting for them where nothing depends on what it is.
func (x *exchange) kind(res *http.Response, buf *buffer) (kind string, first []byte, err error) {
	if kind = res.Header.Get("Content-Type"); kind != "" || !hasBody(x.r.Method, res) {
		return kind, nil, nil
	}
	if a := x.c.abilities; res.ContentLength < 0 && a.Download && a.MaxDownload == 0 {
		return "", nil, nil
	}
	n, err := io.ReadAtLeast(res.Body, buf.body[:sniffed], 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", nil, err
	}
	return http.DetectContentType(buf.body[:n]), buf.body[:n], nil
}

func hasBody(method string, res *http.Response) bool {
	return method != http.MethodHead && res.ContentLength != 0 && res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusNotModified
}

func (x *exchange) judgeAnswer(res *http.Response, isFile bool) *gateway.Error {
	if !isFile {
		return nil
	}
	q := gateway.HTTPAsk{Method: x.r.Method, Path: x.path, Download: true}
	if no := x.c.abilities.LetsHTTP(q); no != nil {
		return no
	}
	if limit := x.c.abilities.MaxDownload; limit > 0 && sizeOf(res) > limit {
		return tooLarge("download", limit)
	}
	return nil
}

// unpack undoes gzip where an answer must be looked through, although the
// target was asked for none. What it is packed in besides cannot be looked
// through, so it is not shown.
func (c *console) unpack(res *http.Response, kind string) (encoding string, clean bool, err error) {
	clean = c.scrub != nil && isText(kind)
	encoding = strings.ToLower(strings.TrimSpace(strings.Join(res.Header["Content-Encoding"], ",")))
	if encoding == "" || encoding == "identity" || !clean && !capture.Structured(kind) || res.Body == http.NoBody || res.ContentLength == 0 {
		return encoding, clean, nil
	}
	if encoding != "gzip" && encoding != "x-gzip" || res.StatusCode == http.StatusPartialContent {
		if !clean {
			return encoding, false, nil // no secret of ours can be in it, and nothing of it is kept
		}
		return "", false, &gateway.Error{Code: gateway.CodeUnavailable, Rule: "encoding", Text: "the console answered in an encoding that was not asked for and cannot be looked through", Next: "tell the operator"}
	}
	plain, err := gzip.NewReader(res.Body)
	if err != nil {
		return "", false, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{plain, res.Body}
	res.ContentLength = -1
	for _, name := range []string{"Content-Encoding", "Content-Length", "Content-Md5", "Digest", "Content-Digest", "Accept-Ranges"} {
		res.Header.Del(name)
	}
	return "", clean, nil
}
