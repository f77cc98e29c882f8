package rig

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Agent is an ssh-agent that holds one SSH security key (sk-ssh-ed25519) in
// software. It signs at once, and says of itself what it is told to. The stock
// ssh and ssh-keygen use it by Env.
type Agent struct {
	Line   string // the public half, for a .pub file
	Public string // path of that file, for ssh-keygen -f and IdentityFile
	Socket string

	mu      sync.Mutex
	flags   byte
	counter uint32

	dir    string
	public ssh.PublicKey
	cert   *ssh.Certificate
	key    ed25519.PrivateKey
	listen net.Listener
	served sync.WaitGroup
}

// What a FIDO2 key says of a signature.
const (
	Touched  = 0x01
	Verified = 0x04
)

// StartAgent makes a key that is touched and verifies its user, and serves it.
func StartAgent() (*Agent, error) {
	// A socket's path is short, so it does not stand below the test's folder.
	dir, err := os.MkdirTemp("", "agent-")
	if err != nil {
		return nil, err
	}
	a := &Agent{dir: dir, flags: Touched | Verified, Socket: filepath.Join(dir, "agent"), Public: filepath.Join(dir, "id_ed25519_sk.pub")}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	a.key = key
	if a.public, err = ssh.ParsePublicKey(ssh.Marshal(struct {
		Name        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, pub, "ssh:"})); err != nil {
		return nil, err
	}
	a.Line = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(a.public)))
	if err := os.WriteFile(a.Public, []byte(a.Line+"\n"), 0o600); err != nil {
		return nil, err
	}
	if a.listen, err = net.Listen("unix", a.Socket); err != nil {
		return nil, err
	}
	a.served.Go(a.serve)
	return a, nil
}

// Say sets what the key says with its next signatures; the counter rises from
// there.
func (a *Agent) Say(flags byte, counter uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flags, a.counter = flags, counter
}

// Certify has the agent offer the key under a certificate by some authority,
// with those extensions, and returns the file that names it.
func (a *Agent) Certify(extensions map[string]string) (string, error) {
	_, ca, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	signer, err := ssh.NewSignerFromKey(ca)
	if err != nil {
		return "", err
	}
	c := &ssh.Certificate{Key: a.public, CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity, Permissions: ssh.Permissions{Extensions: extensions}}
	if err := c.SignCert(rand.Reader, signer); err != nil {
		return "", err
	}
	a.mu.Lock()
	a.cert = c
	a.mu.Unlock()
	file := filepath.Join(a.dir, "id_ed25519_sk-cert.pub")
	return file, os.WriteFile(file, ssh.MarshalAuthorizedKey(c), 0o600)
}

// Env is what the stock programs find the agent by.
func (a *Agent) Env() []string { return append(os.Environ(), "SSH_AUTH_SOCK="+a.Socket) }

// Options has the stock ssh offer this key and no other, on c's machine.
func (a *Agent) Options(c *Client) ([]string, error) {
	text := fmt.Sprintf(agentConfig, a.Public, a.Socket, c.Dir)
	file := filepath.Join(a.dir, "config")
	return []string{"-F", file}, os.WriteFile(file, []byte(text), 0o600)
}

const agentConfig = `# written by the rig
Host *
  IdentityFile %s
  IdentityAgent %s
  UserKnownHostsFile %s/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  ControlPath none
  ConnectTimeout 20
  LogLevel INFO
`

// Close ends the agent.
func (a *Agent) Close() {
	_ = a.listen.Close()
	a.served.Wait()
	_ = os.RemoveAll(a.dir)
}

func (a *Agent) serve() {
	for {
		c, err := a.listen.Accept()
		if err != nil {
			return
		}
		_ = agent.ServeAgent(a, c) // ends when the client hangs up
		_ = c.Close()
	}
}

// List implements agent.Agent.
func (a *Agent) List() ([]*agent.Key, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := []*agent.Key{{Format: a.public.Type(), Blob: a.public.Marshal(), Comment: "soft"}}
	if a.cert != nil {
		keys = []*agent.Key{{Format: a.cert.Type(), Blob: a.cert.Marshal(), Comment: "soft certificate"}}
	}
	return keys, nil
}

// Sign implements agent.Agent (PROTOCOL.u2f).
func (a *Agent) Sign(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counter++
	said := ssh.Marshal(struct {
		Flags   byte
		Counter uint32
	}{a.flags, a.counter})
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	signed := append(append(application[:], said...), message[:]...)
	return &ssh.Signature{Format: a.public.Type(), Blob: ed25519.Sign(a.key, signed), Rest: said}, nil
}

var errOneKey = errors.New("this agent holds its one key")

// Add implements agent.Agent.
func (a *Agent) Add(agent.AddedKey) error { return errOneKey }

// Remove implements agent.Agent.
func (a *Agent) Remove(ssh.PublicKey) error { return errOneKey }

// RemoveAll implements agent.Agent.
func (a *Agent) RemoveAll() error { return errOneKey }

// Lock implements agent.Agent.
func (a *Agent) Lock([]byte) error { return errOneKey }

// Unlock implements agent.Agent.
func (a *Agent) Unlock([]byte) error { return errOneKey }

// Signers implements agent.Agent.
func (a *Agent) Signers() ([]ssh.Signer, error) { return nil, errOneKey }
