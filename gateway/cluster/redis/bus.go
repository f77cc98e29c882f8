package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/cluster"
)

// Times and bounds of the bus.
const (
	DefaultPrefix = "portcullis"
	BeatEvery     = time.Second            // how often a node says that it is there
	HealthEvery   = time.Second            // how long the subscription is silent before it is asked for a sign
	RepeatEvery   = 250 * time.Millisecond // how often an order without all answers is sent again
	JoinWait      = time.Second            // how long Join waits for Redis
	HandleWait    = 30 * time.Second       // how long a node may take to carry out an order
	MaxOrderAge   = 30 * time.Second       // by the word of its sender; older is a replay
	Margin        = 2 * time.Second        // how far two nodes' clocks may be apart
	MaxNodes      = 256
	maxLease      = time.Hour
	maxAsking     = 256 // orders of this node under way
	maxCarrying   = 128 // orders of other nodes under way
	maxRemembered = 256 // orders carried out, with their answers
	backoffLeast  = 100 * time.Millisecond
	backoffMost   = 2 * time.Second
	complainEvery = time.Minute
	forgetAfter   = 24 * time.Hour // a beat this old is cleared out of Redis
)

// Config is what a bus needs. Members, Now and Logger may be missing.
type Config struct {
	Server Server
	// Prefix begins every key and channel: the name of the cluster.
	// DefaultPrefix if empty. Nodes of one cluster have the same.
	Prefix   string
	Lease    time.Duration // how long this process's nodes serve unheard
	Signer   Signer
	Verifier Verifier
	// Members are the nodes that the store knows. Without it a Redis that was
	// wiped can hide a node from a bus that has just started.
	Members cluster.Members
	Now     func() time.Time
	Logger  *slog.Logger
}

// Bus is a cluster.Bus over Redis. Close it.
type Bus struct {
	client   goredis.UniversalClient
	prefix   string
	boot     string
	lease    time.Duration
	signer   Signer
	verifier Verifier
	members  cluster.Members
	now      func() time.Time
	log      *slog.Logger

	ctx  context.Context //nolint:containedctx // the life of the bus's own goroutines
	stop context.CancelCauseFunc
	wg   sync.WaitGroup
	wake chan struct{}

	beating sync.Mutex // held while a beat is written

	mu         sync.Mutex // guards what follows
	closed     bool
	joined     chan struct{} // closed while the subscription stands
	nodes      map[string]*node
	asking     map[string]chan gateway.NodeReport // by nonce
	remembered map[task]*carried
	carrying   int
	known      map[string]sighting
	count      uint64 // of our beats
	drops      Drops
	complained map[string]time.Time
}

// node is one that joined in this process.
type node struct {
	h     cluster.Handler
	calls sync.WaitGroup
}

// Drops counts messages that were not believed.
type Drops struct {
	Orders, Answers, Beats uint64
}

var errClosed = errors.New("redis: the bus is closed")

// New makes a bus and begins to listen, whether Redis is there or not.
func New(c Config) (*Bus, error) {
	if c.Signer == nil || c.Verifier == nil || c.Lease <= 0 || c.Lease > maxLease {
		return nil, errors.New("redis: signer, verifier and a lease of at most an hour must be set")
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if err := gateway.CheckName("prefix", c.Prefix); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	client, err := c.Server.client()
	if err != nil {
		return nil, err
	}
	b := &Bus{
		client: client, prefix: c.Prefix, boot: newNonce(), lease: c.Lease, signer: c.Signer, verifier: c.Verifier, members: c.Members,
		now: c.Now, log: c.Logger, wake: make(chan struct{}, 1), joined: make(chan struct{}), nodes: map[string]*node{},
		asking: map[string]chan gateway.NodeReport{}, remembered: map[task]*carried{}, known: map[string]sighting{}, complained: map[string]time.Time{},
	}
	b.ctx, b.stop = context.WithCancelCause(context.Background())
	b.wg.Go(b.listen)
	b.wg.Go(b.keepBeating)
	return b, nil
}

// Close ends the bus and waits for what it runs.
func (b *Bus) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.stop(errClosed)
	err := b.client.Close()
	b.wg.Wait()
	if errors.Is(err, goredis.ErrClosed) {
		return nil
	}
	return err
}

// Wake fires after each subscription: orders published before it are lost, so
// whoever hears it reads the store at once.
func (b *Bus) Wake() <-chan struct{} { return b.wake }

// Joined reports whether the subscription stands.
func (b *Bus) Joined() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.joined:
		return true
	default:
		return false
	}
}

// Drops returns how many messages were not believed so far.
func (b *Bus) Drops() Drops {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.drops
}

// Join implements cluster.Bus. It waits at most JoinWait for Redis: a node
// serves without it, and is on the bus as soon as it is back.
func (b *Bus) Join(name string, h cluster.Handler) (leave func(), err error) {
	if err := gateway.CheckName("node", name); err != nil {
		return nil, err
	}
	b.mu.Lock()
	if _, taken := b.nodes[name]; taken {
		b.mu.Unlock()
		return nil, cluster.ErrNodeName
	}
	n := &node{h: h}
	b.nodes[name] = n
	joined := b.joined
	b.mu.Unlock()

	ctx, cancel := context.WithTimeout(b.ctx, JoinWait)
	defer cancel()
	select {
	case <-joined:
	case <-ctx.Done():
	}
	if err := b.beat(ctx); err != nil {
		b.complain("beat", "the bus does not take this node's beat", err)
	}
	return sync.OnceFunc(func() { b.leave(name, n) }), nil
}

func (b *Bus) leave(name string, n *node) {
	b.mu.Lock()
	delete(b.nodes, name)
	b.mu.Unlock()
	n.calls.Wait()
	ctx, cancel := context.WithTimeout(b.ctx, WriteTimeout)
	defer cancel()
	if err := b.beat(ctx, name); err != nil {
		b.complain("beat", "the bus does not take that this node leaves", err)
	}
}

// start runs f beside its caller until Close, unless the bus is closed.
func (b *Bus) start(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.wg.Go(f)
	return true
}

// complain writes a warning once a minute of each kind: what Redis does is
// not ours to keep from filling the disk with.
func (b *Bus) complain(kind, text string, err error) {
	now := time.Now()
	b.mu.Lock()
	last, before := b.complained[kind]
	quiet := before && now.Sub(last) < complainEvery
	if !quiet {
		b.complained[kind] = now
	}
	drops := b.drops
	b.mu.Unlock()
	if !quiet && b.ctx.Err() == nil {
		b.log.Warn(text, "error", err, "dropped_orders", drops.Orders, "dropped_answers", drops.Answers, "dropped_beats", drops.Beats)
	}
}

func (b *Bus) drop(kind string, counter *uint64, err error) {
	b.mu.Lock()
	*counter++
	b.mu.Unlock()
	b.complain(kind, "dropped what nobody of this cluster may have sent over Redis", err)
}

func (b *Bus) ordersChannel() string             { return b.prefix + ":orders" }
func (b *Bus) answersChannel(boot string) string { return b.prefix + ":answers:" + boot }
func (b *Bus) nodesKey() string                  { return b.prefix + ":nodes" }
