package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway/sshproxy"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// touchCall bounds one call of the gateway.
const touchCall = 30 * time.Second // longer than the gateway waits for a touch in one

type touchCmd struct {
	What   string `arg:"" name:"account+target" help:"What to open: ACCOUNT+TARGET, or TARGET where there is one account."`
	Key    string `help:"The SSH security key, or its .pub file where an agent holds it; by default ~/.ssh/id_ed25519_sk or id_ecdsa_sk." placeholder:"FILE"`
	Server string `help:"URL of the gateway's pages; from the configuration by default." env:"PORTCULLIS_SERVER" placeholder:"URL"`
}

// Run gives the touch: the statement is fetched, shown, signed by the stock
// ssh-keygen and handed in. It needs no login and nothing of the gateway's.
func (c *touchCmd) Run(r *run) error {
	account, target, err := sshproxy.ParseUser(c.What)
	if err != nil {
		return usageError{err}
	}
	base, err := c.server(r)
	if err != nil {
		return err
	}
	file, key, err := c.key()
	if err != nil {
		return err
	}
	in := api.TouchParams{Fingerprint: ssh.FingerprintSHA256(key), Account: account, Target: target}
	var begun api.SSHChallenge
	if err := post(r.ctx, base, "/touch/begin", in, &begun); err != nil {
		return err
	}
	body, err := begunFor(begun, base, in)
	if err != nil {
		return hinted(err, "do not sign; tell the operator's control room what you were connecting to")
	}
	fmt.Fprintln(r.errOut, printable(body.Sentence()))
	fmt.Fprintln(r.errOut, "Touch your security key to agree.")
	sig, err := sign(r, file, begun)
	if err != nil {
		return err
	}
	var ticket api.SSHTicket
	if err := post(r.ctx, base, "/touch/finish", map[string]string{"id": begun.ID, "signature": string(sig)}, &ticket); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(r.out, ticket)
	}
	fmt.Fprintf(r.errOut, "Good for one connection until %s:\n", moment(ticket.Expires))
	_, err = fmt.Fprintln(r.out, printable(ticket.Command))
	return err
}

// server is the gateway's URL without a slash at its end.
func (c *touchCmd) server(r *run) (*url.URL, error) {
	text := c.Server
	if text == "" {
		cfg, err := r.configOf()
		if err != nil {
			return nil, hinted(errors.New("which gateway is not known"), "name its pages with --server https://HOST, or set PORTCULLIS_SERVER")
		}
		text = cfg.URL
	}
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return nil, usagef("the server %q is not of the form https://HOST", text)
	}
	own := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !own) {
		return nil, usagef("the server %q is not reached by https", text)
	}
	return u, nil
}

// key finds the file that ssh-keygen signs with, and the public half.
func (c *touchCmd) key() (file string, key ssh.PublicKey, err error) {
	files := []string{c.Key}
	if c.Key == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", nil, err
		}
		files = []string{filepath.Join(home, ".ssh", "id_ed25519_sk"), filepath.Join(home, ".ssh", "id_ecdsa_sk")}
	}
	const hint = "make one with `ssh-keygen -t ed25519-sk -O verify-required`, add its .pub file on the gateway's page /keys, and name it with --key"
	for _, file := range files {
		pub := strings.TrimSuffix(file, ".pub") + ".pub"
		raw, err := os.ReadFile(pub)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		key, err := statement.ParseSSHKey(strings.TrimSpace(string(raw)))
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", pub, err)
		}
		if !statement.SecurityKey(key) {
			return "", nil, hinted(fmt.Errorf("%s is no security key: nobody can tell that it was touched", pub), hint)
		}
		if _, err := os.Stat(file); err != nil {
			file = pub // the private half is an agent's
		}
		return file, key, nil
	}
	return "", nil, hinted(errors.New("no SSH security key was found"), hint)
}

// drawnUp holds what the gateway drew up to be signed to what it was asked to
// draw up: the sentence is what the statement says, and the statement is of
// this kind and for this gateway. Whoever sits in between cannot have another
// one signed.
func drawnUp[B statement.Body](c api.SSHChallenge, base *url.URL, namespace func(host string) string, what string) (body B, err error) {
	st, parsed, err := statement.Parse([]byte(c.Statement))
	if err != nil {
		return body, fmt.Errorf("what the gateway wants signed does not read as a statement: %w", err)
	}
	body, ok := parsed.(B)
	switch {
	case !ok:
		err = fmt.Errorf("the gateway wants something else signed than %s: %s", what, printable(st.Sentence))
	case c.Sentence != st.Sentence:
		err = errors.New("the gateway shows a sentence that the statement does not say")
	case st.Gateway != base.String() || c.Namespace != namespace(base.Hostname()):
		err = fmt.Errorf("the statement is for the gateway %s, and you asked %s", printable(st.Gateway), base)
	}
	return body, err
}

// begunFor holds the opening that the gateway drew up to this key and target.
func begunFor(c api.SSHChallenge, base *url.URL, in api.TouchParams) (*statement.Open, error) {
	open, err := drawnUp[*statement.Open](c, base, statement.OpenNamespace, "the opening of a session")
	switch {
	case err != nil:
		return nil, err
	case !open.ByKey() || open.Transport != in.Fingerprint:
		return nil, errors.New("the statement is for another key than yours")
	case open.Target != in.Target || in.Account != "" && open.Account != in.Account:
		return nil, fmt.Errorf("the statement opens %s on %s, which you did not ask for", printable(open.Account), printable(open.Target))
	}
	return open, nil
}

// sign runs the stock ssh-keygen, which asks for the PIN and the touch itself.
func sign(r *run, file string, c api.SSHChallenge) ([]byte, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(r.ctx, "ssh-keygen", "-q", "-Y", "sign", "-n", c.Namespace, "-f", file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.Statement), &out, r.errOut
	if err := cmd.Run(); err != nil {
		return nil, hinted(fmt.Errorf("ssh-keygen did not sign: %w", err), "touch the key while it blinks; its own words stand above")
	}
	return out.Bytes(), nil
}

// post calls one of the gateway's routes that need no login.
func post(ctx context.Context, base *url.URL, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, touchCall)
	defer cancel()
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.String()+api.Prefix+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	// A redirect would lead the statement to whom nobody named.
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := stay.Do(req)
	if err != nil {
		return hinted(fmt.Errorf("talk to the gateway: %w", err), "check --server, and that this machine trusts its certificate (SSL_CERT_FILE names a CA file)")
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return problem(res)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 4*statement.MaxBytes)).Decode(out); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return nil
}
