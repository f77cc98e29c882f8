package gateway

// HTTPS is what a target of kind https says besides its address: how its name
// is proven, and which name it hears.
type HTTPS struct {
	Trust      TLSTrust `json:"trust"`
	CA         string   `json:"ca,omitempty"`          // TrustCA: PEM, the certificates that may sign the target's
	Pins       []string `json:"pins,omitempty"`        // TrustPin: "sha256:HEX" of a SubjectPublicKeyInfo (RFC 7469 clause 2.4)
	ServerName string   `json:"server_name,omitempty"` // what SNI says and the certificate must name; the address's host by default
	Host       HostRule `json:"host,omitempty"`        // HostTarget by default
	Redact     []string `json:"redact,omitempty"`      // names of headers, query parameters and fields of forms and JSON whose values are never recorded, besides those that never are
}

// TLSTrust is how a target proves its name.
type TLSTrust string

// The closed list of trusts.
const (
	TrustSystem TLSTrust = "system" // the machine's own authorities
	TrustCA     TLSTrust = "ca"     // the named authorities alone
	TrustPin    TLSTrust = "pin"    // the named keys alone, self-signed or not
)

// HostRule is which name the target hears in Host, Origin and Referer.
type HostRule string

// The closed list of rules.
const (
	HostTarget HostRule = "target" // its own, so that its checks of Origin pass
	HostApp    HostRule = "app"    // the one in the engineer's browser
)

// HTTPPart is which part of an exchange a record tells.
type HTTPPart string

// The closed list of parts, in the order in which an exchange has them. A
// refused request has its request alone.
const (
	HTTPRequest  HTTPPart = "request"  // before anything of it reaches the target
	HTTPSent     HTTPPart = "sent"     // a piece of the request's body, before it passes
	HTTPResponse HTTPPart = "response" // before anything of it is shown
	HTTPShown    HTTPPart = "shown"    // a piece of the response's body, before it is shown
	HTTPMessage  HTTPPart = "message"  // a WebSocket message, before it passes (RFC 6455)
	HTTPEnd      HTTPPart = "end"      // what passed in all
)

// HTTPRecord is one part of an HTTP exchange, as the recording has it. What is
// secret was taken out before it got here: a Redacted digest stands in its
// place.
type HTTPRecord struct {
	Part     HTTPPart    `json:"part"`
	N        uint32      `json:"n"`                // which exchange of the session, from 1
	Method   string      `json:"method,omitempty"` // request
	URL      string      `json:"url,omitempty"`    // request: path and query as they came
	Proto    string      `json:"proto,omitempty"`  // request, response: HTTP/1.1, HTTP/2.0
	Status   int         `json:"status,omitempty"` // response
	Header   []HTTPField `json:"header,omitempty"` // request, response; end: trailers
	File     string      `json:"file,omitempty"`   // request, response: name of the file that is sent or saved; "" none
	Refused  string      `json:"refused,omitempty"`
	Rule     string      `json:"rule,omitempty"`     // of Refused
	Client   bool        `json:"client,omitempty"`   // message: by the engineer's browser
	Opcode   byte        `json:"opcode,omitempty"`   // message: RFC 6455 clause 5.2
	Redacted bool        `json:"redacted,omitempty"` // sent, shown, message: the bytes kept are not those that passed
	Sent     *HTTPBody   `json:"sent,omitempty"`     // end
	Shown    *HTTPBody   `json:"shown,omitempty"`    // end; message: the whole message
	Cut      string      `json:"cut,omitempty"`      // end: why it stopped short; "" it did not
}

// HTTPPiece is a record with the bytes of a body that stand in it.
type HTTPPiece struct {
	Record HTTPRecord
	Body   []byte
}

// HTTPField is one header or trailer field. Of a secret one Value is empty and
// Redacted tells whether two were equal.
type HTTPField struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Redacted string `json:"redacted,omitempty"` // keyed hash within the session, hexadecimal
}

// HTTPBody is the account of one body or message: of all bytes that passed.
type HTTPBody struct {
	Type   string `json:"type,omitempty"` // Content-Type
	Bytes  int64  `json:"bytes"`
	Kept   int64  `json:"kept"` // of those, how many stand in the recording
	SHA256 Digest `json:"sha256,omitzero"`
}
