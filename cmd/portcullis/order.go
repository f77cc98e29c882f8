package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/web/api"
)

// maxTokenFile bounds what is read of a token's file.
const maxTokenFile = 4 << 10

type orderCmd struct {
	Suspend  orderSuspendCmd  `cmd:"" help:"Sign an order ahead, with an SSH security key, into a small file."`
	Submit   orderSubmitCmd   `cmd:"" help:"Hand a signed order in: it is carried out, once, without a login."`
	List     orderListCmd     `cmd:"" help:"List the orders on file."`
	Withdraw orderWithdrawCmd `cmd:"" help:"Take an order on file back."`
}

type orderSuspendCmd struct {
	Kind    string        `arg:"" enum:"vendor,person,target,zone,protocol,all" help:"What to close: vendor, person, target, zone, protocol or all."`
	Name    string        `arg:"" help:"Its name; of all: vendors."`
	Reason  string        `help:"Why, in a sentence for the record." required:""`
	Mode    string        `help:"What becomes of live sessions: cut, freeze, drain or no-new." enum:"cut,freeze,drain,no-new" default:"cut"`
	Drain   time.Duration `help:"How long live sessions may go on, with the mode drain."`
	Valid   string        `help:"How long the order is good, in days (30d)." default:"30d"`
	Key     string        `help:"The SSH security key, or its .pub file where an agent holds it; by default ~/.ssh/id_ed25519_sk or id_ecdsa_sk." placeholder:"FILE"`
	Server  string        `help:"URL of the gateway's pages; from the configuration by default." env:"PORTCULLIS_SERVER" placeholder:"URL"`
	Machine bool          `help:"Sign with this gateway's own key instead, as root on its machine."`
	Out     string        `help:"File to write; ORDER.json by default." type:"path" placeholder:"FILE"`
}

// Run has an order drawn up, signs it, and writes the file.
func (c *orderSuspendCmd) Run(r *run) error {
	days, err := strconv.ParseInt(strings.TrimSuffix(c.Valid, "d"), 10, 32)
	if err != nil || !strings.HasSuffix(c.Valid, "d") {
		return usagef("--valid %q is not a number of days like 30d", c.Valid)
	}
	in := api.OrderParams{Scope: gateway.Scope{Kind: gateway.ScopeKind(c.Kind), Name: c.Name}, Mode: gateway.Mode(c.Mode), Drain: int64(c.Drain / time.Second), Reason: c.Reason, Valid: days * int64(day/time.Second)}
	var id string
	var raw []byte
	if c.Machine {
		id, raw, err = c.byMachine(r, in)
	} else {
		id, raw, err = c.byKey(r, in)
	}
	if err != nil {
		return err
	}
	file := c.Out
	if file == "" {
		file = id + ".json"
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return err
	}
	fmt.Fprintln(r.errOut, "Whoever has this file can use it once. Hand it in with `portcullis order submit`, or to /api/v1/orders, or lay it into the gateway's folder orders:")
	_, err = fmt.Fprintln(r.out, file)
	return err
}

func (c *orderSuspendCmd) byMachine(r *run, in api.OrderParams) (string, []byte, error) {
	var row gateway.SignedOrder
	if err := r.act(string(statement.KindOrder), in, &row); err != nil {
		return "", nil, err
	}
	k, err := r.client()
	if err != nil {
		return "", nil, err
	}
	var raw bytes.Buffer
	err = k.stream(r.ctx, api.Prefix+"/orders/"+url.PathEscape(row.ID)+"/file", &raw)
	return row.ID, raw.Bytes(), err
}

func (c *orderSuspendCmd) byKey(r *run, in api.OrderParams) (string, []byte, error) {
	touch := touchCmd{Key: c.Key, Server: c.Server}
	base, err := touch.server(r)
	if err != nil {
		return "", nil, err
	}
	file, key, err := touch.key()
	if err != nil {
		return "", nil, err
	}
	ask := struct {
		Fingerprint string `json:"fingerprint"`
		api.OrderParams
	}{ssh.FingerprintSHA256(key), in}
	var begun api.SSHChallenge
	if err := post(r.ctx, base, "/orders/begin", ask, &begun); err != nil {
		return "", nil, err
	}
	order, err := orderFor(begun, base, in)
	if err != nil {
		return "", nil, hinted(err, "do not sign; tell the operator's control room what you were connecting to")
	}
	fmt.Fprintln(r.errOut, printable(order.Sentence()))
	fmt.Fprintln(r.errOut, "Touch your security key to agree.")
	sig, err := sign(r, file, begun)
	if err != nil {
		return "", nil, err
	}
	signed := statement.Signed{Digest: gateway.DigestOf([]byte(begun.Statement)), Bytes: []byte(begun.Statement)}
	proof := statement.Proof{Kind: statement.SSHSIG, Key: ssh.FingerprintSHA256(key), Signature: sig}
	if _, err := signed.VerifySSHSIG(proof, key, begun.Namespace); err != nil {
		return "", nil, err
	}
	signed.Proofs = []statement.Proof{proof}
	raw, err := statement.EncodeFile(signed)
	if err != nil {
		return "", nil, err
	}
	if err := send(r.ctx, base, "/orders/keep", "", raw, nil); err != nil {
		fmt.Fprintln(r.errOut, "The order is good, but it is not on the gateway's list and cannot be withdrawn there:", err)
	}
	return order.ID, raw, nil
}

// orderFor holds the order that the gateway drew up to what was asked for.
func orderFor(c api.SSHChallenge, base *url.URL, in api.OrderParams) (*statement.Order, error) {
	order, err := drawnUp[*statement.Order](c, base, statement.OrderNamespace, "an order")
	switch {
	case err != nil:
		return nil, err
	case order.Scope != in.Scope || order.Closing(time.Now()).Mode != in.Mode || order.Drain != in.Drain || order.Reason != in.Reason:
		return nil, fmt.Errorf("the order is for %s, which you did not ask for", printable(order.Scope.String()))
	case order.To.Sub(order.From) > time.Duration(in.Valid)*time.Second:
		return nil, fmt.Errorf("the order is good for %s, which you did not ask for", order.To.Sub(order.From))
	}
	return order, nil
}

type orderSubmitCmd struct {
	File   string `arg:"" type:"existingfile" help:"The signed order."`
	Server string `help:"URL of the gateway's pages, from elsewhere than its own machine." env:"PORTCULLIS_SERVER" placeholder:"URL"`
}

// Run hands the order in: at the local socket, or by the pages' address.
func (c *orderSubmitCmd) Run(r *run) error {
	raw, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	if _, _, err := statement.ParseFile(raw); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	var out gateway.Suspension
	if c.Server != "" {
		base, err := (&touchCmd{Server: c.Server}).server(r)
		if err != nil {
			return err
		}
		if err := send(r.ctx, base, "/orders", "", raw, &out); err != nil {
			return err
		}
		return r.printSuspension(out)
	}
	if err := r.post("/orders", json.RawMessage(raw), &out); err != nil {
		return err
	}
	return r.printSuspension(out)
}

type orderListCmd struct{}

// Run lists orders.
func (orderListCmd) Run(r *run) error {
	return list(r, "/orders", nil, "No order was signed ahead.", []string{"ORDER", "SCOPE", "STATE", "SIGNER", "UNTIL", "SUSPENSION", "REASON"}, func(x gateway.SignedOrder) []string {
		return []string{x.ID, x.Scope.String(), x.Standing(time.Now()), x.Signer, moment(x.To), x.Suspension, x.Reason}
	})
}

type orderWithdrawCmd struct {
	ID string `arg:"" help:"The order."`
}

// Run takes an order back.
func (c *orderWithdrawCmd) Run(r *run) error {
	var x gateway.SignedOrder
	if err := r.post("/orders/"+url.PathEscape(c.ID)+"/withdraw", map[string]string{}, &x); err != nil {
		return err
	}
	_, err := fmt.Fprintf(r.out, "Order %s is withdrawn: its file is worth nothing.\n", x.ID)
	return err
}

// send calls a route of the pages' address with bytes and, where it is not
// empty, a token.
func send(ctx context.Context, base *url.URL, path, token string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.String()+api.Prefix+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	// A redirect would lead the token to whom nobody named.
	stay := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := stay.Do(req)
	if err != nil {
		return hinted(fmt.Errorf("talk to the gateway: %w", err), "check --server, and that this machine trusts its certificate (SSL_CERT_FILE names a CA file)")
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return problem(res)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return nil
}

// readToken reads a token from a file that nobody else can read.
func readToken(path string) (string, error) {
	if err := alone(path); err != nil {
		return "", hinted(err, "chmod 600 "+path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(raw))
	if token == "" || strings.ContainsAny(token, " \n\r\t") {
		return "", errors.New(path + " holds no token")
	}
	return token, nil
}

// suspendFrom orders a suspension by a token, from elsewhere than the
// gateway's own machine.
func (r *run) suspendFrom(server, tokenFile string, in api.SuspendParams) (gateway.Suspension, error) {
	var out gateway.Suspension
	if server == "" || tokenFile == "" {
		return out, usagef("--server and --token-file go together")
	}
	base, err := (&touchCmd{Server: server}).server(r)
	if err != nil {
		return out, err
	}
	token, err := readToken(tokenFile)
	if err != nil {
		return out, err
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	return out, send(r.ctx, base, "/suspensions", token, raw, &out)
}
