package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/session"
)

// browsing opens a session of a console and its one channel.
func browsing(t *testing.T) (*world, *session.Live, *session.Channel) {
	t.Helper()
	w := newWorld(t, time.Hour, nil)
	w.access.ent.Target.Kind, w.access.ent.Abilities = gateway.KindHTTPS, gateway.Abilities{Methods: []string{"GET"}, Paths: []string{"/"}}
	o := w.opening()
	o.Protocol = gateway.KindHTTPS
	l, err := w.m.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Channel(t.Context(), gateway.Channel{Kind: gateway.ChannelHTTPS})
	if err != nil {
		t.Fatal(err)
	}
	return w, l, c
}

// P3: what cannot be recorded does not pass, and a recorder that fails ends
// the session.
func TestP3ExchangeIsRecordedOrDoesNotPass(t *testing.T) {
	w, l, c := browsing(t)
	w.rec.fail = gateway.Invalid("record", "too long")
	if err := c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 1}, nil); !gateway.IsCode(err, gateway.CodeInvalid) || l.Context().Err() != nil {
		t.Fatalf("a part that cannot be held: %v, session %v", err, l.Context().Err())
	}
	w.rec.fail = nil
	if err := c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 2}, nil); err != nil {
		t.Fatalf("the part after it: %v", err)
	}
	w.rec.fail = errors.New("disk gone")
	if err := c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPShown, N: 2}, []byte("x")); err == nil {
		t.Fatal("a part passed that was not recorded")
	}
	<-l.Done()
	if e := ended(t, l); e.Reason != gateway.EndRecorder {
		t.Errorf("the session ended by %s", e.Reason)
	}
}

func TestExchangesAreCountedAndRefusalsWritten(t *testing.T) {
	w, l, c := browsing(t)
	refused := gateway.HTTPRecord{Part: gateway.HTTPRequest, N: 1, Method: "PUT", Refused: "this grant lets GET, and no PUT", Rule: "abilities.methods"}
	if err := c.Exchange(refused, nil); err != nil {
		t.Fatal(err)
	}
	if e := w.store.last(t, audit.SessionChannel); e.Outcome != audit.Refused || e.Rule != "abilities.methods" || e.Reason != refused.Refused {
		t.Errorf("the refusal's event is %+v", e)
	}
	c.Carried(3, 5)
	if s := l.Session(); s.BytesIn != 3 || s.BytesOut != 5 || len(s.Running) != 1 || s.Running[0] != gateway.ChannelHTTPS {
		t.Errorf("the session counts %d in, %d out, runs %v", s.BytesIn, s.BytesOut, s.Running)
	}
	l.End(gateway.EndWindow, "", "")
	<-l.Done()
	if err := c.Exchange(gateway.HTTPRecord{Part: gateway.HTTPShown, N: 1}, nil); err == nil {
		t.Error("a part passed after the end")
	}
}
