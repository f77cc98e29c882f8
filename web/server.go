package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/web/api"
)

// Server serves the pages and, for browsers, the API.
type Server struct {
	cfg    Config
	rooms  api.Config
	id     Identity
	assets assets
	pages  pages
	origin *http.CrossOriginProtection
	now    func() time.Time
	ssh    sshAddress

	lookers lookers
}

// New returns a Server. It says so when a room is missing or a template does
// not parse; that the assets were not built is said by the pages.
func New(cfg Config) (*Server, error) {
	if cfg.API == nil || cfg.Identity == nil {
		return nil, errors.New("web: no API or no Identity")
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("web: url %q is not of the form https://host", cfg.URL)
	}
	if cfg.SSH == "" {
		cfg.SSH = u.Hostname()
	}
	s := &Server{cfg: cfg, rooms: cfg.API.Rooms(), id: cfg.Identity, now: cfg.Now, origin: http.NewCrossOriginProtection()}
	s.ssh = newSSHAddress(cfg.SSH)
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.origin.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if s.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("web: read built assets: %w", err)
	}
	if s.pages, err = parsePages(s.now); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return s, nil
}

// door says who may come in by a route.
type door int

const (
	open     door = iota // everybody
	signedIn             // whoever has a login
	staff                // people of the operator
)

// entry is one route of the pages.
type entry struct {
	pattern string
	door    door
	needs   api.Capability // besides the door, where not empty
	handle  func(*Server, *visit) error
}

var entries = []entry{
	{"GET /login", open, "", (*Server).login},
	{"POST /login/begin", open, "", (*Server).loginBegin},
	{"POST /login/finish", open, "", (*Server).loginFinish},
	{"POST /logout", open, "", (*Server).logout},
	{"GET /enrol", open, "", (*Server).enrol},
	{"POST /enrol/who", open, "", (*Server).enrolWho},
	{"POST /enrol/begin", open, "", (*Server).enrolBegin},
	{"POST /enrol/created", open, "", (*Server).enrolCreated},
	{"POST /enrol/finish", open, "", (*Server).enrolFinish},
	{"GET /oidc/{provider}/start", open, "", (*Server).oidcStart},
	{"GET /oidc/{provider}/callback", open, "", (*Server).oidcCallback},

	{"GET /{$}", signedIn, "", (*Server).home},
	{"GET /requests", signedIn, "", (*Server).requests},
	{"GET /requests/new", signedIn, "", (*Server).newRequest},
	{"POST /requests", signedIn, "", (*Server).sendRequest},
	{"GET /requests/{id}", signedIn, "", (*Server).request},
	{"POST /requests/{id}/withdraw", signedIn, "", (*Server).withdraw},
	{"POST /requests/{id}/refuse", staff, api.Approve, (*Server).refuse},
	{"POST /grants/{id}/revoke", staff, api.Revoke, (*Server).revoke},
	{"GET /inbox", staff, api.Approve, (*Server).inbox},

	{"POST /console/{grant}", signedIn, api.Ask, (*Server).openConsole},
	{"GET /tunnels/{id}", signedIn, api.Ask, (*Server).tunnelTerminal},
	{"POST /tunnels/{id}/refuse", signedIn, api.Ask, (*Server).refuseTunnel},
	{"GET /tunnel/{grant}", signedIn, api.Ask, (*Server).tunnelPage},
	{"GET /terminal/{grant}", signedIn, api.Ask, (*Server).terminalPage},
	{"GET /terminal/{grant}/socket", signedIn, api.Ask, (*Server).terminalSocket},

	{"GET /board", staff, "", (*Server).board},
	{"GET /sessions/{id}", signedIn, "", (*Server).session},
	{"POST /sessions/{id}/end", signedIn, "", (*Server).endSession},
	{"POST /sessions/{id}/freeze", staff, api.EndSession, (*Server).freezeSession},
	{"POST /sessions/{id}/thaw", staff, api.EndSession, (*Server).thawSession},
	{"GET /suspend", staff, api.Suspending, (*Server).suspend},
	{"GET /suspensions", staff, "", (*Server).suspensions},
	{"GET /suspensions/{id}", staff, "", (*Server).suspension},
	{"GET /orders", staff, api.Suspending, (*Server).orders},
	{"GET /orders/new", staff, api.Suspending, (*Server).newOrder},
	{"POST /orders/{id}/withdraw", staff, api.Suspending, (*Server).withdrawOrder},
	{"GET /tokens", staff, api.Administer, (*Server).tokens},
	{"POST /tokens/{id}/remove", staff, api.Administer, (*Server).removeToken},

	{"GET /secrets", staff, api.SeeSecrets, (*Server).secrets},
	{"POST /secrets/{target}/{account}/rotated", staff, api.SeeSecrets, (*Server).rotated},

	{"GET /recordings", staff, api.Review, (*Server).recordings},
	{"GET /recordings/{id}", staff, api.Review, (*Server).recording},
	{"GET /recordings/{id}/exchanges/{n}", staff, api.Review, (*Server).exchange},
	{"GET /events", staff, api.ReadEvents, (*Server).events},

	{"GET /vendors", staff, "", (*Server).vendors},
	{"GET /vendors/new", staff, api.Administer, (*Server).vendorForm},
	{"GET /vendors/{name}", staff, "", (*Server).vendor},
	{"GET /vendors/{name}/edit", staff, api.Administer, (*Server).vendorForm},
	{"GET /people", staff, "", (*Server).people},
	{"GET /people/new", staff, api.Administer, (*Server).personForm},
	{"GET /people/{name}", staff, "", (*Server).person},
	{"GET /people/{name}/edit", staff, api.Administer, (*Server).personForm},
	{"GET /services", signedIn, "", (*Server).services},
	{"GET /services/new", staff, api.Administer, (*Server).serviceForm},
	{"GET /services/{name}/edit", staff, api.Administer, (*Server).serviceForm},
	{"GET /targets", staff, "", (*Server).targets},
	{"GET /targets/new", staff, api.Administer, (*Server).targetForm},
	{"GET /targets/{name}", staff, "", (*Server).target},
	{"GET /targets/{name}/edit", staff, api.Administer, (*Server).targetForm},

	{"GET /keys", signedIn, "", (*Server).keys},
	{"POST /keys/certificates/revoke", signedIn, "", (*Server).revokeCertificate},
	{"GET /certificate/{id}", signedIn, "", (*Server).certificate},
	{"POST /certificate/{id}/refuse", signedIn, "", (*Server).refuseCertificate},
	{"GET /touch/{id}", signedIn, "", (*Server).touch},
	{"POST /touch/{id}/refuse", signedIn, "", (*Server).refuseTouch},
	{"GET /help", open, "", (*Server).help},
	{"GET /help/{topic}", open, "", (*Server).help},
}

// Handler serves the pages, their assets, and the API for whoever is signed
// in. Browser routes and API routes stand on separate muxes.
func (s *Server) Handler() http.Handler {
	pages := http.NewServeMux()
	for _, e := range entries {
		pages.HandleFunc(e.pattern, func(w http.ResponseWriter, r *http.Request) { s.enter(w, r, e) })
	}
	pages.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.enter(w, r, entry{handle: func(_ *Server, v *visit) error { return gateway.NotFound("page", v.URL.Path) }})
	})
	root := http.NewServeMux()
	root.Handle("GET /assets/", s.assets.handler())
	root.Handle(api.Prefix+"/", s.cfg.API.Handler(s.actor))
	root.Handle("/", pages)
	return s.guard(root)
}
