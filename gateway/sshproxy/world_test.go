package sshproxy_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/recording"
	"github.com/portcullis/portcullis/gateway/session"
	"github.com/portcullis/portcullis/gateway/sshproxy"
	"github.com/portcullis/portcullis/gateway/statement"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// world is one gateway: the real proxy, session registry and recorder, with
// identity, access and store played by the test.
type world struct {
	t       testing.TB
	dir     string
	addr    string // of the proxy
	proxy   *sshproxy.Proxy
	vault   *recording.Vault
	disk    *disk
	m       *session.Manager
	store   *store
	id      *identity
	acc     *access
	machine statement.MachineKey
	target  gateway.Target
	logins  []ssh.AuthMethod // the gateway's at the target
	login   ssh.Signer       // the same, to be let in
	user    ssh.Signer       // ana's
	keyFile string
	host    ssh.PublicKey
	opened  chan *session.Live
}

func signer(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newWorld starts a proxy whose one target is at the address that serve
// returns for the world's login key.
func newWorld(t testing.TB, edit ...func(*sshproxy.Config)) *world {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	login, hostKey := signer(t), signer(t)
	w := &world{
		t: t, dir: t.TempDir(), store: newStore(), machine: statement.MachineKey{Private: key, Gateway: "http://localhost:8080"},
		logins: []ssh.AuthMethod{ssh.PublicKeys(login)}, login: login, host: hostKey.PublicKey(), opened: make(chan *session.Live, 512),
	}
	w.userKey()
	w.vault, err = recording.Open(filepath.Join(w.dir, "recordings"), recording.Options{Signer: vaultSigner{key}, Reserve: 1 << 20, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	w.disk = &disk{Recorders: session.Vault(w.vault)}
	w.id = &identity{w: w, waiting: make(chan *waiting, 64)}
	w.acc = &access{w: w, to: gateway.Instant(time.Now().Add(time.Hour)), abilities: gateway.Abilities{Shell: true, Exec: true}}
	w.m, err = session.New(session.Config{Store: w.store, Access: w.acc, Recorder: w.disk, Node: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	c := sshproxy.Config{HostSigners: func() ([]ssh.Signer, error) { return []ssh.Signer{hostKey}, nil }, Identity: w.id, Access: w.acc, Sessions: sessions{w}, URL: "http://localhost:8080", Logger: logger(t)}
	for _, e := range edit {
		e(&c)
	}
	w.serve(c)
	return w
}

// disk is where the recordings go; slow, if set, is how long it takes to begin one.
type disk struct {
	session.Recorders
	slow func()
}

func (d *disk) Start(ctx context.Context, m recording.Meta) (session.Recorder, error) {
	if d.slow != nil {
		d.slow()
	}
	return d.Recorders.Start(ctx, m)
}

func logger(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func (w *world) serve(c sshproxy.Config) {
	p, err := sshproxy.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy = p
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Serve(ctx, l); err != nil {
			w.t.Errorf("serve: %v", err)
		}
	})
	wg.Go(func() { _ = w.m.Run(ctx) })
	w.t.Cleanup(func() { cancel(); wg.Wait() })
}

func (w *world) userKey() {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.user, err = ssh.NewSignerFromKey(key); err != nil {
		w.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.keyFile = filepath.Join(w.dir, "id_ed25519")
	if err := os.WriteFile(w.keyFile, pem.EncodeToMemory(block), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

type vaultSigner struct{ key ed25519.PrivateKey }

func (s vaultSigner) Sign(msg []byte) []byte { return ed25519.Sign(s.key, msg) }
func (s vaultSigner) Public() string {
	return base64.StdEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))
}

// sessions joins the proxy to the registry, as cmd does.
type sessions struct{ w *world }

func (s sessions) Open(ctx context.Context, o sshproxy.Opening) (sshproxy.Live, error) {
	l, err := s.w.m.Open(ctx, session.Opening(o))
	if err != nil {
		return nil, err
	}
	s.w.opened <- l
	return live{l}, nil
}
func (s sessions) Refuse(ctx context.Context, r sshproxy.Refusal) {
	s.w.m.Refuse(ctx, session.Refusal(r))
}

// faulty is a command that finds a fault in the gateway.
const faulty = "find the fault"

type live struct{ *session.Live }

func (l live) Credential(ctx context.Context) ([]ssh.AuthMethod, error) {
	c, err := l.Live.Credential(ctx)
	return c.Auth, err
}
func (l live) Channel(ctx context.Context, ch gateway.Channel) (sshproxy.Channel, error) {
	if ch.Command == faulty {
		panic("a fault that a test asked for")
	}
	c, err := l.Live.Channel(ctx, ch)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// identity knows ana by one key.
type identity struct {
	w       *world
	waiting chan *waiting
	mu      sync.Mutex
	owner   func(ssh.PublicKey) error
}

type waiting struct {
	sshproxy.Waiting
	touched chan touched
	closed  chan struct{}
}
type touched struct {
	s   statement.Signed
	err error
}

func (i *identity) Owner(_ context.Context, key ssh.PublicKey) (gateway.Person, gateway.SSHKey, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.owner != nil {
		if err := i.owner(key); err != nil {
			return gateway.Person{}, gateway.SSHKey{}, err
		}
	}
	if !bytes.Equal(key.Marshal(), i.w.user.PublicKey().Marshal()) {
		return gateway.Person{}, gateway.SSHKey{}, gateway.NotFound("key", ssh.FingerprintSHA256(key))
	}
	return gateway.Person{Name: "ana", Vendor: "acme", State: gateway.Active, Epoch: 1}, gateway.SSHKey{}, nil
}

func (i *identity) Await(_ context.Context, in sshproxy.Waiting) (sshproxy.Pending, error) {
	wt := &waiting{Waiting: in, touched: make(chan touched, 1), closed: make(chan struct{})}
	i.waiting <- wt
	return sshproxy.Pending{
		ID: "abc123", Code: "K7-4Q2",
		Wait: func(ctx context.Context) (statement.Signed, error) {
			select {
			case t := <-wt.touched:
				return t.s, t.err
			case <-ctx.Done():
				return statement.Signed{}, ctx.Err()
			}
		},
		Close: sync.OnceFunc(func() { close(wt.closed) }),
	}, nil
}

// access grants pump-7's root to ana.
type access struct {
	w         *world
	mu        sync.Mutex
	to        time.Time
	abilities gateway.Abilities
	noTicket  bool
	usable    error
}

const grantID = "grt_0000000000000000000000000z"

func (a *access) grant() gateway.Grant {
	return gateway.Grant{ID: grantID, Person: "ana", Vendor: "acme", Target: "pump-7", Account: "root", From: gateway.Instant(time.Now().Add(-time.Minute)), To: a.to, Epochs: gateway.Epochs{Vendor: 1, Person: 1}, Abilities: a.abilities}
}

func (a *access) Usable(_ context.Context, p gateway.Person, target, account string) (gateway.Grant, gateway.Request, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.usable != nil {
		return gateway.Grant{}, gateway.Request{}, a.usable
	}
	if target != "pump-7" || account != "" && account != "root" {
		return gateway.Grant{}, gateway.Request{}, gateway.Refused("grant", "ask for one at http://localhost:8080", "you have no grant for %s", gateway.Quote(target))
	}
	return a.grant(), gateway.Request{}, nil
}

func (a *access) TakeTicket(_ context.Context, p gateway.Person, id, login string) (statement.Signed, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.noTicket {
		return statement.Signed{}, false, nil
	}
	return a.w.touch(statement.BindLogin, "login_1"), true, nil
}

func (a *access) Entitle(context.Context, string, statement.Signed) (session.Entitlement, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.grant()
	return session.Entitlement{
		Grant: g, Target: a.w.target, Account: a.w.target.Accounts[0], Person: gateway.Person{Name: "ana", Vendor: "acme"},
		Vendor: gateway.Vendor{Name: "acme"}, Abilities: a.abilities, From: g.From, To: g.To, Recording: "full",
	}, nil
}

func (a *access) Credential(context.Context, session.Entitlement, string) (session.Credential, error) {
	return session.Credential{Auth: a.w.logins}, nil
}

func (w *world) touch(kind statement.BindingKind, transport string) statement.Signed {
	g := w.acc.grant()
	s, err := w.machine.Sign(time.Now(), &statement.Open{
		Grant: g.ID, Request: gateway.DigestOf([]byte("ask")), Person: "ana", Vendor: "acme", Target: "pump-7", Account: "root",
		Abilities: g.Abilities, From: g.From, To: g.To, Binding: kind, Transport: transport, Source: "127.0.0.1",
	})
	if err != nil {
		w.t.Error(err)
	}
	return s
}

// at points the world's target at an address with these host keys.
func (w *world) at(address string, keys ...ssh.PublicKey) {
	w.target = gateway.Target{Name: "pump-7", Kind: gateway.KindSSH, Address: address, Accounts: []gateway.Account{{Name: "root", Login: "root", Proof: gateway.ProofKey}}}
	for _, k := range keys {
		w.target.HostKeys = append(w.target.HostKeys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))))
	}
}

// sshd starts a real OpenSSH server as the target, with more lines for its
// configuration, and returns what it logs.
func (w *world) sshd(more ...string) *screen {
	w.t.Helper()
	hostKey := w.writeKey("host")
	auth := filepath.Join(w.dir, "authorized")
	write(w.t, auth, ssh.MarshalAuthorizedKey(w.login.PublicKey()))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	conf := filepath.Join(w.dir, "sshd_config")
	write(w.t, conf, fmt.Appendf(nil, `ListenAddress 127.0.0.1
Port %s
HostKey %s
AuthorizedKeysFile %s
PermitRootLogin yes
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_* SECRET
Subsystem sftp internal-sftp
MaxSessions 50
MaxStartups 200
%s
`, port, filepath.Join(w.dir, "host"), auth, strings.Join(more, "\n")))
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", conf)
	log := newScreen()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		w.t.Fatalf("sshd: %v; install the package openssh-server", err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if w.t.Failed() {
			w.t.Logf("sshd said:\n%s", log.String())
		}
	})
	w.at(addr, hostKey)
	w.listening(addr)
	return log
}

// listening waits until something accepts at addr.
func (w *world) listening(addr string) {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			_ = nc.Close()
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("nothing listens at %s", addr)
		}
	}
}

func (w *world) writeKey(name string) ssh.PublicKey {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		w.t.Fatal(err)
	}
	write(w.t, filepath.Join(w.dir, name), pem.EncodeToMemory(block))
	p, err := ssh.NewPublicKey(pub)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// ssh is the stock client, ready to run.
func (w *world) ssh(args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(w.addr)
	known := filepath.Join(w.dir, "known_hosts")
	write(w.t, known, fmt.Appendf(nil, "[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(w.host)))
	base := []string{
		"-F", "none", "-p", port, "-i", w.keyFile, "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=" + known,
		"-o", "StrictHostKeyChecking=yes", "-l", "root+pump-7",
	}
	cmd := exec.Command("ssh", append(base, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SSH_AUTH_SOCK=")
	return cmd
}

// client is a raw client, signed in.
func (w *world) client(user string, more ...ssh.AuthMethod) (*ssh.Client, error) {
	return w.clientBanner(user, nil, more...)
}

func (w *world) clientBanner(user string, banner *string, more ...ssh.AuthMethod) (*ssh.Client, error) {
	c, err := ssh.Dial("tcp", w.addr, &ssh.ClientConfig{
		User: user, Auth: append(slices.Clone(more), ssh.PublicKeys(w.user)), HostKeyCallback: ssh.FixedHostKey(w.host), Timeout: patience,
		BannerCallback: func(m string) error {
			if banner != nil {
				*banner += m
			}
			return nil
		},
	})
	return c, err
}

func (w *world) mustClient() *ssh.Client {
	w.t.Helper()
	c, err := w.client("root+pump-7")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *world) lastLive() *session.Live {
	w.t.Helper()
	select {
	case l := <-w.opened:
		return l
	case <-time.After(patience):
		w.t.Fatal("no session was opened")
		return nil
	}
}

func (w *world) done(l *session.Live) *gateway.Ended {
	w.t.Helper()
	select {
	case <-l.Done():
	case <-time.After(patience):
		w.t.Fatal("the session did not end")
	}
	var e *gateway.Ended
	if !errors.As(context.Cause(l.Context()), &e) {
		w.t.Fatalf("cause %v", context.Cause(l.Context()))
	}
	return e
}

// recorded is what the recording of a session holds.
func (w *world) recorded(l *session.Live) string {
	w.t.Helper()
	var b bytes.Buffer
	if err := w.vault.Raw(&b, l.ID(), recording.Stdout); err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}

// store is the session room's store in memory.
type store struct {
	mu     sync.Mutex
	rows   map[string]gateway.Session
	used   map[gateway.Digest]bool
	events []audit.Event
	closed bool
}

func newStore() *store {
	return &store{rows: map[string]gateway.Session{}, used: map[gateway.Digest]bool{}}
}
func (s *store) Session(context.Context, string) (gateway.Session, error) {
	return gateway.Session{}, gateway.ErrNotFound
}
func (s *store) Passed(context.Context, string) (in, out int64, err error)           { return 0, 0, nil }
func (s *store) Sessions(context.Context, session.Filter) ([]gateway.Session, error) { return nil, nil }
func (s *store) Update(_ context.Context, f func(session.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f((*tx)(s))
}
func (s *store) has(name audit.Name, outcome audit.Outcome, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Name == name && e.Outcome == outcome && strings.Contains(e.Reason, reason) {
			return true
		}
	}
	return false
}

// hasDetail is whether an event has a detail of this value.
func (s *store) hasDetail(name audit.Name, key, value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.events, func(e audit.Event) bool { return e.Name == name && e.Detail[key] == value })
}

type tx store

func (t *tx) Append(e audit.Event) error          { t.events = append(t.events, e); return nil }
func (t *tx) PutStatement(statement.Signed) error { return nil }
func (t *tx) PutSession(r gateway.Session) error  { t.rows[r.ID] = r; return nil }
func (t *tx) UseTouch(d gateway.Digest) error {
	if t.used[d] {
		return gateway.ErrUsed
	}
	t.used[d] = true
	return nil
}
func (*tx) UsePeer(string, gateway.Digest) error                 { return errors.New("no tunnel here") }
func (*tx) Wide(gateway.Reach) (gateway.WideEpochs, bool, error) { return nil, true, nil }

func (t *tx) Epochs(string, string) (gateway.Epochs, bool, bool, error) {
	return gateway.Epochs{Vendor: 1, Person: 1}, !t.closed, true, nil
}

var _ io.Closer = (*ssh.Client)(nil)
