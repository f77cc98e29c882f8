package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/certs"
	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/access"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/cluster/handover"
	"github.com/portcullis/portcullis/gateway/cluster/redis"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/httpsproxy"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/killswitch"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/recording/search"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/store"
	"github.com/portcullis/portcullis/gateway/store/sqlite"
	"github.com/portcullis/portcullis/gateway/trust"
	"github.com/portcullis/portcullis/gateway/vpn"
	"github.com/portcullis/portcullis/policy"
)

// rooms are all rooms of one gateway, joined. They are closed in the reverse
// order of their opening.
type rooms struct {
	cfg     Config
	log     *slog.Logger
	keys    *certs.Authority
	machine statement.MachineKey

	store      *store.DB
	roll       *store.Roll // nil for one node
	audit      *audit.Log
	spool      *audit.Spool // what happened while the store was away
	checkpoint string       // path of the newest signed checkpoint outside the store
	floor      *trust.Floor
	chain      *trust.Chain
	policy     *policy.Set
	directory  *directory.Directory
	identity   *identity.Service
	recordings *recording.Vault
	search     *search.Index
	sessions   *session.Manager
	access     *access.Service
	killswitch *killswitch.Service
	outofband  *killswitch.OutOfBand
	redis      *redis.Bus        // nil for one node
	peers      *handover.Peers   // nil for one node
	consoles   *httpsproxy.Proxy // nil: no domain for them; set when the listeners are joined
	tunnels    *vpn.Gateway      // nil: listen.vpn is off; set when the listeners are joined

	closers []func() error
}

// open joins the rooms over the data folder. Nothing listens yet.
func open(cfg Config, log *slog.Logger) (_ *rooms, err error) {
	r := &rooms{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	for _, step := range []func() error{r.openKeys, r.openPeers, r.openPolicy, r.openStore, r.openTrust, r.openPeople, r.openSessions, r.openGate, r.openOutOfBand} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// close closes what was opened, last first.
func (r *rooms) close() error {
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i]())
	}
	r.closers = nil
	return errors.Join(errs...)
}

func (r *rooms) openKeys() error {
	if err := os.MkdirAll(r.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	keys, err := certs.Open(filepath.Join(r.cfg.Data, "keys"))
	if err != nil {
		return fmt.Errorf("open the keys: %w", err)
	}
	r.keys, r.machine = keys, statement.MachineKey{Private: keys.MachineKey(), Gateway: r.cfg.URL}
	return r.publishKeys()
}

// publishKeys lays the public halves that targets and clients need into the
// data folder: what goes into a target's TrustedUserCAKeys, what a console trusts
// for client certificates, and the line for an engineer's known_hosts.
func (r *rooms) publishKeys() error {
	u, err := url.Parse(r.cfg.URL)
	if err != nil {
		return err
	}
	clients, err := r.keys.ClientCA()
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"https_client_ca.pem": string(clients),
		"ssh_user_ca.pub":     line(r.keys.UserCA()) + " portcullis user CA of " + r.cfg.Node + "\n",
		"ssh_known_hosts":     statement.Authority + u.Hostname() + ",[" + u.Hostname() + "]:* " + line(r.keys.HostCAPublic()) + "\n",
	} {
		path := filepath.Join(r.cfg.Data, name)
		if old, err := os.ReadFile(path); err == nil && string(old) == text {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("lay out public keys: %w", err)
		}
	}
	return nil
}

func (r *rooms) openPolicy() (err error) {
	r.policy, err = loadPolicy(r.cfg.Policy)
	return err
}

func loadPolicy(dir string) (*policy.Set, error) {
	fsys := policy.DefaultFiles()
	if dir != "" {
		fsys = os.DirFS(dir)
	}
	set, err := policy.Load(fsys)
	if err != nil {
		return nil, hinted(err, "mend the files; `portcullis policy check` lists every fault")
	}
	return set, nil
}

func (r *rooms) openStore() error {
	origin, err := audit.Origin(r.cfg.URL)
	if err != nil {
		return err
	}
	signer, err := audit.NewSigner(origin, r.keys.MachineKey())
	if err != nil {
		return err
	}
	r.checkpoint = filepath.Join(r.cfg.Data, "checkpoint")
	kept, err := audit.OpenCheckpointFile(r.checkpoint, r.log)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, kept.Close)
	r.store, err = openDatabase(r.cfg, sqlite.Options{
		Sealer: signer, Machine: statement.MachineKey{Private: r.keys.MachineKey(), Gateway: r.cfg.URL}, AfterCommit: kept.Keep, Logger: r.log,
	})
	if err != nil {
		return err
	}
	r.closers = append(r.closers, r.store.Close)
	r.roll = r.store.Roll(version())
	r.audit = audit.NewLog(r.store.Audit(), signer.Verifier())
	r.spool, err = audit.OpenSpool(audit.SpoolConfig{
		Dir: filepath.Join(r.cfg.Data, "spool"), Node: r.cfg.Node, Key: r.keys.MachineKey(), Write: r.store.Write, Now: time.Now, Logger: r.log,
	})
	if err != nil {
		return err
	}
	r.closers = append(r.closers, r.spool.Close)
	return nil
}

func (r *rooms) openTrust() error {
	roots, err := r.cfg.RootKeys()
	if err != nil {
		return err
	}
	r.floor, err = trust.OpenFloor(filepath.Join(r.cfg.Data, "floor"))
	if err != nil {
		return err
	}
	r.closers = append(r.closers, r.floor.Close)
	r.chain = trust.New(trust.Config{Store: r.store.Trust(), Roots: roots, RP: r.cfg.RelyingParty(), Gateway: r.cfg.URL, Floor: r.floor, Now: time.Now})
	return nil
}

func (r *rooms) openPeople() (err error) {
	r.directory = directory.New(directory.Config{Store: r.store.Directory(), Chain: r.chain, Floor: r.floor, Now: time.Now, Logger: r.log})
	providers := make([]identity.Provider, len(r.cfg.Identity.Providers))
	for i, p := range r.cfg.Identity.Providers {
		providers[i] = identity.Provider{Name: p.Name, Issuer: p.Issuer, ClientID: p.Client, SecretFile: p.SecretFile, Vendor: p.Vendor, Staff: p.Staff}
	}
	r.identity, err = identity.New(identity.Config{
		Store: r.store.Identity(), Chain: r.chain, Policy: identity.PolicyFunc(r.mayEnrol), Floor: r.floor,
		RP: r.cfg.RelyingParty(), Gateway: r.cfg.URL, Providers: providers, Seal: r.keys, Windows: windows{r}, Home: r.home(), Now: time.Now, Logger: r.log,
	})
	return err
}

// home is this node's name in ids of what waits in its memory, where another
// node may be asked for it.
func (r *rooms) home() string {
	if r.peers == nil {
		return ""
	}
	return r.cfg.Node
}

func (r *rooms) mayEnrol(p gateway.Person, k identity.EnrolFacts) *gateway.Error {
	return r.policy.MayEnrol(p, policy.EnrolFacts{BackupEligible: k.BackupEligible, Attestation: k.Attestation, Format: k.Format, AAGUID: k.AAGUID,
		SSH: k.SSH, SecurityKey: k.SecurityKey, VerifyRequired: k.VerifyRequired}, time.Now())
}

func (r *rooms) openSessions() (err error) {
	r.recordings, err = recording.Open(r.cfg.RecordingsDir(), recording.Options{Signer: recording.NewKey(r.keys.MachineKey()), Now: time.Now, Reserve: r.cfg.Reserve << 20, Logger: r.log})
	if err != nil {
		return fmt.Errorf("open the recordings: %w", err)
	}
	if err := r.openSearch(); err != nil {
		return err
	}
	r.access, err = access.New(access.Config{
		Store: r.store.Access(), Chain: r.chain, Policy: r.policy, Certs: r.keys, Floor: r.floor, Now: time.Now, Logger: r.log,
		Node: r.cfg.Node, Gateway: r.cfg.URL, OnGrantClosed: r.grantClosed, Granting: func() error { return r.sessions.Clock() },
	})
	if err != nil {
		return err
	}
	r.sessions, err = session.New(session.Config{
		Store: r.store.Session(), Keeper: r.spool, Access: entitler{r.access}, Recorder: indexed{session.Vault(r.recordings), r.search}, Node: r.cfg.Node, Lease: r.cfg.Lease, Leased: true, Now: time.Now, Logger: r.log,
	})
	return err
}

// grantClosed ends the sessions of a grant that is over.
func (r *rooms) grantClosed(grant string, why gateway.EndReason, by string) {
	r.sessions.EndGrant(grant, why, by)
}

func (r *rooms) openGate() error {
	bus, wake, err := r.openBus()
	if err != nil {
		return err
	}
	conf := killswitch.Config{
		Store: r.store.KillSwitch(), Statements: r.store.Trust(), Chain: r.chain, Sessions: r.sessions, Bus: bus, Wake: wake, Probe: r.prober().probe,
		Floor: r.floor, Clock: r.store.Clock(), Node: r.cfg.Node, Lease: r.cfg.Lease, Stays: r.cfg.Restore.stays(), Now: time.Now, Logger: r.log,
	}
	if r.roll != nil {
		conf.Roll = r.roll
	}
	r.killswitch, err = killswitch.New(conf)
	return err
}

// recover finishes what a crash cut short, before anything listens: what
// waited for the store is written to it, recordings are sealed and marked,
// sessions found open are ended, and suspensions without a report get one.
func (r *rooms) recover(ctx context.Context) error {
	if err := r.spool.Replay(ctx); err != nil {
		return fmt.Errorf("write to the store what waited for it: %w", err)
	}
	found, err := r.recordings.Recover(ctx)
	if err != nil {
		return fmt.Errorf("recover the recordings: %w", err)
	}
	for _, x := range found {
		r.log.Warn("a recording was cut short and is sealed as such", "session", x.Meta.Session, "torn_bytes", x.Torn, "fault", x.Fault)
		if x.Empty {
			continue
		}
		m := x.Meta
		if err := r.audit.Append(ctx, audit.Event{
			Name: audit.RecordingRecovered, Actor: "gateway", Vendor: m.Vendor, Person: m.Person, Target: m.Target, Account: m.Account, Request: m.Request, Grant: m.Grant, Session: m.Session,
			Reason: gateway.EndCrashed.Sentence(), Detail: map[string]string{"seal": x.Sealed.Digest.String(), "shown": fmt.Sprint(x.Sealed.BytesOut), "torn": fmt.Sprint(x.Torn), "until": x.End.UTC().Format(time.RFC3339Nano)},
		}); err != nil {
			return err
		}
	}
	account := func(session string) (recording.Info, error) { return r.recordings.Account(ctx, session) }
	if n, err := r.sessions.Recover(ctx, account); err != nil {
		return fmt.Errorf("end the sessions of before: %w", err)
	} else if n > 0 {
		r.log.Warn("sessions of before were found open and are ended", "sessions", n)
	}
	if _, err := r.killswitch.Recover(ctx); err != nil {
		return fmt.Errorf("finish the suspensions of before: %w", err)
	}
	if err := r.outofband.Recover(ctx); err != nil {
		return fmt.Errorf("read the outbox: %w", err)
	}
	return nil
}
