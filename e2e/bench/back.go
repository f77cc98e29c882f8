package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/portcullis/portcullis/e2e/rig"
)

const (
	backSpares  = 12              // connections of each engineer that opened nothing before the order
	backDrafts  = 8               // statements that each has drawn up and signed
	backTickets = 8               // touches that each has given ahead
	backAlive   = 5 * time.Second // for which a session that came up is watched
	duringPart  = 5               // one of so many attempts is begun while the order is carried out
)

// thief has what an engineer had before the order.
type thief struct {
	who      string
	grant    rig.Grant
	old      []*held       // connections whose sessions the order ends
	spares   []*ssh.Client // that opened nothing
	cookies  []*http.Cookie
	prepared []signed
}

// thief is an engineer who may go to the ticker.
func (l *lab) thief(ctx context.Context, who string) (*thief, error) {
	grant, err := l.Granted(ctx, who, "ticker", grantTime)
	return &thief{who: who, grant: grant, cookies: l.People[who].Cookies()}, err
}

// signed is a statement that was drawn up, with the key's answer to it.
type signed struct {
	id        string
	assertion any
}

// back tries the ways back in. Each of them opens before the order, or its
// refusal afterwards would say nothing.
type back struct {
	l       *lab
	web     *http.Client
	thieves []*thief
	trial   bool // no order was given yet
	opened  int  // ways that opened then

	mu       sync.Mutex
	answered time.Time // when the order was; zero: not yet
}

// way is one way back in, with its share of a hundred attempts; i is the
// attempt's number. It reports whether it led in.
type way struct {
	name    string
	share   int
	session bool // a ticket opens it; it counts where it outlives the answer, all others where they were begun after it
	try     func(ctx context.Context, t *thief, i int) bool
}

func (b *back) ways() []way {
	return []way{
		{"statement", 6, false, b.statement}, // first: a key that was used since does not stand by what it signed before
		{"direct", 14, true, b.direct},
		{"jump", 8, true, b.jump},
		{"channel", 30, true, b.channel},
		{"cookie", 24, false, b.cookie},
		{"request", 6, false, b.request},
		{"touch", 6, false, b.touch},
		{"login", 6, false, b.login},
	}
}

// newBack gathers what ana and bob have, and tries each way once with it.
func (l *lab) newBack(ctx context.Context) (*back, error) {
	b := &back{l: l, trial: true, web: &http.Client{Timeout: dialWithin, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	for _, who := range []string{"ana", "bob"} {
		t, err := l.thief(ctx, who)
		if err != nil {
			return b, err
		}
		b.thieves = append(b.thieves, t)
	}
	t := b.thieves[0]
	if err := errors.Join(b.master(ctx, t), b.arm(ctx, t)); err != nil {
		return b, err
	}
	for _, w := range b.ways() {
		if w.session {
			if err := l.ticket(ctx, t.who, t.grant); err != nil {
				return b, err
			}
		}
		if !w.try(ctx, t, 0) {
			return b, fmt.Errorf("%s does not open before the order", w.name)
		}
		b.opened++
	}
	b.trial = false
	return b, nil
}

// master opens a session whose connection may have more channels.
func (b *back) master(ctx context.Context, t *thief) error {
	if err := b.l.ticket(ctx, t.who, t.grant); err != nil {
		return err
	}
	c, err := b.dial(t, 0)
	if err != nil {
		return err
	}
	h, err := start(c, slowCommand, tickMark, noteTicks)
	if err != nil {
		c.Close()
		return err
	}
	t.old = append(t.old, h)
	return nil
}

// arm gives an engineer anew what grows old: connections and signed statements.
func (b *back) arm(ctx context.Context, t *thief) error {
	t.leave()
	t.prepared = nil
	for i := range backSpares {
		c, err := b.dial(t, i)
		if err != nil {
			return err
		}
		t.spares = append(t.spares, c)
	}
	b.l.touching.Lock()
	defer b.l.touching.Unlock()
	p := b.l.People[t.who]
	for range backDrafts {
		c, err := p.Draft(ctx, "session.open", map[string]string{"grant": t.grant.ID})
		if err != nil {
			return err
		}
		a, err := p.Key.Get(c.Options)
		if err != nil {
			return err
		}
		t.prepared = append(t.prepared, signed{c.ID, a})
	}
	return nil
}

func (b *back) close() {
	for _, t := range b.thieves {
		t.leave()
		leave(t.old)
	}
}

// leave closes the spares.
func (t *thief) leave() {
	for _, c := range t.spares {
		c.Close()
	}
	t.spares = nil
}

// all suspends the other vendor while its engineer tries, and has both try
// afterwards. It returns how many attempts led in, of those begun after the
// order or alive after its answer.
func (b *back) all(ctx context.Context) (in int, err error) {
	bob := b.thieves[1]
	for range backTickets {
		if err := b.l.ticket(ctx, bob.who, bob.grant); err != nil {
			return 0, err
		}
	}
	if err := b.arm(ctx, bob); err != nil {
		return 0, err
	}
	n := b.l.volume.back
	var ordering sync.WaitGroup
	defer ordering.Wait()
	ordering.Go(func() {
		out, orderErr := b.l.order(ctx, rig.Bolt).CombinedOutput()
		b.mu.Lock()
		b.answered = time.Now()
		b.mu.Unlock()
		if orderErr != nil {
			err = fmt.Errorf("suspend %s: %w: %s", rig.Bolt, orderErr, out)
		}
	})
	in = b.rush(ctx, n/duringPart, func(int) *thief { return bob })
	ordering.Wait()
	in += b.rush(ctx, n-n/duringPart, func(i int) *thief { return b.thieves[i%len(b.thieves)] })
	return in, errors.Join(err, ctx.Err())
}

// rush makes n attempts, atOnce at once, by all ways in turn.
func (b *back) rush(ctx context.Context, n int, who func(i int) *thief) (in int) {
	var order []way
	for _, w := range b.ways() {
		for range w.share {
			order = append(order, w)
		}
	}
	const stride = 37 // has no factor in common with a hundred: neighbours are of different ways
	var mu sync.Mutex
	next := 0
	_ = together(n, func() error {
		mu.Lock()
		i := next
		next++
		mu.Unlock()
		w, ordered := order[i*stride%len(order)], !b.answer().IsZero()
		if ctx.Err() == nil && w.try(ctx, who(i), i) && (ordered || w.session) {
			mu.Lock()
			in++
			mu.Unlock()
		}
		return nil
	})
	return in
}

func (b *back) answer() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answered
}

// node is the address of each node in turn.
func (b *back) node(i int) *rig.Gateway { return b.l.cluster.Nodes[i%len(b.l.cluster.Nodes)] }

func (b *back) dial(t *thief, i int) (*ssh.Client, error) {
	return dial(b.l.Clients[t.who], "ops+ticker", b.node(i).SSH, ssh.CipherAES128GCM, nil)
}

// direct is a new connection, for which tickets may lie there.
func (b *back) direct(ctx context.Context, t *thief, i int) bool {
	c, err := b.dial(t, i)
	if err != nil {
		return false
	}
	defer c.Close()
	return b.runs(ctx, c)
}

// jump is the same through the gateway as a jump host.
func (b *back) jump(ctx context.Context, t *thief, i int) bool {
	c, err := dial(b.l.Clients[t.who], "jump", b.node(i).SSH, ssh.CipherAES128GCM, nil)
	if err != nil {
		return false
	}
	defer c.Close()
	nc, err := c.DialContext(ctx, "tcp", "ticker:22")
	if err != nil {
		return false
	}
	key, err := signer(b.l.Clients[t.who])
	if err != nil {
		return false
	}
	conn, chans, reqs, err := ssh.NewClientConn(nc, "ticker:22", &ssh.ClientConfig{User: "ops", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: dialWithin, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		return false
	}
	inner := ssh.NewClient(conn, chans, reqs)
	defer inner.Close()
	return b.runs(ctx, inner)
}

// channel is another one on a connection from before.
func (b *back) channel(ctx context.Context, t *thief, i int) bool {
	if i%2 == 0 && len(t.old) > 0 {
		return b.runs(ctx, t.old[i%len(t.old)].client)
	}
	return b.runs(ctx, t.spares[i%len(t.spares)])
}

// runs has a command run, and reports whether it is alive after the answer to
// the order. Before an order there is nothing to outlive.
func (b *back) runs(ctx context.Context, c *ssh.Client) bool {
	h, err := start(c, "tick", tickMark, noteTicks)
	if err != nil {
		return false
	}
	defer h.in.Close()
	late := time.After(backAlive)
	look := time.NewTicker(tickEvery)
	defer look.Stop()
	for {
		answered := b.answer()
		if b.trial || !answered.IsZero() && h.ticksAfter(answered) > 0 {
			return true
		}
		select {
		case <-h.ended:
			return false
		case <-late:
			return true
		case <-ctx.Done():
			return true
		case <-look.C:
		}
	}
}

// cookie reads with a login from before, at any node.
func (b *back) cookie(ctx context.Context, t *thief, i int) bool {
	_, port, err := net.SplitHostPort(b.node(i).Web)
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:"+port+"/api/v1/me", nil)
	if err != nil {
		return false
	}
	if u, err := url.Parse(b.l.URL); err == nil {
		req.Host = u.Host // as it comes through a balancer
	}
	req.Header.Set("User-Agent", b.l.People[t.who].Agent)
	for _, c := range t.cookies {
		req.AddCookie(c)
	}
	res, err := b.web.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// request asks for another window, with the login of then.
func (b *back) request(ctx context.Context, t *thief, _ int) bool {
	from := time.Now().Add(grantTime + time.Hour)
	return b.l.People[t.who].Post(ctx, "/api/v1/requests", map[string]any{
		"target": "ticker", "account": "ops", "from": from, "to": from.Add(time.Hour), "abilities": []string{"shell"}, "reason": "the same again tomorrow",
	}, nil) == nil
}

// touch gives one for the grant of then.
func (b *back) touch(ctx context.Context, t *thief, _ int) bool {
	return b.l.ticket(ctx, t.who, t.grant) == nil
}

// statement hands in what was signed before.
func (b *back) statement(ctx context.Context, t *thief, i int) bool {
	s := t.prepared[i%len(t.prepared)]
	return b.l.People[t.who].Post(ctx, "/api/v1/acts/"+s.id, map[string]any{"assertion": s.assertion}, nil) == nil
}

// login signs in anew with the key.
func (b *back) login(ctx context.Context, t *thief, _ int) bool {
	b.l.touching.Lock()
	defer b.l.touching.Unlock()
	return b.l.People[t.who].Login(ctx) == nil
}
