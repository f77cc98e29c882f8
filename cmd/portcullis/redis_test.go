package main

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis/portcullis/gateway/cluster/redis"
	"github.com/portcullis/portcullis/gateway/cluster/redis/redistest"
)

func TestRedisConfiguration(t *testing.T) {
	for text, want := range map[string]Redis{
		"redis: ''":                     {},
		"redis: redis://10.0.0.7":       {Addresses: []string{"10.0.0.7:6379"}},
		"redis: rediss://gate@r.test:1": {Addresses: []string{"r.test:1"}, User: "gate", TLS: &RedisTLS{}},
		"redis: {addresses: ['a:1', 'b:2'], master: gate, user: u, password_file: /p, tls: {ca: /ca, server_name: r}, prefix: plant}": {
			Addresses: []string{"a:1", "b:2"}, Master: "gate", User: "u", PasswordFile: "/p", TLS: &RedisTLS{CA: "/ca", ServerName: "r"}, Prefix: "plant"},
	} {
		if strings.Contains(text, "gate@") { // a user without a password file
			if _, err := ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), "password_file") {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		cfg, err := ParseConfig([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if d := cmp.Diff(want, cfg.Redis); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	for text, want := range map[string]string{
		"redis: {adresses: ['a:1']}":                             "adresses",
		"url: http://localhost:1\nredis: {addresses: [a], x: 1}": "line 2",
		"redis: {addresses: [a]}":                                "host:port",
		"redis: {prefix: p}":                                     "addresses",
		"redis: {addresses: ['a:1'], prefix: 'A B'}":             "prefix",
		"redis: {addresses: ['a:1'], sentinel_user: x}":          "master",
		"redis: {addresses: ['a:1'], tls: {key: /k}}":            "key",
		"redis: redis://u:s3cret@a:1":                            "password_file",
		"redis: http://a:1":                                      "redis://",
		"redis: redis://a:1/?password=s3cret":                    "redis://",
		"redis: redis://a:1/3":                                   "redis://",
	} {
		_, err := ParseConfig([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error tells the password: %v", text, err)
		}
	}
}

func TestDoctorLooksAtRedis(t *testing.T) {
	far := Redis{Addresses: []string{"10.0.0.7:6379"}}
	if f := lookAtRedisConfig(&far); len(f) != 1 || f[0].OK || !strings.Contains(f[0].Text, "TLS") {
		t.Errorf("over the network: %+v", f)
	}
	near := Redis{Addresses: []string{"127.0.0.1:6379", "localhost:6380", "[::1]:1"}}
	if f := lookAtRedisConfig(&near); len(f) != 0 {
		t.Errorf("on loopback: %+v", f)
	}
	s := redistest.Start(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := redis.Keys{Private: private, Trusted: []ed25519.PublicKey{public}}
	bus, err := redis.New(redis.Config{Server: redis.Server{Addresses: []string{s.Addr}}, Lease: defaultLease, Signer: keys, Verifier: keys})
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	leave, err := bus.Join("node-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if f := lookAtRedis(t.Context(), bus); len(f) == 0 || !f[0].OK {
		t.Errorf("a good server: %+v", f)
	}
	s.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	if f := lookAtRedis(t.Context(), bus); len(f) == 0 || f[0].OK || !strings.Contains(f[0].Text, "allkeys-lru") {
		t.Errorf("a server that forgets: %+v", f)
	}
	s.Kill()
	if f := lookAtRedis(t.Context(), bus); len(f) == 0 || f[0].OK || !strings.Contains(f[0].Text, "does not answer") {
		t.Errorf("a dead server: %+v", f)
	}
}
