package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Prefix is where the API stands.
const Prefix = "/api/v1"

// MaxBody bounds what is read of one call.
const MaxBody = 256 << 10

// Server answers the API. It holds no state but the count of open streams,
// and of calls that nobody signed in for.
type Server struct {
	cfg     Config
	streams atomic.Int64
	touches perSource
}

// Actor says who calls, or refuses with gateway.CodeSignIn.
type Actor func(*http.Request) (Who, error)

// Machine is the Actor of the local socket: whoever may open the socket is
// root or the service user.
func Machine(*http.Request) (Who, error) {
	return Who{Person: gateway.Person{Name: statement.Machine, Title: "this machine", Roles: gateway.StaffRoles, State: gateway.Active}}, nil
}

// New returns a Server, or says which room is missing.
func New(cfg Config) (*Server, error) {
	for name, missing := range map[string]bool{
		"Directory": cfg.Directory == nil, "Access": cfg.Access == nil, "Sessions": cfg.Sessions == nil, "KillSwitch": cfg.KillSwitch == nil,
		"Recordings": cfg.Recordings == nil, "Audit": cfg.Audit == nil, "Touches": cfg.Touches == nil,
	} {
		if missing {
			return nil, fmt.Errorf("api: no %s", name)
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg}, nil
}

// Rooms returns what the server was made of, for pages that show the same
// rooms.
func (s *Server) Rooms() Config { return s.cfg }

// call is one call with the one who makes it.
type call struct {
	*http.Request
	w   http.ResponseWriter
	who Who
}

// route is one line of the API: what it answers is written as JSON, unless it
// is nil because the handler has answered already.
type route struct {
	pattern string
	summary string
	handle  func(*Server, call) (any, error)
}

var routes = []route{
	{"GET /me", "Who is calling", (*Server).me},
	{"GET /stream", "Live updates as server-sent events", (*Server).stream},
	{"GET /vendors", "List vendors", (*Server).vendors},
	{"GET /vendors/{name}", "Show a vendor", (*Server).vendor},
	{"GET /people", "List people", (*Server).people},
	{"GET /services", "List service accounts", (*Server).services},
	{"GET /people/{name}", "Show a person", (*Server).person},
	{"GET /targets", "List targets", (*Server).targets},
	{"GET /targets/{name}", "Show a target", (*Server).target},
	{"GET /requests", "List requests", (*Server).requests},
	{"POST /requests", "Ask for a window on a target", (*Server).ask},
	{"POST /requests/preview", "Show policy's verdict before asking", (*Server).previewAsk},
	{"GET /requests/{id}", "Show a request with its approvals and grant", (*Server).request},
	{"POST /requests/{id}/withdraw", "Take one's own request back", (*Server).withdraw},
	{"POST /requests/{id}/refuse", "Refuse a request", (*Server).refuse},
	{"GET /grants", "List grants", (*Server).grants},
	{"GET /grants/{id}", "Show a grant", (*Server).grant},
	{"POST /grants/{id}/revoke", "Take a grant back; its sessions end", (*Server).revoke},
	{"GET /live", "What lives now on every node, and which nodes do not answer", (*Server).live},
	{"GET /sessions", "List sessions", (*Server).sessions},
	{"GET /sessions/{id}", "Show a session", (*Server).session},
	{"POST /sessions/{id}/end", "End a session; answers when it is closed", (*Server).endSession},
	{"POST /sessions/{id}/freeze", "Hold what is typed in a live session, with a reason that its engineer reads", (*Server).freezeSession},
	{"POST /sessions/{id}/thaw", "Let what was held pass", (*Server).thawSession},
	{"GET /recordings", "List recordings, or search in them with text=", (*Server).recordings},
	{"GET /recordings/{id}", "Show what is known of a recording", (*Server).recording},
	{"GET /recordings/{id}/index", "What happened in a recording: channels, files, flows and notes", (*Server).index},
	{"GET /recordings/{id}/channels/{channel}/files/{sha256}", "The bytes of a file that was transferred, out of the recording, by its line in the index", (*Server).file},
	{"GET /recordings/{id}/asciicast", "Replay, as asciicast (version=2 or 3)", (*Server).asciicast},
	{"GET /recordings/{id}/timeline", "What a console's session did: pages, forms, files, refusals", (*Server).timeline},
	{"GET /recordings/{id}/har", "A console's recording, as HTTP Archive 1.2", (*Server).har},
	{"GET /recordings/{id}/flows", "A tunnel's flows as JSON lines, each as it was last told", (*Server).flows},
	{"GET /recordings/{id}/pcapng", "A tunnel's packets as pcapng, for those who may read input", (*Server).pcapng},
	{"GET /recordings/{id}/input", "What was typed, as asciicast", (*Server).input},
	{"GET /recordings/{id}/live", "Watch a live session as server-sent events", (*Server).watch},
	{"GET /recordings/{id}/verify", "Verify a recording's seals", (*Server).verifyRecording},
	{"GET /events", "Search the audit log", (*Server).events},
	{"GET /events/verify", "Verify the audit log", (*Server).verifyLog},
	{"GET /suspensions", "List suspensions", (*Server).suspensions},
	{"GET /suspensions/{id}", "Show a suspension with its report", (*Server).suspension},
	{"GET /suspensions/{id}/ladder", "Show how far what it closed has come back: its stage, the steps so far, and when the next may be signed for", (*Server).ladder},
	{"GET /suspensions/{id}/proof", "The proof of a suspension: an in-toto statement in a DSSE envelope, signed by the machine's key", (*Server).proof},
	{"POST /suspensions/preview", "Show what a suspension would close", (*Server).previewSuspend},
	{"POST /acts", "Draw up a statement to sign", (*Server).draft},
	{"POST /acts/{id}", "Hand in the signature and do what was signed", (*Server).commit},
}

// Handler serves the API, everything under Prefix, for that actor. Protection
// against other origins is the listener's: a browser's cookie must not reach
// it unguarded.
func (s *Server) Handler(actor Actor) http.Handler {
	mux := http.NewServeMux()
	mount := func(routes []route, actor Actor) {
		for _, rt := range routes {
			method, path, _ := strings.Cut(rt.pattern, " ")
			mux.HandleFunc(method+" "+Prefix+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.orToken(rt, actor), rt) })
		}
	}
	mount(routes, actor)
	mount(outOfBandRoutes, actor)
	mount(secretRoutes, actor)
	mount(bearerRoutes, rootOrNobody(actor))
	mount(openRoutes, outside)
	mux.HandleFunc("GET "+Prefix+"/openapi.json", func(w http.ResponseWriter, r *http.Request) { s.openAPI(w, r) })
	mux.HandleFunc(Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		WriteProblem(w, r, s.cfg.Logger, gateway.NotFound("route", r.Method+" "+r.URL.Path))
	})
	return mux
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, actor Actor, rt route) {
	w.Header().Set("Cache-Control", "no-store")
	who, err := actor(r)
	if err != nil {
		WriteProblem(w, r, s.cfg.Logger, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	out := &begun{ResponseWriter: w}
	answer, err := rt.handle(s, call{r, out, who})
	switch {
	case err != nil && out.yes:
		s.cfg.Logger.Error("answer cut short", "path", r.URL.Path, "error", err)
		panic(http.ErrAbortHandler) // the reader must not take half a recording for a whole one
	case err != nil:
		w.Header().Del("Content-Length") // they were of what is not answered
		w.Header().Del("Content-Disposition")
		WriteProblem(w, r, s.cfg.Logger, err)
		return
	}
	if answer == nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil && r.Context().Err() == nil {
		s.cfg.Logger.Warn("answer was not sent whole", "path", r.URL.Path, "error", err)
	}
}

// begun knows whether any of the answer has left.
type begun struct {
	http.ResponseWriter
	yes bool
}

func (b *begun) Write(p []byte) (int, error) { b.yes = true; return b.ResponseWriter.Write(p) }
func (b *begun) WriteHeader(status int)      { b.yes = true; b.ResponseWriter.WriteHeader(status) }

// Unwrap lets http.ResponseController reach the connection.
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// read decodes the body strictly.
func (c call) read(v any) error {
	dec := json.NewDecoder(c.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("something follows the value")
	}
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return gateway.Invalid("body", "the body has more than %d bytes", long.Limit)
	}
	return gateway.Invalid("body", "the body is not the JSON that this route takes: %s", err.Error())
}

// may is Server.May in the words of a handler.
func (s *Server) may(c call, capability Capability, object string) error {
	return s.May(c.Context(), c.who, capability, object)
}

func (s *Server) me(c call) (any, error) {
	return struct {
		Person  gateway.Person `json:"person"`
		Login   *gateway.Login `json:"login,omitempty"`
		Version string         `json:"version"`
	}{c.who.Person, c.who.Login, s.cfg.Version}, nil
}

// detached keeps an act going when the one who ordered it closes the page: a
// suspension that has begun must not stop half way.
func detached(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
