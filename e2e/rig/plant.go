package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"
)

// Plant is a real sshd on a free port of loopback, with a host key of its
// own. Whoever holds a certificate of a trusted user CA gets in as Login.
type Plant struct {
	*Process
	Dir     string
	Addr    string // host:port
	HostKey string // one authorized_keys line
	Login   string // the user that sshd lets in: the one who runs the test
}

const sshdConfig = `# written by the rig
Port %s
ListenAddress 127.0.0.1
HostKey %s
PidFile %s
AuthorizedKeysFile %s
TrustedUserCAKeys %s
AuthorizedPrincipalsFile %s
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
PrintLastLog no
MaxStartups 500:30:1000
MaxSessions 100
LogLevel VERBOSE
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
`

// StartPlant starts sshd in dir. userCA holds the public keys of user CAs and
// authorized plain public keys (for the direct route of the bench); both are
// authorized_keys text and may be empty.
func StartPlant(ctx context.Context, dir, userCA, authorized string) (*Plant, error) {
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if sshd = "/usr/sbin/sshd"; !exists(sshd) {
			return nil, fmt.Errorf("sshd is missing; apt-get install openssh-server: %w", err)
		}
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	p := &Plant{Dir: dir, Login: me.Username}
	if p.Addr, err = FreeAddr(); err != nil {
		return nil, err
	}
	if err := p.write(userCA, authorized); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 { // the folder sshd locks its unprivileged half into
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, err
		}
	}
	return p, p.Start(ctx, sshd)
}

// Start starts (or starts again, on the same port) the sshd of the plant.
func (p *Plant) Start(ctx context.Context, sshd string) error {
	if sshd == "" {
		sshd = "/usr/sbin/sshd"
	}
	var err error
	if p.Process, err = start(sshd, nil, "-D", "-e", "-f", p.file("sshd_config")); err != nil {
		return err
	}
	if err := Until(ctx, 10*time.Second, func() error { return listens(p.Addr) }); err != nil {
		p.Kill()
		return fmt.Errorf("sshd does not listen at %s: %w\n%s", p.Addr, err, p.Log())
	}
	return nil
}

// Configure adds lines to the plant's sshd_config, which go before its own, and
// starts it again.
func (p *Plant) Configure(ctx context.Context, lines string) error {
	own, err := os.ReadFile(p.file("sshd_config"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.file("sshd_config"), append([]byte(lines+"\n"), own...), 0o600); err != nil {
		return err
	}
	if err := p.Stop(); err != nil {
		return err
	}
	return p.Start(ctx, "")
}

func (p *Plant) file(name string) string { return filepath.Join(p.Dir, name) }

func (p *Plant) write(userCA, authorized string) error {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return err
	}
	if err := p.NewHostKey(); err != nil {
		return err
	}
	_, port, _ := strings.Cut(p.Addr, ":")
	for name, text := range map[string]string{
		"user_ca.pub": userCA, "authorized_keys": authorized, "principals": p.Login + "\n",
		"sshd_config": fmt.Sprintf(sshdConfig, port, p.file("host_key"), p.file("sshd.pid"), p.file("authorized_keys"), p.file("user_ca.pub"), p.file("principals")),
	} {
		if err := os.WriteFile(p.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// NewHostKey makes the plant another host key; a running sshd keeps the old
// one until it is started again.
func (p *Plant) NewHostKey() error {
	pub, err := Keygen(p.file("host_key"))
	p.HostKey = pub
	return err
}

// Keygen makes an Ed25519 key pair with the stock ssh-keygen, over any that
// is there, and returns the public half.
func Keygen(path string) (string, error) {
	_ = os.Remove(path)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rig", "-f", path).CombinedOutput(); err != nil {
		return "", fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	pub, err := os.ReadFile(path + ".pub")
	return strings.TrimSpace(string(pub)), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
