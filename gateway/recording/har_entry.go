package recording

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/gateway"
)

// harEntry is one exchange on its way into a HAR file.
type harEntry struct {
	began, answered, ended time.Duration
	request                gateway.HTTPRecord
	response, end          *gateway.HTTPRecord // nil: it did not come
	sent, shown            []byte
	messages               []harMessage
	page                   string
	redacted               bool
	held, left             int // bytes in memory; parts that found no room
}

type (
	harPage struct {
		StartedDateTime string   `json:"startedDateTime"`
		ID              string   `json:"id"`
		Title           string   `json:"title"`
		PageTimings     struct{} `json:"pageTimings"`
	}
	// harMessage is a WebSocket message as browsers write it into a HAR.
	harMessage struct {
		Type   string  `json:"type"` // send, receive
		Time   float64 `json:"time"` // Unix seconds
		Opcode int     `json:"opcode"`
		Data   string  `json:"data"` // base64 where it is no text
	}
	harField struct {
		Name    string `json:"name"`
		Value   string `json:"value"`
		Comment string `json:"comment,omitempty"`
	}
	harPost struct {
		MimeType string     `json:"mimeType"`
		Params   []harField `json:"params"`
		Text     string     `json:"text"`
		Encoding string     `json:"_encoding,omitempty"`
	}
	harRequest struct {
		Method      string     `json:"method"`
		URL         string     `json:"url"`
		HTTPVersion string     `json:"httpVersion"`
		Cookies     []harField `json:"cookies"` // none: they are secrets, and stand redacted among the headers
		Headers     []harField `json:"headers"`
		QueryString []harField `json:"queryString"`
		PostData    *harPost   `json:"postData,omitempty"`
		HeadersSize int        `json:"headersSize"` // -1: not known
		BodySize    int64      `json:"bodySize"`
		SHA256      string     `json:"_sha256,omitempty"`
		File        string     `json:"_file,omitempty"`
	}
	harContent struct {
		Size     int64  `json:"size"`
		MimeType string `json:"mimeType"`
		Text     string `json:"text,omitempty"`
		Encoding string `json:"encoding,omitempty"`
		SHA256   string `json:"_sha256,omitempty"`
		File     string `json:"_file,omitempty"`
		Comment  string `json:"comment,omitempty"`
	}
	harResponse struct {
		Status      int        `json:"status"` // 0: there was none
		StatusText  string     `json:"statusText"`
		HTTPVersion string     `json:"httpVersion"`
		Cookies     []harField `json:"cookies"`
		Headers     []harField `json:"headers"`
		Content     harContent `json:"content"`
		RedirectURL string     `json:"redirectURL"`
		HeadersSize int        `json:"headersSize"`
		BodySize    int64      `json:"bodySize"`
		Trailers    []harField `json:"_trailers,omitempty"`
	}
	// harTimings are milliseconds.
	harTimings struct {
		Send    float64 `json:"send"`
		Wait    float64 `json:"wait"`
		Receive float64 `json:"receive"`
	}
	harOut struct {
		Pageref         string       `json:"pageref,omitempty"`
		StartedDateTime string       `json:"startedDateTime"`
		Time            float64      `json:"time"`
		Request         harRequest   `json:"request"`
		Response        harResponse  `json:"response"`
		Cache           struct{}     `json:"cache"`
		Timings         harTimings   `json:"timings"`
		Messages        []harMessage `json:"_webSocketMessages,omitempty"`
		Exchange        uint32       `json:"_exchange"`
		Rule            string       `json:"_rule,omitempty"`
		Comment         string       `json:"comment,omitempty"`
	}
)

func (a *archive) entry(x *harEntry, comment string) harOut {
	o := harOut{
		Pageref: x.page, StartedDateTime: a.at(x.began), Request: a.asked(x), Response: response(x), Messages: x.messages,
		Exchange: x.request.N, Rule: x.request.Rule,
	}
	if x.response != nil {
		o.Timings.Wait = millis(x.answered - x.began)
		if x.end != nil {
			o.Timings.Receive = millis(x.ended - x.answered)
		}
	}
	o.Time = o.Timings.Wait + o.Timings.Receive
	said := []string{comment}
	if x.end != nil && x.end.Cut != "" {
		said = append(said, "cut short: "+x.end.Cut)
	}
	if x.redacted {
		said = append(said, "secrets in the bodies were taken out before they were recorded")
	}
	if x.left > 0 {
		said = append(said, itoa(x.left)+" pieces or messages more stand in the recording")
	}
	o.Comment = strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), "; ")
	return o
}

func (a *archive) asked(x *harEntry) harRequest {
	r := x.request
	q := harRequest{
		Method: r.Method, URL: a.url(r.URL), HTTPVersion: r.Proto, Cookies: []harField{}, Headers: fields(r.Header),
		QueryString: query(r.URL), HeadersSize: -1, BodySize: -1, File: r.File,
	}
	if x.end != nil && x.end.Sent != nil {
		q.BodySize, q.SHA256 = x.end.Sent.Bytes, x.end.Sent.SHA256.String()
	}
	if q.BodySize > 0 || len(x.sent) > 0 {
		text, encoding := harText(x.sent)
		q.PostData = &harPost{MimeType: field(r.Header, "Content-Type"), Params: []harField{}, Text: text, Encoding: encoding}
	}
	return q
}

func response(x *harEntry) harResponse {
	p := harResponse{Cookies: []harField{}, Headers: []harField{}, HeadersSize: -1, BodySize: -1}
	p.Content.MimeType = "x-unknown"
	if r := x.response; r != nil {
		p.Status, p.StatusText, p.HTTPVersion = r.Status, http.StatusText(r.Status), r.Proto
		p.Headers, p.RedirectURL, p.Content.File = fields(r.Header), field(r.Header, "Location"), r.File
		p.Content.MimeType = field(r.Header, "Content-Type")
	}
	p.Content.Text, p.Content.Encoding = harText(x.shown)
	p.Content.Size = int64(len(x.shown))
	if e := x.end; e != nil {
		p.Trailers = fields(e.Header)
		if s := e.Shown; s != nil {
			p.BodySize, p.Content.Size, p.Content.SHA256 = s.Bytes, s.Bytes, s.SHA256.String()
			if int64(len(x.shown)) < s.Bytes {
				p.Content.Comment = "the first " + itoa(len(x.shown)) + " bytes stand here"
			}
		}
	}
	return p
}

func fields(h []gateway.HTTPField) []harField {
	l := make([]harField, 0, len(h))
	for _, f := range h {
		o := harField{Name: f.Name, Value: f.Value}
		if f.Redacted != "" {
			o.Value, o.Comment = "[redacted "+f.Redacted+"]", "a secret: two with the same mark were equal"
		}
		l = append(l, o)
	}
	return l
}

// field is the first value of a header field.
func field(h []gateway.HTTPField, name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// query takes a query apart as far as it can be read, in its order.
func query(path string) []harField {
	l := []harField{}
	_, q, _ := strings.Cut(path, "?")
	for pair := range strings.SplitSeq(q, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		l = append(l, harField{Name: unescaped(name), Value: unescaped(value)})
	}
	return l
}

func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil && utf8.ValidString(u) {
		return u
	}
	return s
}

// harText is bytes as JSON can hold them, and the encoding: "" as they are.
func harText(p []byte) (text, encoding string) {
	if utf8.Valid(p) {
		return string(p), ""
	}
	return base64Of(p), "base64"
}

func base64Of(p []byte) string { return base64.StdEncoding.EncodeToString(p) }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func itoa(n int) string { return strconv.Itoa(n) }
