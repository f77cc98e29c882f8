package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/web"
)

type doctorCmd struct{}

// finding is one thing that the doctor looked at.
type finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
	Cure string `json:"cure,omitempty"`
}

// Run looks at the configuration and the data folder, and asks the gateway
// about itself if it runs.
func (doctorCmd) Run(r *run) error {
	cfg, err := r.configOf()
	if err != nil {
		return err
	}
	found := lookAtFiles(cfg)
	var of []finding
	err = newClient(cfg.Socket()).do(r.ctx, http.MethodGet, "/local/doctor", nil, &of)
	if err != nil {
		found = append(found, finding{What: "gateway", Text: err.Error(), Cure: "start it with `portcullis serve`"})
	}
	found = append(found, of...)
	if r.JSON {
		if err := printJSON(r.out, found); err != nil {
			return err
		}
	}
	bad := 0
	for _, f := range found {
		mark := "ok  "
		if !f.OK {
			mark = "BAD "
			bad++
		}
		if r.JSON {
			continue
		}
		fmt.Fprintf(r.out, "%s %-12s %s\n", mark, f.What, printable(f.Text))
		if f.Cure != "" && !f.OK {
			fmt.Fprintf(r.out, "     %-12s cure: %s\n", "", printable(f.Cure))
		}
	}
	if bad > 0 {
		return shownError{fmt.Errorf("%d things are wrong", bad)}
	}
	return nil
}

// lookAtFiles looks at what can be seen without the gateway.
func lookAtFiles(cfg Config) []finding {
	var out []finding
	add := func(what string, err error, good, cure string) {
		f := finding{What: what, OK: err == nil, Text: good, Cure: cure}
		if err != nil {
			f.Text = err.Error()
		}
		out = append(out, f)
	}
	add("data folder", private(cfg.Data), cfg.Data+" is the service's alone", "chmod 700 "+cfg.Data)
	_, err := loadPolicy(cfg.Policy)
	add("policy", err, "the rules hold", "run `portcullis policy check`")
	keys, err := keysIn(cfg.Data)
	add("keys", err, "the keys are there and nobody else can read them", "the line names the file and the mode")
	if err == nil {
		root := machineRoot(keys)
		var missing error
		if !slices.Contains(cfg.Roots, root) {
			missing = errors.New("this machine's key is not among the roots, so nothing that root signs here is believed")
		}
		add("roots", missing, fmt.Sprintf("%d trusted to admit the first staff", len(cfg.Roots)), "add to roots: "+root)
	}
	if cfg.StorePasswordFile != "" {
		add("store", alone(cfg.StorePasswordFile), "its password can be read by nobody else", "chmod 600 "+cfg.StorePasswordFile)
	}
	out = append(out, lookAtRedisConfig(&cfg.Redis)...)
	add("disk", room(cfg), "there is room for recordings", "free some space, or move recordings to a larger disk")
	if cfg.plain() {
		add("tls", errors.New("the pages are served without TLS"), "", "for anything but a trial, set url to https://")
	}
	if !web.Built() {
		add("pages", errors.New("this binary does not carry the pages' scripts and styles"), "", "build it with `make build`")
	}
	return out
}

func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o: others can reach it", dir, info.Mode().Perm())
	}
	return nil
}

// room wants at least a GiB free where recordings go.
func room(cfg Config) error {
	const least = 1 << 30
	dir := cfg.RecordingsDir()
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		dir = filepath.Dir(dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; free < least {
		return fmt.Errorf("%s has %s free; recordings want at least %s", dir, size(free), size(least))
	}
	return nil
}

// localDoctor is what only the running gateway can tell.
func (g *gatewayd) localDoctor(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	out := append(lookAtStore(ctx, g.cfg, g.store), lookAtSpool(g.spool)...)
	out = append(out, lookAtRedis(ctx, g.redis)...)
	out = append(out, g.lookAtNodes(ctx)...)
	targets, err := g.directory.Targets(ctx)
	if err != nil {
		out = append(out, finding{What: "consoles", Text: err.Error()})
	}
	out = append(out, lookAtConsoles(ctx, targets, time.Now())...)
	out = append(out, g.lookAtTunnels(ctx, targets)...)
	out = append(out, g.lookAtCertificates()...)
	runs := fmt.Sprintf("%s runs as node %s with %d live sessions", version(), g.cfg.Node, len(g.sessions.Live()))
	if until := g.leaving.Load(); until != nil {
		runs += "; it drains before a restart, opens nothing new, and ends what is left at " + moment(*until)
	}
	out = append(out, finding{What: "gateway", OK: true, Text: runs})
	admins, err := g.adminsWithKeys(ctx)
	switch {
	case err != nil:
		out = append(out, finding{What: "staff", Text: err.Error()})
	case admins == 0:
		out = append(out, finding{What: "staff", Text: "no administrator has a key yet", Cure: "`portcullis invite NAME` prints a link"})
	default:
		out = append(out, finding{What: "staff", OK: true, Text: fmt.Sprintf("%d administrators have keys", admins)})
	}
	return answer(w, out)
}

// lookAtSpool says what waits for the store.
func lookAtSpool(s *audit.Spool) []finding {
	n := s.Waiting()
	if n == 0 {
		return nil
	}
	return []finding{{What: "spool", Text: fmt.Sprintf("%d things that happened wait on this node's disk for the store", n), Cure: "see to the store; they are written in their order within seconds of its return"}}
}

func (g *gatewayd) adminsWithKeys(ctx context.Context) (int, error) {
	people, err := g.directory.People(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, p := range people {
		if !p.Staff() || !p.Is(gateway.Admin) || p.State != gateway.Active {
			continue
		}
		keys, _, err := g.identity.Keys(ctx, p.Name)
		if err != nil {
			return n, err
		}
		if slices.ContainsFunc(keys, func(k gateway.Authenticator) bool { return k.Removed.IsZero() }) {
			n++
		}
	}
	return n, nil
}
