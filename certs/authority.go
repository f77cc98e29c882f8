package certs

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
)

// Lives of certificates.
const (
	// Leeway is how far back a certificate is valid from, for a target whose
	// clock is a little behind.
	Leeway = time.Minute
	// MaxUser bounds a user certificate whatever the grant says.
	MaxUser = 24 * time.Hour
	// MaxHost is how long the gateway's host certificate is valid; it is made
	// anew at each start.
	MaxHost = 90 * 24 * time.Hour
)

// Authority holds the gateway's keys. It may be used by many goroutines at
// once.
type Authority struct {
	machine ed25519.PrivateKey
	user    ssh.Signer
	login   ssh.Signer // of engineers' login certificates; no target trusts it
	host    ssh.Signer
	hostKey ssh.Signer
	web     ed25519.PrivateKey // what the web authority's key is derived from
	client  ed25519.PrivateKey // what the client authority's key is derived from
	now     func() time.Time
}

// Open reads the keys from the files in dir, and makes those that are not
// there.
func Open(dir string) (*Authority, error) {
	files, err := OpenFiles(dir)
	if err != nil {
		return nil, err
	}
	return New(files, time.Now)
}

// New takes the keys from a vault. now is the clock that host certificates
// are dated by.
func New(vault Vault, now func() time.Time) (*Authority, error) {
	a := &Authority{now: now}
	var err error
	if a.machine, err = vault.Key("machine"); err != nil {
		return nil, err
	}
	if a.web, err = vault.Key("web-ca"); err != nil {
		return nil, err
	}
	if a.client, err = vault.Key("https-client-ca"); err != nil {
		return nil, err
	}
	for name, into := range map[string]*ssh.Signer{"ssh-user-ca": &a.user, "ssh-login-ca": &a.login, "ssh-host-ca": &a.host, "ssh-host": &a.hostKey} {
		key, err := vault.Key(name)
		if err != nil {
			return nil, err
		}
		if *into, err = ssh.NewSignerFromKey(key); err != nil {
			return nil, fmt.Errorf("use key %q: %w", name, err)
		}
	}
	return a, nil
}

// MachineKey signs for the machine itself; its public half stands in roots[].
func (a *Authority) MachineKey() ed25519.PrivateKey { return a.machine }

// UserCA is what a target puts into its TrustedUserCAKeys.
func (a *Authority) UserCA() ssh.PublicKey { return a.user.PublicKey() }

// HostCAPublic is what a client puts behind @cert-authority in known_hosts.
func (a *Authority) HostCAPublic() ssh.PublicKey { return a.host.PublicKey() }

// HostSigners returns the gateway's host key certified for the names by the
// host authority, and the bare key for clients that take no certificate.
func (a *Authority) HostSigners(names []string) ([]ssh.Signer, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("a host certificate without names would be good for every host")
	}
	now := a.now()
	cert := &ssh.Certificate{
		Key: a.hostKey.PublicKey(), Serial: serial(), CertType: ssh.HostCert, KeyId: "portcullis " + names[0], ValidPrincipals: names,
		ValidAfter: unix(now.Add(-Leeway)), ValidBefore: unix(now.Add(MaxHost)),
	}
	if err := cert.SignCert(rand.Reader, a.host); err != nil {
		return nil, fmt.Errorf("sign host certificate: %w", err)
	}
	certified, err := ssh.NewCertSigner(cert, a.hostKey)
	if err != nil {
		return nil, fmt.Errorf("use host certificate: %w", err)
	}
	return []ssh.Signer{certified, a.hostKey}, nil
}

// KeepHost is HostSigners for a listener that runs longer than a certificate:
// the next one is made ExpiryWarning before the end of the last. Connections
// that live keep the one that they began with.
func (a *Authority) KeepHost(names []string) func() ([]ssh.Signer, error) {
	var mu sync.Mutex
	var made time.Time
	var last []ssh.Signer
	return func() ([]ssh.Signer, error) {
		mu.Lock()
		defer mu.Unlock()
		now := a.now()
		if last != nil && now.Before(made.Add(MaxHost-ExpiryWarning)) {
			return last, nil
		}
		next, err := a.HostSigners(names)
		if err != nil {
			return nil, err
		}
		last, made = next, now
		return last, nil
	}
}

// Permits is what a user certificate lets its holder do beside running a
// command: sshd's permit-* extensions.
type Permits struct {
	PTY     bool
	Forward bool // connections from the target on; which ones, the session says
}

// User makes a fresh key and a certificate for it. login is its one principal
// and keyID (the session's id) stands in the target's log. It is valid from
// Leeway before from until to, and at most MaxUser.
func (a *Authority) User(login, keyID string, from, to time.Time, permits Permits) (Credential, error) {
	if err := gateway.CheckLogin(login); err != nil {
		return Credential{}, err // an empty principal would be good for every user
	}
	if err := gateway.CheckNeeded("key id", keyID, gateway.MaxTitle, false); err != nil {
		return Credential{}, err
	}
	if limit := from.Add(MaxUser); to.After(limit) {
		to = limit
	}
	if from.Unix() <= int64(Leeway/time.Second) || !to.After(from) {
		return Credential{}, fmt.Errorf("user certificate from %s to %s has no time to be valid in", from, to)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Credential{}, fmt.Errorf("make user key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return Credential{}, fmt.Errorf("use user key: %w", err)
	}
	cert := &ssh.Certificate{
		Key: signer.PublicKey(), Serial: serial(), CertType: ssh.UserCert, KeyId: keyID, ValidPrincipals: []string{login},
		ValidAfter: unix(from.Add(-Leeway)), ValidBefore: unix(to.Add(time.Second - 1)), // whole seconds, the last one included
		Permissions: ssh.Permissions{Extensions: map[string]string{}},
	}
	if permits.PTY {
		cert.Extensions["permit-pty"] = ""
	}
	if permits.Forward {
		cert.Extensions["permit-port-forwarding"] = ""
	}
	if err := cert.SignCert(rand.Reader, a.user); err != nil {
		return Credential{}, fmt.Errorf("sign user certificate: %w", err)
	}
	certified, err := ssh.NewCertSigner(cert, signer)
	if err != nil {
		return Credential{}, fmt.Errorf("use user certificate: %w", err)
	}
	return Credential{Login: login, Auth: []ssh.AuthMethod{ssh.PublicKeys(certified)}, Certificate: cert}, nil
}

// unix is t in whole seconds as a certificate holds it. Times before 1970
// would wrap to for ever; User and HostSigners are never near it.
func unix(t time.Time) uint64 { return uint64(max(t.Unix(), 1)) } // max keeps it positive

// serial is random: it names a certificate, and is not guessed from another.
func serial() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails: it crashes the program instead
	return binary.BigEndian.Uint64(b[:])
}
