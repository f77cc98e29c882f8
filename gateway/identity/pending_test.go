package identity_test

import (
	"context"
	"errors"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/identity"
	"github.com/portcullis/portcullis/gateway/identity/softkey"
	"github.com/portcullis/portcullis/gateway/statement"
	"github.com/portcullis/portcullis/gateway/trust/trusttest"
)

const transport = "3a7f"

func (w *world) waiting(person string) identity.Waiting {
	return identity.Waiting{Person: w.person(person), Grant: gateway.Grant{ID: grant}, TransportID: transport, Source: "192.0.2.7:22"}
}

var grant = gateway.NewID("grt", time.Unix(1, 0))

func (w *world) open(code string, change func(*statement.Open)) *statement.Open {
	b := &statement.Open{
		Grant: grant, Person: engineer, Vendor: vendor, Target: "plc-1", Account: "ops", Abilities: gateway.Abilities{Shell: true},
		From: w.Now(), To: w.Now().Add(time.Hour), Binding: statement.BindSSH, Transport: transport, Source: "192.0.2.7:22", Code: code,
	}
	if change != nil {
		change(b)
	}
	return b
}

func TestTouchReachesTheConnectionItWasMadeFor(t *testing.T) {
	w := newWorld(t)
	token := w.enrol(engineer, softkey.New(trusttest.URL))
	p, err := w.svc.Await(t.Context(), w.waiting(engineer))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[2-9A-Z]{3}-[2-9A-Z]{3}$`).MatchString(p.Code) || len(p.ID) < 26 {
		t.Fatalf("id %q, code %q", p.ID, p.Code)
	}
	got, code, err := w.svc.PendingOf(p.ID, engineer)
	if err != nil || code != p.Code || got.TransportID != transport {
		t.Fatalf("pending = %+v, %q, %v", got, code, err)
	}
	_, _, err = w.svc.PendingOf(p.ID, other)
	refused(t, err, "no connection of yours")

	for name, change := range map[string]func(*statement.Open){
		"another transport": func(b *statement.Open) { b.Transport = "ffff" },
		"another code":      func(b *statement.Open) { b.Code = "AAA-AAA" },
		"another grant":     func(b *statement.Open) { b.Grant = gateway.NewID("grt", time.Unix(2, 0)) },
		"a ticket":          func(b *statement.Open) { b.Binding = statement.BindLogin },
	} {
		signed, err := w.touch(token, w.open(p.Code, change))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.svc.Deliver(p.ID, engineer, signed); err == nil {
			t.Fatalf("a touch for %s was delivered", name)
		}
	}
	signed, err := w.touch(token, w.open(p.Code, nil))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, w.svc.Deliver(p.ID, other, signed), "no connection of yours")
	if err := w.svc.Deliver(p.ID, engineer, signed); err != nil {
		t.Fatal(err)
	}
	if touched := <-p.Done(); touched.Err != nil || touched.Signed.Digest != signed.Digest {
		t.Fatalf("touched = %+v", touched)
	}
	refused(t, w.svc.Deliver(p.ID, engineer, signed), "no connection of yours")
	p.Close()
	p.Close()
}

func TestTouchRefusedInTheBrowserIsTold(t *testing.T) {
	w := newWorld(t)
	p, err := w.svc.Await(t.Context(), w.waiting(engineer))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, w.svc.Refuse(p.ID, other), "no connection of yours")
	if err := w.svc.Refuse(p.ID, engineer); err != nil {
		t.Fatal(err)
	}
	touched := <-p.Done()
	w.refusedEvent(touched.Err, audit.TouchRefused, "refused in the browser")
	if e := w.last(); e.Grant != grant || e.Person != engineer {
		t.Fatalf("event = %+v", e)
	}
	w.networks("198.51.100.0/24")
	_, err = w.svc.Await(t.Context(), w.waiting(engineer))
	refused(t, err, "may not connect from")
}

func TestWaitingEndsByItself(t *testing.T) {
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, leave := context.WithCancelCause(t.Context())
		gone := errors.New("client left")
		for _, c := range []struct {
			name string
			ctx  context.Context
			do   func(p *identity.Pending)
			says string
		}{
			{"time", t.Context(), func(*identity.Pending) {}, "nobody touched within"},
			{"closed", t.Context(), func(p *identity.Pending) { p.Close() }, "has gone"},
			{"client left", ctx, func(*identity.Pending) { leave(gone) }, ""},
		} {
			p, err := w.svc.Await(c.ctx, w.waiting(engineer))
			if err != nil {
				t.Fatal(err)
			}
			c.do(p)
			touched := <-p.Done()
			if c.says != "" {
				refused(t, touched.Err, c.says)
			} else if !errors.Is(touched.Err, gone) {
				t.Fatalf("%s: %v", c.name, touched.Err)
			}
			if _, _, err := w.svc.PendingOf(p.ID, engineer); err == nil {
				t.Fatalf("%s: it still waits", c.name)
			}
			p.Close()
		}
	})
}

func TestWaitingIsBoundedForEachPerson(t *testing.T) {
	w := newWorld(t)
	codes := map[string]bool{}
	var list []*identity.Pending
	for range 8 {
		p, err := w.svc.Await(t.Context(), w.waiting(engineer))
		if err != nil {
			t.Fatal(err)
		}
		codes[p.Code] = true
		list = append(list, p)
	}
	_, err := w.svc.Await(t.Context(), w.waiting(engineer))
	refused(t, err, "too many connections")
	if len(codes) != 8 {
		t.Fatal("two connections of one person show one code")
	}
	p, err := w.svc.Await(t.Context(), w.waiting(other))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(list, p) {
		p.Close()
		<-p.Done()
	}
	if p, err = w.svc.Await(t.Context(), w.waiting(engineer)); err != nil {
		t.Fatal(err)
	}
	p.Close()
	<-p.Done()
}
