package web

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
	"github.com/portcullis/portcullis/web/terminal"
)

// Client is what is known of a browser: a login is bound to it.
type Client struct {
	UserAgent string
	Source    string // address:port
}

// Ceremony is a begun WebAuthn ceremony: the options go to the browser, the
// identifier comes back with its answer.
type Ceremony struct {
	ID      string          `json:"id"`
	Options json.RawMessage `json:"options"`
}

// Enroller is who lets a new key in: an invitation's token, or a login.
type Enroller struct {
	Token  string
	Login  *gateway.Login
	Person gateway.Person
}

// ProviderInfo is an identity provider as the login page offers it.
type ProviderInfo struct {
	Name  string // in the path
	Title string // on the button
}

// Waiting is an SSH connection that waits for its person's touch.
type Waiting struct {
	Person      gateway.Person
	Grant       gateway.Grant
	Request     gateway.Request
	TransportID string
	Source      string
	Client      string
}

// Identity says who is there. Its refusals are *gateway.Error and are events
// already when they are returned.
type Identity interface {
	BeginLogin(ctx context.Context) (Ceremony, error)
	FinishLogin(ctx context.Context, id string, credential []byte, c Client) (token string, p gateway.Person, err error)
	ByToken(ctx context.Context, token string, c Client) (gateway.Login, gateway.Person, error)
	// Peek is ByToken that does not keep the login from going idle.
	Peek(ctx context.Context, token string, c Client) (gateway.Login, gateway.Person, error)
	Logout(ctx context.Context, token string) error

	Providers() []ProviderInfo
	BeginOIDC(ctx context.Context, provider string) (to, state string, err error)
	FinishOIDC(ctx context.Context, provider, state string, query url.Values, c Client) (token string, p gateway.Person, err error)

	InvitationByToken(ctx context.Context, token string) (gateway.Invitation, gateway.Person, error)
	BeginEnrol(ctx context.Context, who Enroller, label string) (Ceremony, error)
	// EnrolCreated answers what must be signed: by the new key, and where a
	// login let it in, by an old one too.
	EnrolCreated(ctx context.Context, id string, credential []byte) ([]api.Challenge, error)
	FinishEnrol(ctx context.Context, id string, assertions [][]byte, c Client) (token string, p gateway.Person, err error)

	Keys(ctx context.Context, person string) ([]gateway.Authenticator, []gateway.SSHKey, error)
	// PendingOf answers the connection that waits under id, and its code, to
	// its own person only.
	PendingOf(ctx context.Context, id, person string) (w Waiting, code string, err error)
	// RefusePending ends it.
	RefusePending(ctx context.Context, id, person string) error
}

// Consoles opens the console of an HTTPS target.
type Consoles interface {
	// Open uses the touch that waits in that login, and answers where the
	// browser goes: a link that is good once. Errors are for the engineer.
	Open(ctx context.Context, o ConsoleOpening) (link string, err error)
	// ServiceAddress is the origin at which service accounts reach a target.
	ServiceAddress(target string) string
}

// ConsoleOpening is who opens a console.
type ConsoleOpening struct {
	Person    gateway.Person
	Login     string // identifier of the login
	Grant     string
	Source    string // address:port
	UserAgent string
	Path      string // of the console, to begin with; empty: /
}

// Config is what a Server is made of.
type Config struct {
	API      *api.Server // also answers at /api/v1
	Identity Identity
	// Kinds of statement that the pages can draw up stand in API's Acts.
	URL string // as people type it: https://gateway.example
	SSH string // host or host:port that engineers connect to by ssh
	// Terminals are shells in the browser; nil: this gateway has none.
	Terminals *terminal.Desk
	// Consoles opens HTTPS targets; nil: this gateway has no domain for them.
	Consoles Consoles
	// Tunnels tells how WireGuard tunnels are; nil: this gateway carries none.
	Tunnels Tunnels
	HostCA  string // its SSH host authority as a line of authorized_keys; empty: the pages show no jump
	// Certificates shows SSH certificates; nil: none is issued here.
	Certificates Certificates
	Node         string
	Secure       bool // the listener, or what stands before it, speaks TLS
	Now          func() time.Time
}

// acts reports whether a kind of statement can be signed here.
func (s *Server) acts(k statement.Kind) bool {
	_, ok := s.rooms.Acts[k]
	return ok
}
