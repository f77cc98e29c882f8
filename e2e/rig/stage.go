package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The people of the stage: adm administers; ben and cleo approve; ana is an
// engineer of vendor acme, bob of vendor bolt.
const (
	Acme = "acme"
	Bolt = "bolt"
)

// Stage is a gateway with two vendors, their people with keys, and one real
// target named "pump" (medium impact) that both may ask for. Its account is
// "ops".
type Stage struct {
	*Gateway
	Plant   *Plant
	People  map[string]*Person
	Clients map[string]*Client // of the engineers
	plants  string             // extra YAML of targets
}

// Options change the stage.
type Options struct {
	Config     string                // YAML added to the gateway's configuration
	Targets    func(s *Stage) string // YAML list items added to the plant file's targets
	Authorized string                // public keys that the plant takes without the gateway
	Between    *Cable                // between browsers and the pages; nil: nothing
	Lab        *Lab                  // whose sites reach the tunnels; nil: tunnels end on loopback
	TLS        *Certificate          // of the pages and consoles; nil: plain HTTP
}

// Address at which targets see the sample plant in the plant file.
const plantFile = `vendors:
  - {name: acme, title: Acme Metering Ltd, contact: "+44 20 7946 0000"}
  - {name: bolt, title: Bolt Drives plc}
people:
  - {name: adm, title: Ada Min, email: adm@utility.example, staff: true, roles: [admin]}
  - {name: ben, title: Ben Cole, email: ben@utility.example, staff: true, roles: [approver, responder]}
  - {name: cleo, title: Cleo Park, email: cleo@utility.example, staff: true, roles: [approver, reviewer]}
  - {name: ana, title: Ana Ruiz, email: ana@acme.example, vendor: acme, roles: [engineer]}
  - {name: bob, title: Bob Iyer, email: bob@bolt.example, vendor: bolt, roles: [engineer]}
targets:
  - name: pump
    title: Pump station 7
    kind: ssh
    address: %s
    zone: pumps
    impact: medium
    vendors: [acme, bolt]
    host_keys: [%q]
    accounts: [{name: ops, login: %s, proof: certificate}]
`

// NewStage builds it all in dir with the binary bin.
func NewStage(ctx context.Context, bin, dir string, o Options) (*Stage, error) {
	g, err := NewGateway(bin, filepath.Join(dir, "gateway"), o.Config)
	if err != nil {
		return nil, err
	}
	if o.Between != nil {
		g.URL = o.Between.URL()
		o.Between.Plug(g.Web)
	}
	if o.Lab != nil {
		g.Outside(o.Lab.Outer)
	}
	if o.TLS != nil {
		if err := g.Secure(*o.TLS); err != nil {
			return nil, err
		}
	}
	s := &Stage{Gateway: g, People: map[string]*Person{}, Clients: map[string]*Client{}}
	if _, err := g.Init(ctx); err != nil {
		return nil, err
	}
	ca, err := g.UserCA()
	if err != nil {
		return nil, err
	}
	if s.Plant, err = StartPlant(ctx, filepath.Join(dir, "plant"), ca, o.Authorized); err != nil {
		return nil, err
	}
	if err := g.Start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	if o.Targets != nil {
		s.plants = o.Targets(s)
	}
	if err := s.fill(ctx, dir); err != nil {
		s.Close()
		return nil, fmt.Errorf("%w\n--- the gateway's log:\n%s", err, g.Log())
	}
	return s, nil
}

func (s *Stage) fill(ctx context.Context, dir string) error {
	if err := s.Apply(ctx, s.PlantFile()); err != nil {
		return err
	}
	for _, name := range []string{"adm", "ben", "cleo", "ana", "bob"} {
		if err := s.Join(ctx, name); err != nil {
			return fmt.Errorf("enrol %s: %w", name, err)
		}
	}
	known, err := s.KnownHosts()
	if err != nil {
		return err
	}
	for _, name := range []string{"ana", "bob"} {
		c, err := NewClient(filepath.Join(dir, name), known)
		if err != nil {
			return err
		}
		s.Clients[name] = c
		if err := s.People[name].Act(ctx, "sshkey.add", map[string]string{"key": c.PublicKey, "label": "laptop"}, nil); err != nil {
			return err
		}
	}
	return nil
}

// PlantFile is the file that was applied.
func (s *Stage) PlantFile() string {
	return fmt.Sprintf(plantFile, s.Plant.Addr, s.Plant.HostKey, s.Plant.Login) + s.plants
}

// Join invites a person with the machine's key and enrols a key of theirs.
func (s *Stage) Join(ctx context.Context, name string) error {
	var invited struct {
		Link string `json:"link"`
	}
	if err := s.Machine().Act(ctx, "person.invite", map[string]string{"person": name}, &invited); err != nil {
		return err
	}
	p := s.NewPerson(name)
	s.People[name] = p
	return p.Enrol(ctx, invited.Link)
}

// Close ends everything that the stage started.
func (s *Stage) Close() {
	if s.Gateway.Process != nil {
		s.Kill()
	}
	if s.Plant != nil {
		_ = s.Plant.Stop()
	}
}

// Request is a request as the API shows it, as far as the rig reads it.
type Request struct {
	ID     string    `json:"id"`
	State  string    `json:"state"`
	Digest string    `json:"digest"`
	Lapse  time.Time `json:"lapse"`
}

// Grant likewise.
type Grant struct {
	ID    string    `json:"id"`
	State string    `json:"state"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Why   string    `json:"why"`
}

// Ask has an engineer ask for length on a target, from the last approval on.
func (s *Stage) Ask(ctx context.Context, who, target string, length time.Duration) (Request, error) {
	var r Request
	return r, s.People[who].Post(ctx, "/api/v1/requests", map[string]any{
		"target": target, "account": "ops", "seconds": int64(length / time.Second), "abilities": []string{"shell", "exec"}, "reason": "quarterly inspection of the drive",
	}, &r)
}

// Approve has a person agree to a request as asked.
func (s *Stage) Approve(ctx context.Context, who, request string) error {
	return s.People[who].Act(ctx, "request.approve", map[string]string{"request": request}, nil)
}

// Granted asks and agrees, and returns the open grant.
func (s *Stage) Granted(ctx context.Context, who, target string, length time.Duration) (Grant, error) {
	r, err := s.Ask(ctx, who, target, length)
	if err != nil {
		return Grant{}, fmt.Errorf("ask: %w", err)
	}
	if err := s.Approve(ctx, "ben", r.ID); err != nil {
		return Grant{}, err
	}
	return s.GrantOf(ctx, who, r.ID)
}

// GrantOf waits until the request's grant is open.
func (s *Stage) GrantOf(ctx context.Context, who, request string) (Grant, error) {
	var card struct {
		Grant *Grant `json:"grant"`
	}
	err := Until(ctx, 15*time.Second, func() error {
		if err := s.People[who].Get(ctx, "/api/v1/requests/"+request, &card); err != nil {
			return err
		}
		if card.Grant == nil || card.Grant.State != "open" {
			return fmt.Errorf("the grant is not open: %+v", card.Grant)
		}
		return nil
	})
	if card.Grant == nil {
		return Grant{}, err
	}
	return *card.Grant, err
}

// Ticket has the engineer press Open: good for one connection within 60 s.
func (s *Stage) Ticket(ctx context.Context, who, grant string) error {
	return s.People[who].Act(ctx, "session.open", map[string]string{"grant": grant}, nil)
}

// Touch has the engineer touch for the connection whose link was shown.
func (s *Stage) Touch(ctx context.Context, who, shown string) error {
	i := strings.LastIndex(shown, "/touch/")
	if i < 0 {
		return fmt.Errorf("no link to touch in %q", shown)
	}
	return s.People[who].Act(ctx, "session.open", map[string]string{"pending": shown[i+len("/touch/"):]}, nil)
}

// Args are the stock client's arguments for an engineer at a target.
func (s *Stage) Args(who, target string, options ...string) []string {
	return s.Clients[who].Args("ops+"+target, s.SSH, options...)
}

// TouchLink is the pattern of the link that a waiting connection shows.
const TouchLink = `https?://\S+/touch/([A-Za-z0-9_.~-]+)`

// Shell opens a shell in a terminal by link and touch, and waits for a
// prompt: what the target's shell answers to the first command.
func (s *Stage) Shell(ctx context.Context, who, target string) (*Terminal, error) {
	t, err := OpenTerminal(120, 32, "ssh", s.Args(who, target, "-tt")...)
	if err != nil {
		return nil, err
	}
	if err := s.letIn(ctx, t, who); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (s *Stage) letIn(ctx context.Context, t *Terminal, who string) error {
	found, err := t.Expect(ctx, 20*time.Second, TouchLink)
	if err != nil {
		return err
	}
	if err := s.Touch(ctx, who, found[0]); err != nil {
		return err
	}
	if err := t.Type("PS1=; stty -echo; echo in-$((40+2))-in\n"); err != nil {
		return err
	}
	_, err = t.Expect(ctx, 20*time.Second, "in-42-in")
	return err
}

// Store is the path of the gateway's database.
func (s *Stage) Store() string {
	for _, name := range []string{"portcullis.db", "store.db"} {
		if p := filepath.Join(s.Data, name); exists(p) {
			return p
		}
	}
	found, _ := filepath.Glob(filepath.Join(s.Data, "*.db"))
	if len(found) == 0 {
		return filepath.Join(s.Data, "portcullis.db")
	}
	return found[0]
}

// Scratch makes a folder below the stage that goes with it.
func (s *Stage) Scratch(name string) (string, error) {
	dir := filepath.Join(s.Dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}
