package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/portcullis/portcullis/gateway"
)

// maxPassword bounds the password's file in bytes.
const maxPassword = 4 << 10

// parameters are what a URL may say. Anything else could weaken what a
// connection is held to (synchronous_commit=off), or carry a secret.
var parameters = []string{"sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "application_name"}

// address is where a database is. It prints without its user.
type address struct {
	where        string // hosts and database, for people
	passwordFile string
	cfg          *pgx.ConnConfig // without a password
	plain        string          // the sslmode that crosses a network without a certificate that is checked; empty: none
}

// String returns the hosts and the database.
func (a *address) String() string { return a.where }

// Check says what is wrong with a URL of the configuration; nil: nothing.
func Check(text string) error {
	_, err := parse(text, "")
	return err
}

func invalid(format string, args ...any) error {
	e := gateway.Invalid("store", format, args...)
	e.Next = "write postgres://user@host/database?sslmode=verify-full&sslrootcert=/path"
	return e
}

// parse reads postgres://user@host:port,host/database?parameters. What it
// says about a wrong one never repeats what stands before the @.
func parse(text, passwordFile string) (*address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, invalid("the store's URL cannot be read") // the cause would quote it
	}
	q := u.Query()
	for name := range q {
		if !slices.Contains(parameters, name) {
			return nil, invalid("the store's URL may not set %q; it may set %s", name, strings.Join(parameters, ", "))
		}
	}
	_, secret := u.User.Password()
	db := strings.TrimPrefix(u.Path, "/")
	switch {
	case secret:
		return nil, invalid("the store's URL holds a password; keep it in a file and name that as store_password_file")
	case u.User.Username() == "", db == "", u.Host == "" && q.Get("host") == "":
		return nil, invalid("the store's URL must name a user, a host and a database")
	}
	a := &address{passwordFile: passwordFile}
	hosts := u.Host
	if hosts == "" {
		hosts = q.Get("host")
	}
	a.where = hosts + "/" + db
	if err := a.encrypt(q, hosts); err != nil {
		return nil, err
	}
	q.Set("target_session_attrs", "read-write") // a standby's answer may be of the past
	u.RawQuery = q.Encode()
	if a.cfg, err = pgx.ParseConfig(u.String()); err != nil {
		return nil, invalid("the store's URL cannot be read; look at its ports and at the files of its certificates")
	}
	a.settle(q)
	return a, nil
}

// encrypt decides about TLS: whoever says nothing gets a certificate that is
// checked, but on the machine itself.
func (a *address) encrypt(q url.Values, hosts string) error {
	near := true
	for _, h := range strings.Split(hosts, ",") {
		near = near && loopback(h)
	}
	switch mode := q.Get("sslmode"); mode {
	case "":
		if q.Set("sslmode", "verify-full"); near {
			q.Set("sslmode", "disable")
		}
	case "verify-full":
	case "verify-ca", "require", "disable":
		if !near {
			a.plain = mode
		}
	default:
		return invalid("sslmode=%s decides nothing; write verify-full, verify-ca, require or disable", mode)
	}
	return nil
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" || strings.HasPrefix(host, "/") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// settle overrides what the environment of the process may have added: the
// configuration alone says what the store is.
func (a *address) settle(q url.Values) {
	a.cfg.Password = ""
	a.cfg.ConnectTimeout = dialLimit
	a.cfg.RuntimeParams = map[string]string{"application_name": "portcullis"}
	if name := q.Get("application_name"); name != "" {
		a.cfg.RuntimeParams["application_name"] = name
	}
	d := &net.Dialer{Timeout: dialLimit, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepInterval, Count: keepCount}}
	a.cfg.DialFunc = d.DialContext
}

// config returns what one connection is made with, the password of this
// moment in it.
func (a *address) config(context.Context) (*pgx.ConnConfig, error) {
	cfg := a.cfg.Copy()
	if a.passwordFile == "" {
		return cfg, nil
	}
	f, err := os.Open(a.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read the store's password: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxPassword))
	if err != nil {
		return nil, fmt.Errorf("read the store's password: %w", err)
	}
	cfg.Password = strings.TrimRight(string(raw), "\r\n")
	if cfg.Password == "" {
		return nil, errors.New("the store's password file is empty")
	}
	return cfg, nil
}
