package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/cluster/redis"
	"github.com/portcullis/portcullis/web/api"
)

// maxOffset is how far Redis's clock, and so another node's, may be from ours.
const maxOffset = 2 * time.Second

// Redis is where the nodes of a cluster meet: redis://USER@HOST:PORT,
// rediss:// for TLS, or these fields. Empty is one node alone.
type Redis struct {
	// Addresses are host:port: one server, several of a Redis Cluster, or,
	// with Master, the Sentinels.
	Addresses []string `yaml:"addresses,omitempty"`
	Master    string   `yaml:"master,omitempty"`
	User      string   `yaml:"user,omitempty"`
	// PasswordFile is read at each connection, so that the password can be
	// changed without a restart.
	PasswordFile         string    `yaml:"password_file,omitempty"`
	SentinelUser         string    `yaml:"sentinel_user,omitempty"`
	SentinelPasswordFile string    `yaml:"sentinel_password_file,omitempty"`
	TLS                  *RedisTLS `yaml:"tls,omitempty"`
	// Prefix names the cluster; "portcullis" by default.
	Prefix string `yaml:"prefix,omitempty"`
}

// RedisTLS has Redis spoken to over TLS alone.
type RedisTLS struct {
	CA         string `yaml:"ca,omitempty"`
	ServerName string `yaml:"server_name,omitempty"`
}

// UnmarshalYAML takes a URL or the fields, strictly.
func (r *Redis) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		var text string
		if err := n.Load(&text); err != nil {
			return err
		}
		return r.fromURL(text)
	}
	type fields Redis
	return n.Load((*fields)(r), yaml.WithKnownFields())
}

// fromURL does not quote the text in its errors: it may hold a password that
// does not belong there.
func (r *Redis) fromURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("redis: not of the form redis://USER@HOST:PORT or rediss://USER@HOST:PORT; more is said by fields (addresses, master, user, password_file, tls, prefix)")
	}
	if _, has := u.User.Password(); has {
		return errors.New("redis: a password does not belong into this file; use the fields, with password_file")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "6379")
	}
	r.Addresses, r.User = []string{u.Host}, u.User.Username()
	if u.Scheme == "rediss" {
		r.TLS = &RedisTLS{}
	}
	return nil
}

// IsZero reports whether this is one node alone.
func (r *Redis) IsZero() bool { return len(r.Addresses) == 0 && r.empty() }

func (r *Redis) empty() bool {
	return r.Master == "" && r.User == "" && r.PasswordFile == "" && r.SentinelUser == "" && r.SentinelPasswordFile == "" && r.TLS == nil && r.Prefix == ""
}

func (r *Redis) check() error {
	if r.IsZero() {
		return nil
	}
	if len(r.Addresses) == 0 {
		return errors.New("redis.addresses: empty; name at least one host:port")
	}
	for i, a := range r.Addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return fmt.Errorf("redis.addresses[%d]: %q is not host:port", i, a)
		}
	}
	if r.Master == "" && (r.SentinelUser != "" || r.SentinelPasswordFile != "") {
		return errors.New("redis: sentinel_user and sentinel_password_file need master, the name that the Sentinels know")
	}
	if r.User != "" && r.PasswordFile == "" {
		return errors.New("redis.password_file: empty, though a user is named")
	}
	if r.Prefix != "" && gateway.CheckName("prefix", r.Prefix) != nil {
		return fmt.Errorf("redis.prefix: %q is not a name", r.Prefix)
	}
	return nil
}

func (r *Redis) server() redis.Server {
	s := redis.Server{Addresses: r.Addresses, Master: r.Master, User: r.User, PasswordFile: r.PasswordFile, SentinelUser: r.SentinelUser, SentinelPasswordFile: r.SentinelPasswordFile}
	if r.TLS != nil {
		s.TLS, s.CAFile, s.ServerName = true, r.TLS.CA, r.TLS.ServerName
	}
	return s
}

// openBus joins the other nodes, or stands for one node alone. The wake fires
// when the bus was away.
func (r *rooms) openBus() (cluster.Bus, <-chan struct{}, error) {
	if r.cfg.Redis.IsZero() {
		return cluster.NewLocal(r.cfg.Lease, time.Now), nil, nil
	}
	roots, err := r.cfg.RootKeys()
	if err != nil {
		return nil, nil, err
	}
	keys := redis.Keys{Private: r.keys.MachineKey(), Trusted: roots}
	r.redis, err = redis.New(redis.Config{Server: r.cfg.Redis.server(), Prefix: r.cfg.Redis.Prefix, Lease: r.cfg.Lease, Signer: keys, Verifier: keys, Members: r.members(), Now: time.Now, Logger: r.log})
	if err != nil {
		return nil, nil, hinted(fmt.Errorf("open the bus: %w", err), "mend what stands under redis: in the configuration")
	}
	r.closers = append(r.closers, r.redis.Close)
	return r.redis, r.redis.Wake(), nil
}

// share holds networks to one limit over all nodes; nil for one node alone.
func (r *rooms) share() api.Share {
	if r.redis == nil {
		return nil
	}
	return cluster.NewShare(cluster.ShareConfig{Tally: r.redis, Most: api.SharedTouches, Window: time.Minute, Nodes: max(1, len(r.cfg.Nodes)), Logger: r.log})
}

// members are the nodes that the store knows; nil where this one has it to
// itself.
func (r *rooms) members() cluster.Members {
	if r.roll == nil {
		return nil
	}
	return r.roll
}

// lookAtRedisConfig says what can be seen of the bus without the gateway.
func lookAtRedisConfig(r *Redis) []finding {
	if r.IsZero() {
		return nil
	}
	var out []finding
	s := r.server()
	if !s.Local() && (!s.TLS || s.PasswordFile == "") {
		out = append(out, finding{What: "redis", Text: "Redis is reached over the network without both TLS and a password: whoever is on that network can keep orders from arriving", Cure: "give it an ACL user and TLS, and set redis.user, redis.password_file and redis.tls"})
	}
	for _, path := range []string{r.PasswordFile, r.SentinelPasswordFile} {
		if path == "" {
			continue
		}
		if err := private(path); err != nil {
			out = append(out, finding{What: "redis", Text: err.Error(), Cure: "chmod 600 " + path})
		}
	}
	return out
}

// lookAtRedis asks the bus about itself; nothing for one node alone.
func lookAtRedis(ctx context.Context, bus *redis.Bus) []finding {
	if bus == nil {
		return nil
	}
	var out []finding
	for _, h := range bus.Check(ctx) {
		f := finding{What: "redis"}
		switch {
		case h.Err != nil:
			f.Text, f.Cure = h.Server+" does not answer: "+h.Err.Error(), "start it, or mend what stands under redis: in the configuration; until then orders are read from the store each second"
		case h.Policy != "noeviction":
			f.Text, f.Cure = fmt.Sprintf("%s has maxmemory-policy %q: it may forget which nodes there are", h.Server, h.Policy), "set maxmemory-policy noeviction in redis.conf, and give the gateway a Redis of its own"
		case h.Offset.Abs() > maxOffset:
			f.Text, f.Cure = fmt.Sprintf("the clock of %s is %s from this node's", h.Server, h.Offset.Abs().Round(time.Millisecond)), "keep both with NTP; reports and leases name times"
		default:
			f.OK, f.Text = true, fmt.Sprintf("%s answered in %s", h.Server, ms(h.Answer))
		}
		out = append(out, f)
	}
	if !bus.Joined() {
		out = append(out, finding{What: "redis", Text: "this node hears no orders by the bus", Cure: "an ACL user needs +subscribe and &PREFIX:*; the log has the reason"})
	}
	if _, err := bus.Add(ctx, "doctor", time.Minute); err != nil && bus.Joined() {
		out = append(out, finding{What: "redis", Text: "it counts nothing, so each node keeps its own limits alone: " + err.Error(), Cure: "an ACL user needs +set and +incr on PREFIX:*"})
	}
	if d := bus.Drops(); d != (redis.Drops{}) {
		out = append(out, finding{What: "redis", Text: fmt.Sprintf("dropped %d orders, %d answers and %d beats that no node of this cluster signed", d.Orders, d.Answers, d.Beats), Cure: "let nobody else write to this Redis, and give every node the same roots"})
	}
	return out
}
