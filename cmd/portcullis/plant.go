package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshTarget is one real OpenSSH server on loopback: a target of the sample
// plant.
type sshTarget struct {
	*program
	addr    string
	hostKey string // authorized_keys line
	login   string // the account that it lets in by certificate
}

// startTarget starts sshd with a configuration of its own in dir, trusting
// userCA for certificates of the user who runs the demo and nothing else. The
// host key and the port are kept in dir, so that a second start is the same
// target.
func startTarget(ctx context.Context, dir, name string, userCA ssh.PublicKey, log *os.File) (*sshTarget, error) {
	sshd, err := findSSHD()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("find who runs the demo: %w", err)
	}
	hostKey, err := targetHostKey(filepath.Join(dir, "host_key"))
	if err != nil {
		return nil, err
	}
	port, err := targetPort(ctx, filepath.Join(dir, "port"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "user_ca.pub"), ssh.MarshalAuthorizedKey(userCA), 0o600); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "sshd_config")
	if err := os.WriteFile(conf, []byte(sshdConfig(dir, name, port)), 0o600); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 { // sshd's privilege separation wants it, and a container may lack it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, err
		}
	}
	t := &sshTarget{addr: "127.0.0.1:" + port, hostKey: hostKey, login: me.Username}
	// Its end is Stop's, not the context's: sessions end first.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), sshd, "-D", "-e", "-f", conf)
	if t.program, err = startProgram("the sample target "+name, cmd, log); err != nil {
		return nil, err
	}
	if err := t.await(ctx, t.greets); err != nil {
		t.Stop(syscall.SIGTERM)
		return nil, err
	}
	return t, nil
}

// greets reports whether the target shows an SSH banner.
func (t *sshTarget) greets(ctx context.Context) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(programReady)); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "SSH-2.0-") {
		err = fmt.Errorf("something else listens on %s", t.addr)
	}
	return err
}

func findSSHD() (string, error) {
	for _, p := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"} {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	if p, err := exec.LookPath("sshd"); err == nil {
		return filepath.Abs(p)
	}
	return "", hinted(errors.New("no OpenSSH server on this machine, and the sample plant is a real one"), "install it (Debian: apt-get install openssh-server) or start with `make demo`, which does")
}

func sshdConfig(dir, name, port string) string {
	banner := filepath.Join(dir, "motd")
	_ = os.WriteFile(banner, []byte("Sample plant: "+name+". This is a real shell on this machine.\n"), 0o600)
	return strings.Join([]string{
		"ListenAddress 127.0.0.1:" + port,
		"HostKey " + filepath.Join(dir, "host_key"),
		"TrustedUserCAKeys " + filepath.Join(dir, "user_ca.pub"),
		"PidFile none",
		"AuthorizedKeysFile none",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"UsePAM no",
		"StrictModes no",
		"PermitRootLogin prohibit-password",
		"MaxStartups 500:30:1000",
		"MaxSessions 100",
		"PrintMotd no",
		"AcceptEnv LANG LC_*",
		"Subsystem sftp internal-sftp",
		"",
	}, "\n")
}

// targetHostKey makes the target's host key once.
func targetHostKey(path string) (string, error) {
	if raw, err := os.ReadFile(path); err == nil {
		signer, err := ssh.ParsePrivateKey(raw)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", path, err)
		}
		return line(signer.PublicKey()), nil
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "sample target")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return "", err
	}
	return line(signer.PublicKey()), nil
}

// targetPort keeps the port of the first start if it is still free.
func targetPort(ctx context.Context, path string) (string, error) {
	if raw, err := os.ReadFile(path); err == nil {
		port := strings.TrimSpace(string(raw))
		if l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port, nil
		}
		return "", hinted(fmt.Errorf("port %s of the sample plant is in use", port), "stop what uses it, or remove the demo's data folder to begin anew")
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "", err
	}
	return port, os.WriteFile(path, []byte(port+"\n"), 0o600)
}

func line(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }
