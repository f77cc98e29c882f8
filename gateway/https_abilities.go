package gateway

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what a grant says about HTTP.
const (
	MaxPaths   = 32
	maxPathLen = 512
	MaxRate    = 10_000 // requests per second
)

// HTTPMethods are the methods that a grant can let (RFC 9110 clause 9, RFC
// 5789, and what WebDAV consoles use, RFC 4918). CONNECT and TRACE are none.
func HTTPMethods() []string {
	return []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"}
}

// ReadMethods are the methods that change nothing (RFC 9110 clause 9.2.1): what
// a grant for looking lets.
func ReadMethods() []string { return []string{"GET", "HEAD", "OPTIONS"} }

// Form is a login form that the gateway fills in, so that the engineer's
// browser never holds the password: a list, not a script.
type Form struct {
	Page     string            `json:"page"`             // path of the page with the form; its hidden fields and cookies are taken over
	Action   string            `json:"action"`           // path that the form is sent to
	User     string            `json:"user"`             // name of the field for Account.Login
	Password string            `json:"password"`         // name of the field for the secret
	Fields   map[string]string `json:"fields,omitempty"` // further fields, with their values
	JSON     bool              `json:"json,omitempty"`   // sent as one JSON object instead of a form
	Done     int               `json:"done,omitempty"`   // status that says it was taken; 0: any below 400
	Token    string            `json:"token,omitempty"`  // dotted path into the JSON of the answer: a bearer token for every later request
	Failed   string            `json:"failed,omitempty"` // text in the answer that says it was refused
	LoggedIn string            `json:"cookie,omitempty"` // name of the cookie that the answer must set; "" any
}

// HTTPAsk is one request as abilities judge it.
type HTTPAsk struct {
	Method    string
	Path      string // as it came, escaped, without the query
	WebSocket bool
	Upload    bool // it carries a file, or what is no form
	Download  bool // the answer is one that browsers save
}

// LetsHTTP says whether the abilities let a request happen: nil, or a sentence
// for the engineer with the rule in its Rule.
func (a Abilities) LetsHTTP(q HTTPAsk) *Error {
	const next = "ask for a grant that lets it"
	switch {
	case !slices.Contains(a.Methods, q.Method):
		return Refused("abilities.methods", next, "this grant lets %s, and no %s", strings.Join(a.Methods, ", "), shortened(q.Method))
	case !a.letsPath(q.Path):
		return Refused("abilities.paths", next, "this grant lets the paths %s, and not this one", strings.Join(a.Paths, ", "))
	case q.WebSocket && !a.WebSocket:
		return Refused("abilities.websocket", next, "this grant lets no WebSocket")
	case q.Upload && !a.Upload:
		return Refused("abilities.upload", next, "this grant lets no upload")
	case q.Download && !a.Download:
		return Refused("abilities.download", next, "this grant lets no download")
	}
	return nil
}

// ReadOnly reports whether a grant for a console lets nothing but looking. A
// WebSocket is more: what passes in it is not told apart.
func (a Abilities) ReadOnly() bool {
	return len(a.Methods) > 0 && subset(a.Methods, ReadMethods()) && !a.Upload && !a.WebSocket
}

// Fits holds what is asked for to the kind of the target: a console takes HTTP
// abilities alone, methods and paths both, a network takes flows and their
// bounds alone, and every other target neither.
func (a Abilities) Fits(kind TargetKind) error {
	no := func(format string, args ...any) error { return Invalid("abilities", format, args...) }
	if kind == KindNetwork {
		return a.fitsNetwork()
	}
	if a.networked() {
		return no("flow and bandwidth are for networks, and this target is of kind %s", kind)
	}
	if kind != KindHTTPS {
		if len(a.Methods) > 0 || len(a.Paths) > 0 || a.WebSocket || a.MaxUpload > 0 || a.MaxDownload > 0 || a.limited() {
			return no("HTTP methods, paths, websocket, max-upload, max-download, rate and volume are for web consoles; here ask for shell, exec, upload, download or forward host:port")
		}
		return nil
	}
	switch {
	case a.Shell || a.Exec || len(a.Forward) > 0:
		return no("shell, exec and forward are for SSH; on a web console ask for methods and paths, such as GET, HEAD, OPTIONS and path /")
	case len(a.Methods) == 0:
		return no("a web console needs the methods that are let; to look ask for %s, to work for POST, PUT, PATCH and DELETE too", strings.Join(ReadMethods(), ", "))
	case len(a.Paths) == 0:
		return no("a web console needs the paths that are let; ask for path / for the whole of it, or for a part such as path /reports")
	case a.MaxUpload > 0 && !a.Upload:
		return no("max-upload bounds what upload lets; ask for upload too, or leave it out")
	case a.MaxDownload > 0 && !a.Download:
		return no("max-download bounds what download lets; ask for download too, or leave it out")
	}
	return nil
}

// letsPath compares whole segments. Where the grant is for a part of the
// console, a path that two programs can read in two ways is none of it.
func (a Abilities) letsPath(path string) bool {
	if slices.Contains(a.Paths, "/") {
		return strings.HasPrefix(path, "/") || path == "*"
	}
	if ambiguous(path) {
		return false
	}
	return slices.ContainsFunc(a.Paths, func(p string) bool { return under(path, p) })
}

func under(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// ambiguous reports whether servers differ about which file path names: escapes
// that need none or hide a separator, empty and dotted segments, parameters.
func ambiguous(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "\\;") || strings.Contains(path, "//") {
		return true
	}
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ' || c == 0x7f:
			return true
		case c == '%' && (i+2 >= len(path) || hides(path[i+1:i+3])):
			return true
		}
	}
	for _, segment := range strings.Split(path[1:], "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// hides reports whether an escape stands for a byte that means something in a
// path or is not to be read: a separator, a dot, a percent sign, a control.
func hides(hex string) bool {
	n, err := strconv.ParseUint(hex, 16, 8)
	return err != nil || n < ' ' || n == 0x7f || strings.IndexByte("/\\.;%?#", byte(n)) >= 0
}

func (a Abilities) httpWithin(b Abilities) bool {
	for _, p := range a.Paths {
		if !slices.ContainsFunc(b.Paths, func(q string) bool { return under(p, q) }) {
			return false
		}
	}
	return (!a.WebSocket || b.WebSocket) && (!a.Upload || boundWithin(a.MaxUpload, b.MaxUpload)) && (!a.Download || boundWithin(a.MaxDownload, b.MaxDownload)) &&
		boundWithin(a.Rate, b.Rate) && boundWithin(a.VolumeIn, b.VolumeIn) && boundWithin(a.VolumeOut, b.VolumeOut)
}

func (a Abilities) limited() bool { return a.Rate > 0 || a.VolumeIn > 0 || a.VolumeOut > 0 }

// Limited reports whether rate and volume are bounded, both ways: what a grant
// that nobody sits in front of must be.
func (a Abilities) Limited() bool { return a.Rate > 0 && a.VolumeIn > 0 && a.VolumeOut > 0 }

func boundWithin(a, b int64) bool { return b == 0 || 0 < a && a <= b }

// bothPaths are the prefixes under which both let: the longer of each pair.
func bothPaths(a, b []string) []string {
	var c []string
	for _, p := range a {
		for _, q := range b {
			longer := ""
			switch {
			case under(p, q):
				longer = p
			case under(q, p):
				longer = q
			}
			if longer != "" && !slices.Contains(c, longer) {
				c = append(c, longer)
			}
		}
	}
	return c
}

// lower is the stricter of two bounds, of which 0 is none.
func lower(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (a Abilities) listHTTP() []string {
	l := slices.Clone(a.Methods)
	for _, p := range a.Paths {
		l = append(l, "path "+p)
	}
	if a.WebSocket {
		l = append(l, "websocket")
	}
	if a.MaxUpload > 0 {
		l = append(l, fmt.Sprintf("max-upload %d", a.MaxUpload))
	}
	if a.MaxDownload > 0 {
		l = append(l, fmt.Sprintf("max-download %d", a.MaxDownload))
	}
	for _, x := range []struct {
		word string
		n    int64
	}{{"rate", a.Rate}, {"volume-in", a.VolumeIn}, {"volume-out", a.VolumeOut}} {
		if x.n > 0 {
			l = append(l, fmt.Sprintf("%s %d", x.word, x.n))
		}
	}
	return l
}

// parseHTTP takes one ability of the HTTP kind.
func (a *Abilities) parseHTTP(s string) (known bool, err error) {
	word, rest, _ := strings.Cut(s, " ")
	switch {
	case slices.Contains(HTTPMethods(), s):
		a.Methods = appendNew(a.Methods, s)
	case s == "websocket":
		a.WebSocket = true
	case word == "path":
		if ambiguous(rest) || len(rest) > maxPathLen {
			return true, Invalid("abilities", "path %s is not one that every server reads in the same way; write path /PREFIX", quoteShort(rest))
		}
		if rest != "/" {
			rest = strings.TrimSuffix(rest, "/") // one spelling of a prefix
		}
		a.Paths = appendNew(a.Paths, rest)
	case word == "max-upload":
		a.MaxUpload, err = bytesOf(s, rest)
	case word == "max-download":
		a.MaxDownload, err = bytesOf(s, rest)
	case word == "rate":
		if a.Rate, err = strconv.ParseInt(rest, 10, 64); err != nil || a.Rate <= 0 || a.Rate > MaxRate {
			return true, Invalid("abilities", "%s is not a number of requests per second from 1 to %d", quoteShort(s), MaxRate)
		}
	case word == "volume-in":
		a.VolumeIn, err = bytesOf(s, rest)
	case word == "volume-out":
		a.VolumeOut, err = bytesOf(s, rest)
	default:
		return false, nil
	}
	return true, err
}

func bytesOf(whole, n string) (int64, error) {
	v, err := strconv.ParseInt(n, 10, 64)
	if err != nil || v <= 0 {
		return 0, Invalid("abilities", "%s is not a number of bytes above 0", quoteShort(whole))
	}
	return v, nil
}

func appendNew(l []string, s string) []string {
	if slices.Contains(l, s) {
		return l
	}
	return append(l, s)
}

func shortened(s string) string { return strings.Trim(quoteShort(s), `"`) }
