package capture

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"mime"
	"strings"
)

// maxPartHeader bounds the head of one part of a multipart form.
const maxPartHeader = 8 << 10

// multipartRedactor replaces the values of secret names while a
// multipart/form-data body (RFC 7578) passes in pieces of any size.
type multipartRedactor struct {
	c     *Capture
	mark  []byte    // "\r\n--" and the boundary
	held  []byte    // not decided yet
	head  bool      // within a part's head
	lost  bool      // a head was too long: nothing is kept any more
	made  bool      // what is held begins with a line end of our own
	mac   hash.Hash // over a secret value under way
	Files []string  // names of the files that have begun
}

func newMultipart(c *Capture, boundary string) *multipartRedactor {
	// The first delimiter may stand at the very beginning.
	return &multipartRedactor{c: c, mark: []byte("\r\n--" + boundary), held: []byte("\r\n"), made: true}
}

func (m *multipartRedactor) next(p []byte) []byte {
	m.held = append(m.held, p...)
	var out []byte
	for !m.lost {
		n, more := m.step(&out)
		m.held = m.held[n:]
		if !more {
			break
		}
	}
	if m.made && len(out) > 0 {
		m.made, out = false, out[2:]
	}
	return out
}

// step decides about the beginning of what is held, and returns how much of it
// is done with and whether there may be more to decide.
func (m *multipartRedactor) step(out *[]byte) (int, bool) {
	if m.head {
		end := bytes.Index(m.held, []byte("\r\n\r\n"))
		if end < 0 {
			m.lost = len(m.held) > maxPartHeader
			return 0, false
		}
		end += 4
		m.part(m.held[:end])
		*out = append(*out, m.held[:end]...)
		m.head = false
		return end, true
	}
	at := bytes.Index(m.held, m.mark)
	if at < 0 {
		n := len(m.held) - m.tail()
		m.value(m.held[:n], out)
		return n, false
	}
	m.value(m.held[:at], out)
	if m.mac != nil {
		*out = append(*out, Redacted...)
		*out = hex.AppendEncode(*out, m.mac.Sum(nil)[:digestLen])
		m.mac = nil
	}
	*out = append(*out, m.mark...)
	m.head = true
	return at + len(m.mark), true
}

// tail is how many bytes at the end of what is held may begin a delimiter.
func (m *multipartRedactor) tail() int {
	for n := min(len(m.mark)-1, len(m.held)); n > 0; n-- {
		if bytes.HasPrefix(m.mark, m.held[len(m.held)-n:]) {
			return n
		}
	}
	return 0
}

func (m *multipartRedactor) value(p []byte, out *[]byte) {
	if m.mac != nil {
		m.mac.Write(p)
		return
	}
	*out = append(*out, p...)
}

func (m *multipartRedactor) part(head []byte) {
	name, file, isFile := disposition(head)
	if isFile {
		m.Files = append(m.Files, file)
	}
	if m.c.names.secret(name) {
		m.mac = hmac.New(sha256.New, m.c.key)
	}
}

// disposition finds a part's name and its file's. A head that cannot be read
// is taken for a file's.
func disposition(head []byte) (name, file string, isFile bool) {
	for line := range strings.SplitSeq(string(head), "\r\n") {
		key, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(strings.TrimSpace(key), "Content-Disposition") {
			continue
		}
		_, params, err := mime.ParseMediaType(value)
		if err != nil {
			return "", "", true
		}
		file, isFile = params["filename"]
		return params["name"], file, isFile
	}
	return "", "", false
}

// rest is what was held back when the body has ended: without a last
// delimiter, the value under way.
func (m *multipartRedactor) rest() []byte {
	if m.lost {
		return nil
	}
	var out []byte
	if m.mac != nil {
		m.value(m.held, &out)
		out = append(out, Redacted...)
		return hex.AppendEncode(out, m.mac.Sum(nil)[:digestLen])
	}
	return append(out, m.held...)
}

// FileIn looks through the beginning of a multipart form for a file, and
// returns its name. A part without a name that can be read counts as a file.
func FileIn(contentType string, p []byte) (file string, is bool) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return "", true // what cannot be looked through may hold one
	}
	m := newMultipart(&Capture{names: newNames(nil), key: make([]byte, digestLen)}, params["boundary"])
	m.next(p)
	if len(m.Files) > 0 {
		return m.Files[0], true
	}
	return "", m.lost
}
