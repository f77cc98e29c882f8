package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// loginFile is the key that login writes unless told otherwise; the
// certificate stands beside it, where ssh looks for it.
const loginFile = "id_portcullis"

type loginCmd struct {
	Server string `help:"URL of the gateway's pages; from the configuration by default." env:"PORTCULLIS_SERVER" placeholder:"URL"`
	Key    string `help:"Where to write the fresh key; ~/.ssh/id_portcullis by default. An older one of the same kind is replaced." placeholder:"FILE"`
	Agent  bool   `help:"Hand key and certificate to the running ssh-agent, until the certificate ends, and write no file."`
}

// fresh is a key that nobody has seen, and the certificate that it got.
type fresh struct {
	private ed25519.PrivateKey
	public  ssh.PublicKey
	cert    *ssh.Certificate
	terms   gateway.SSHCertificate
	command string
}

// Run makes a key, shows the link, waits for the touch and lays key and
// certificate where ssh finds them. The private key leaves this machine never,
// and is written once it is worth something.
func (c *loginCmd) Run(r *run) error {
	base, err := (&touchCmd{Server: c.Server}).server(r)
	if err != nil {
		return err
	}
	file, err := c.file()
	if err != nil {
		return err
	}
	f, err := newFresh()
	if err != nil {
		return err
	}
	var begun api.TerminalBegun
	if err := post(r.ctx, base, "/certificate/begin", api.TerminalParams{Key: line(f.public), Client: clientName()}, &begun); err != nil {
		return err
	}
	if err := showLink(r, base, begun); err != nil {
		return err
	}
	if err := f.wait(r, base, begun.Ticket); err != nil {
		return err
	}
	if c.Agent {
		return f.toAgent(r)
	}
	return f.toFiles(r, file)
}

func clientName() string {
	host, _ := os.Hostname() // a machine without a name is a machine too
	name := host
	if u, err := user.Current(); err == nil {
		name = u.Username + "@" + host
	}
	if gateway.CheckText("client", name, gateway.MaxTitle, false) != nil {
		return ""
	}
	return name
}

func newFresh() (*fresh, error) {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ssh.NewPublicKey(pub)
	return &fresh{private: private, public: key}, err
}

// wait asks until somebody has touched or the link is over.
func (f *fresh) wait(r *run, base *url.URL, ticket string) error {
	for {
		var got api.SSHCertified
		if err := post(r.ctx, base, "/certificate/wait", map[string]string{"ticket": ticket}, &got); err != nil {
			return err
		}
		if !got.Waiting {
			return f.take(got, time.Now())
		}
	}
}

// take holds what came to what was asked for: our key, one person, today.
func (f *fresh) take(got api.SSHCertified, now time.Time) error {
	bad := func(why string) error {
		return hinted(fmt.Errorf("the gateway's certificate is not used: %s", why), "tell the operator's control room")
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(got.Certificate))
	cert, ok := key.(*ssh.Certificate)
	switch {
	case err != nil || !ok || len(bytes.TrimSpace(rest)) > 0 || got.Terms == nil:
		return bad("it does not read as one")
	case cert.CertType != ssh.UserCert || !bytes.Equal(cert.Key.Marshal(), f.public.Marshal()):
		return bad("it is for another key than the one just made")
	case len(cert.ValidPrincipals) != 1 || cert.ValidPrincipals[0] != got.Terms.Person || cert.KeyId != got.Terms.KeyID():
		return bad("it names somebody else")
	case cert.ValidBefore > uint64(now.Add(statement.MaxCertificate+time.Hour).Unix()):
		return bad("it lasts longer than a working day")
	}
	f.cert, f.terms, f.command = cert, *got.Terms, got.Command
	return nil
}

// file is where the key goes. What stands there is replaced only if login has
// written it: the certificate beside it is one of ours.
func (c *loginCmd) file() (string, error) {
	if c.Agent {
		return "", nil
	}
	file := c.Key
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		file = filepath.Join(home, ".ssh", loginFile)
	}
	if _, err := os.Lstat(file); errors.Is(err, os.ErrNotExist) {
		return file, nil
	} else if err != nil {
		return "", err
	}
	foreign := hinted(fmt.Errorf("%s is a key that `portcullis login` has not written", file), "name another file with --key")
	raw, err := os.ReadFile(file + "-cert.pub") // #nosec G304 -- the person names it
	if err != nil {
		return "", foreign
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(raw)
	cert, ok := key.(*ssh.Certificate)
	if err != nil || !ok {
		return "", foreign
	}
	if _, ours := gateway.ParseCertKeyID(cert.KeyId); !ours {
		return "", foreign
	}
	return file, nil
}

// toFiles writes key and certificate, each whole or not at all. The old
// certificate goes first, so that it never stands beside a key that is not its
// own.
func (f *fresh) toFiles(r *run, file string) error {
	block, err := ssh.MarshalPrivateKey(f.private, "portcullis login "+f.terms.Person)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.Remove(file + "-cert.pub"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, x := range []struct {
		path string
		raw  []byte
	}{
		{file, pem.EncodeToMemory(block)},
		{file + ".pub", ssh.MarshalAuthorizedKey(f.public)},
		{file + "-cert.pub", ssh.MarshalAuthorizedKey(f.cert)},
	} {
		if err := replace(x.path, x.raw); err != nil {
			return fmt.Errorf("write %q: %w", x.path, err)
		}
	}
	return f.say(r, file)
}

// replace writes a file of mode 0600 in one step.
func replace(path string, raw []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".portcullis-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where it was renamed
	_, err = tmp.Write(raw)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// toAgent hands both to the agent, for as long as the certificate lasts.
func (f *fresh) toAgent(r *run) error {
	const hint = "start one with `eval $(ssh-agent)`, or leave --agent out"
	path := os.Getenv("SSH_AUTH_SOCK")
	if path == "" {
		return hinted(errors.New("no ssh-agent runs here (SSH_AUTH_SOCK is empty)"), hint)
	}
	conn, err := (&net.Dialer{}).DialContext(r.ctx, "unix", path)
	if err != nil {
		return hinted(fmt.Errorf("reach the ssh-agent: %w", err), hint)
	}
	defer conn.Close()
	left := max(1, time.Until(f.terms.To)/time.Second)
	if err := agent.NewClient(conn).Add(agent.AddedKey{PrivateKey: f.private, Certificate: f.cert, Comment: "portcullis login " + f.terms.Person, LifetimeSecs: uint32(left)}); err != nil {
		return hinted(fmt.Errorf("hand the key to the ssh-agent: %w", err), hint)
	}
	return f.say(r, "")
}

// say tells who one is now, until when, and what to type.
func (f *fresh) say(r *run, file string) error {
	command := f.command
	if rest, ok := strings.CutPrefix(command, "ssh "); ok && file != "" {
		command = "ssh -i " + file + " " + rest
	}
	if r.JSON {
		return printJSON(r.out, map[string]any{"person": f.terms.Person, "until": f.terms.To, "key": file, "fingerprint": f.terms.Fingerprint, "grant": f.terms.Grant, "command": command})
	}
	fmt.Fprintf(r.errOut, "Signed in as %s until %s. Each session still needs a touch:\n", printable(f.terms.Person), moment(f.terms.To))
	_, err := fmt.Fprintln(r.out, printable(command))
	return err
}
