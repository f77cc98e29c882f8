package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Times of one exchange with Redis. They are short: an order that Redis
// cannot carry at once is read from the store a second later.
const (
	DialTimeout  = 500 * time.Millisecond
	ReadTimeout  = 500 * time.Millisecond
	WriteTimeout = 500 * time.Millisecond
	PoolTimeout  = 500 * time.Millisecond
	poolSize     = 16
	maxSecret    = 4 << 10 // bytes of a password file
	maxCA        = 1 << 20
)

// Server says where Redis is and who we are to it.
type Server struct {
	// Addresses are host:port each. One is a single server; several are the
	// seeds of a Redis Cluster, or, with Master set, the Sentinels.
	Addresses []string
	Master    string // the name that the Sentinels know the master by
	User      string // the ACL user; empty for the default user
	// PasswordFile is read at every new connection, so that a password can be
	// changed under a running node. Empty for none.
	PasswordFile string
	// The Sentinels' own user and password, where they have one.
	SentinelUser, SentinelPasswordFile string
	TLS                                bool
	CAFile                             string // PEM; the system's authorities if empty
	ServerName                         string // the name in the certificate, if not the address's host
}

// Local reports whether every address is this machine's own.
func (s Server) Local() bool {
	for _, a := range s.Addresses {
		host, _, err := net.SplitHostPort(a)
		ip, ipErr := netip.ParseAddr(host)
		if err != nil || host != "localhost" && (ipErr != nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// silent drops what the library would print to standard error.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// client makes the client; it connects to nothing yet.
func (s Server) client() (goredis.UniversalClient, error) {
	if len(s.Addresses) == 0 {
		return nil, errors.New("redis: no address")
	}
	conf, err := s.tlsConfig()
	if err != nil {
		return nil, err
	}
	sentinelSecret, err := readSecret(s.SentinelPasswordFile)
	if err != nil {
		return nil, err
	}
	if _, err := readSecret(s.PasswordFile); err != nil {
		return nil, err // at the start rather than at each connection
	}
	// The library has one logger for the whole process and prints to standard
	// error by default. Nobody else in this program uses it, and setting it is
	// atomic and the same each time.
	goredis.SetLogger(silent{})
	return goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs: s.Addresses, MasterName: s.Master, SentinelUsername: s.SentinelUser, SentinelPassword: sentinelSecret,
		CredentialsProviderContext: func(context.Context) (string, string, error) {
			secret, err := readSecret(s.PasswordFile)
			return s.User, secret, err
		},
		Dialer: dialer(conf), Protocol: 2, ContextTimeoutEnabled: true, DisableIdentity: true,
		MaxRetries: -1, DialerRetries: 1, DialTimeout: DialTimeout, ReadTimeout: ReadTimeout, WriteTimeout: WriteTimeout, PoolTimeout: PoolTimeout,
		PoolSize: poolSize, PipelinePoolSize: -1, FailingTimeoutSeconds: 1, MaxRedirects: 3,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}), nil
}

func (s Server) tlsConfig() (*tls.Config, error) {
	if !s.TLS {
		return nil, nil //nolint:nilnil // no TLS is a configuration too
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.ServerName}
	if s.CAFile == "" {
		return conf, nil
	}
	raw, err := readBounded(s.CAFile, maxCA)
	if err != nil {
		return nil, err
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("redis: %s holds no certificate", s.CAFile)
	}
	return conf, nil
}

// dialer connects, with TLS if conf is not nil, and puts the guard between
// the server and the library. The library leaves TLS to a dialer of ours.
func dialer(conf *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, DialTimeout)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil || conf == nil {
			return guarded(conn, err)
		}
		conf := conf.Clone()
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(addr)
		}
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return guarded(secure, nil)
	}
}

func guarded(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: conn}, nil
}

// readSecret reads a password file: one line, its end not part of it.
func readSecret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	raw, err := readBounded(path, maxSecret)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(raw), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n") {
		return "", fmt.Errorf("redis: the password file %s must hold one line", path)
	}
	return secret, nil
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("redis: %s has more than %d bytes", path, limit)
	}
	return raw, err
}
