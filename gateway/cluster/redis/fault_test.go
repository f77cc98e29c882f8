package redis_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
	"github.com/portcullis/portcullis/gateway/cluster/bustest"
	"github.com/portcullis/portcullis/gateway/cluster/redis"
	"github.com/portcullis/portcullis/gateway/cluster/redis/redistest"
)

// pair is two nodes in two processes' places.
func pair(t *testing.T, server redis.Server) (one, two *redis.Bus) {
	t.Helper()
	keys := newKeys(t)
	one, two = startBus(t, server, keys), startBus(t, server, keys)
	join(t, one, "node-1", nil)
	join(t, two, "node-2", closes(7))
	wantAnswer(t, one)
	return one, two
}

func drain(wake <-chan struct{}) {
	select {
	case <-wake:
	default:
	}
}

func wantWake(t *testing.T, b *redis.Bus) {
	t.Helper()
	select {
	case <-b.Wake():
	case <-time.After(redistest.Patience):
		t.Fatal("the node was not told to read the store again")
	}
}

func TestSubscriptionComesBack(t *testing.T) {
	s := redistest.Start(t)
	one, two := pair(t, at(s.Addr))
	drain(two.Wake())
	s.Do("CLIENT", "KILL", "TYPE", "pubsub")
	wantWake(t, two)
	wantAnswer(t, one)

	drain(two.Wake())
	s.Kill()
	r, err := publish(t, one, time.Second)
	if err == nil || len(r) != 1 || r[0].Answered || r[0].LeaseEnds.IsZero() {
		t.Errorf("with Redis gone: %+v, %v; want an error, and node-2 not answered", r, err)
	}
	s.Restart()
	wantWake(t, two)
	wantAnswer(t, one)
}

func TestHungServer(t *testing.T) {
	s := redistest.Start(t)
	one, two := pair(t, at(s.Addr))
	drain(two.Wake())
	s.Freeze()
	r, err := publish(t, one, 1500*time.Millisecond)
	if err == nil || len(r) != 1 || r[0].Answered {
		t.Errorf("with Redis hung: %+v, %v; want an error, and node-2 not answered", r, err)
	}
	began := time.Now()
	late, err := one.Join("node-9", nil)
	if err != nil || time.Since(began) > redis.JoinWait+redis.DialTimeout {
		t.Errorf("joining took %s: %v", time.Since(began), err)
	}
	late()
	// The subscription gives the server up, though its sockets are open.
	eventually(t, "node-2 notices", func() bool { return !two.Joined() })
	s.Thaw()
	wantWake(t, two)
	wantAnswer(t, one)
}

// story: the answer is lost on its way; the order comes again, is not carried
// out again, and the first answer is sent again.
func TestLostAnswer(t *testing.T) {
	s, keys := redistest.Start(t), newKeys(t)
	one, two := startBus(t, at(s.Addr), keys), startBus(t, at(s.Addr), keys)
	join(t, one, "node-1", nil)
	var ended atomic.Int32
	join(t, two, "node-2", func(context.Context, cluster.Order) gateway.NodeReport {
		ended.Add(1)
		s.Do("CLIENT", "KILL", "TYPE", "pubsub")
		return gateway.NodeReport{LiveBefore: 7}
	})
	wantAnswer(t, one)
	if n := ended.Load(); n != 1 {
		t.Errorf("carried out %d times", n)
	}
}

func TestNodeThatLeavesIsNotMissed(t *testing.T) {
	s, keys := redistest.Start(t), newKeys(t)
	one := startBus(t, at(s.Addr), keys, func(c *redis.Config) {
		c.Members = members{list: []cluster.Member{{Name: "node-2", Seen: time.Now(), Lease: lease}}}
	})
	two := startBus(t, at(s.Addr), keys)
	join(t, one, "node-1", nil)
	leave, err := two.Join("node-2", closes(7))
	if err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, one)
	leave()
	if r, err := publish(t, one, bustest.Patience); err != nil || len(r) != 0 {
		t.Errorf("reports %+v, error %v", r, err)
	}
}

func TestSentinelFailover(t *testing.T) {
	f := redistest.StartSentinels(t)
	server := redis.Server{Addresses: f.Addresses, Master: redistest.Master}
	one, two := pair(t, server)
	drain(two.Wake())
	began := time.Now()
	f.Failover()
	wantWake(t, two)
	wantAnswer(t, one)
	t.Logf("orders are carried again %s after the master was killed", time.Since(began).Round(10*time.Millisecond))
}

func TestRedisCluster(t *testing.T) {
	var addresses []string
	all := redistest.StartCluster(t)
	for _, s := range all {
		addresses = append(addresses, s.Addr)
	}
	bustest.Run(t, func(t *testing.T) cluster.Bus {
		for _, s := range all {
			s.Do("FLUSHALL")
		}
		return startBus(t, redis.Server{Addresses: addresses}, newKeys(t))
	})
}

// The least that an ACL user needs.
const leastACL = "resetchannels &portcullis:* ~portcullis:* -@all +ping +subscribe +publish +hset +hgetall +hdel +pexpire +hello +info +time +set +incr"

func TestTLSAndACL(t *testing.T) {
	const password = "correct-horse-battery"
	x := redistest.NewTLS(t)
	s := redistest.Start(t, redistest.WithTLS(x), redistest.WithUser("gate", password, leastACL))
	file := filepath.Join(t.TempDir(), "password")
	write := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(password)
	good := redis.Server{Addresses: []string{s.Addr}, User: "gate", PasswordFile: file, TLS: true, CAFile: x.CAFile}
	one, two := pair(t, good)
	if d := one.Drops(); d != (redis.Drops{}) {
		t.Errorf("drops = %+v", d)
	}
	named := good
	named.ServerName = "redis.test"
	pair(t, named)

	t.Run("PasswordIsReadAgain", func(t *testing.T) {
		s.Do("ACL", "SETUSER", "gate", "resetpass", ">another-password")
		write("another-password")
		drain(two.Wake())
		s.Do("CLIENT", "KILL", "USER", "gate")
		wantWake(t, two)
		wantAnswer(t, one)
	})
	noCA, noTLS, badName, badPassword := good, good, good, good
	noCA.CAFile, noTLS.TLS, badName.ServerName, badPassword.PasswordFile = "", false, "elsewhere.test", filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(badPassword.PasswordFile, []byte("not-the-password"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, server := range map[string]redis.Server{"unknown authority": noCA, "no TLS": noTLS, "another name": badName, "another password": badPassword} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &buffer{}
			b := startBus(t, server, newKeys(t), func(c *redis.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
			join(t, b, "node-1", nil)
			r, err := publish(t, b, time.Second)
			if err == nil {
				t.Fatalf("published: %+v", r)
			}
			for _, secret := range []string{"not-the-password", "another-password", password} {
				if strings.Contains(err.Error()+log.String(), secret) {
					t.Errorf("the password stands in %v or %s", err, log)
				}
			}
		})
	}
}

// buffer is a bytes.Buffer for many goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
