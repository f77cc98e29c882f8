package session

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Opening is what a proxy knows when it asks for a session.
type Opening struct {
	Touch     statement.Signed // the signed session.open statement
	Ticket    bool             // the touch was given ahead, in the browser
	Person    string           // who the finished handshake says connects
	Grant     string
	Protocol  gateway.TargetKind
	Transport string    // SSH session identifier, hexadecimal; of a network the key of its peer
	Source    string    // address:port
	Client    string    // what the client calls itself, printable
	Until     time.Time // when the certificate that proved the person ends; zero: a key, which does not
}

// Open opens a session in the order that DESIGN.md gives. An error is a
// *gateway.Error whose sentence the person may read; nothing is attached then.
func (m *Manager) Open(ctx context.Context, o Opening) (*Live, error) {
	l, err := m.open(ctx, o)
	if err == nil {
		return l, nil
	}
	e := m.refusal(err)
	m.log.Warn("session refused", "grant", o.Grant, "person", o.Person, "source", o.Source, "error", err)
	m.refused(ctx, o.Protocol, Refusal{Person: o.Person, Grant: o.Grant, Source: o.Source, Rule: e.Rule, Sentence: e.Sentence()})
	return nil, e
}

func (m *Manager) open(ctx context.Context, o Opening) (*Live, error) {
	vendor, err := boundTo(o)
	if err != nil {
		return nil, err
	}
	if err := m.Admits(vendor); err != nil {
		return nil, err
	}
	if err := m.consume(ctx, o, vendor); err != nil {
		return nil, err
	}
	ent, err := m.access.Entitle(ctx, o.Grant, o.Touch)
	if err != nil {
		return nil, err
	}
	if err := m.fits(o, ent); err != nil {
		return nil, err
	}
	v, left, err := m.join(ctx, ent)
	if err != nil {
		return nil, err
	}
	ent.Abilities = left
	l := m.newLive(o, ent)
	l.volume = v
	if l.rec, err = m.rec.Start(ctx, l.meta()); err != nil {
		l.leave()
		return nil, err
	}
	if err := m.announce(ctx, l); err != nil {
		l.abandon()
		return nil, err
	}
	if err := m.register(l); err != nil {
		l.abandonWritten()
		return nil, err
	}
	if err := m.again(ctx, l); err != nil {
		return nil, err
	}
	if err := m.alone(ctx, l); err != nil {
		return nil, err
	}
	l.admitted.Store(true)
	m.publish(l.Session())
	return l, nil
}

// boundTo reads the touch and holds it to the transport that it comes in on. It
// answers with the vendor.
func boundTo(o Opening) (string, error) {
	_, b, err := o.Touch.Parse()
	if err != nil {
		return "", &gateway.Error{Code: gateway.CodeRefused, Rule: "touch", Text: "the touch that came with this connection cannot be read", Next: "connect again", Cause: err}
	}
	if s, is := b.(*statement.ServiceOpen); is {
		return s.Vendor, provenFor(o, s)
	}
	body, ok := b.(*statement.Open)
	switch {
	case !ok:
		return "", gateway.Refused("touch", "connect again and touch for this session", "the touch agrees to something else than opening a session")
	case body.Grant != o.Grant || body.Person != o.Person:
		return "", gateway.Refused("touch", "connect again and touch for this session", "the touch is for another grant or another person")
	case !o.carries(body):
		return "", gateway.Refused("touch", "connect again and touch for this connection", "the touch is bound to another connection than this one")
	}
	return body.Vendor, nil
}

// carries reports whether the touch is bound to what it comes in on: a tunnel's
// to the key of its peer, and to nothing else.
func (o Opening) carries(b *statement.Open) bool {
	binding := statement.BindSSH
	if o.Protocol == gateway.KindNetwork {
		binding = statement.BindPeer
	}
	if o.Ticket {
		return binding != statement.BindPeer && b.Binding == statement.BindLogin
	}
	return b.Binding == binding && o.Transport != "" && b.Transport == o.Transport
}

// consume uses the touch up, for ever, before anything else happens: of two
// connections that bring the same one, one gets no further than this. So it is
// with the key of a peer, whatever touch it was bound to.
func (m *Manager) consume(ctx context.Context, o Opening, vendor string) error {
	err := m.store.Update(ctx, func(tx Tx) error {
		if !o.Ticket {
			if err := tx.PutStatement(o.Touch); err != nil {
				return err
			}
		}
		if err := tx.UseTouch(o.Touch.Digest); err != nil {
			return err
		}
		if o.Protocol == gateway.KindNetwork {
			switch err := tx.UsePeer(o.Transport, o.Touch.Digest); {
			case errors.Is(err, gateway.ErrUsed):
				return gateway.Refused("key-once", "make another key and touch for that", "this WireGuard key has opened a session before, and a key opens one")
			case err != nil:
				return err
			}
		}
		_, vendorActive, personActive, err := tx.Epochs(vendor, o.Person)
		if err != nil {
			return err
		}
		return active(vendorActive, personActive)
	})
	if errors.Is(err, gateway.ErrUsed) {
		return gateway.Refused("touch-once", "connect again and touch once more", "this touch has opened a session before, and a touch opens one")
	}
	return err
}

func active(vendor, person bool) error {
	if !vendor || !person {
		return &gateway.Ended{Reason: gateway.EndSuspended}
	}
	return nil
}

// fits holds the opening to what the chain says: the person, the protocol, the
// window, and the networks that the vendor's people connect from.
func (m *Manager) fits(o Opening, e Entitlement) error {
	now := m.now()
	switch {
	case e.Person.Name != o.Person || e.Grant.ID != o.Grant:
		return gateway.Refused("grant", "ask for a grant of your own", "this grant is another person's")
	case e.Target.Kind != o.Protocol:
		return gateway.Refused("protocol", "reach it by "+string(e.Target.Kind), "target %s is not reached by %s", e.Target.Name, o.Protocol)
	case e.Abilities.None():
		return gateway.Refused("abilities", "ask anew", "the grant lets nothing")
	case now.Before(e.From):
		return gateway.Refused("window", "come back then", "the window opens at %s", stamp(e.From))
	case !now.Before(e.To):
		return &gateway.Ended{Reason: gateway.EndWindow}
	case !o.Until.IsZero() && !now.Before(o.Until):
		return credentialEnded()
	}
	if s := e.Person.Service; s != nil && !within(s.Networks, o.Source) {
		return gateway.Refused("networks", "connect from one of the networks on file, or ask the operator to add yours", "service account %s does not connect from %s", e.Person.Name, o.Source)
	}
	if !within(e.Vendor.Networks, o.Source) {
		return gateway.Refused("networks", "connect from one of the networks on file, or ask the operator to add yours", "people of vendor %s do not connect from %s", e.Vendor.Name, o.Source)
	}
	return nil
}

func credentialEnded() *gateway.Ended {
	return &gateway.Ended{Reason: gateway.EndWindow, Detail: "the SSH certificate that you connected with has run out; get another with portcullis login"}
}

// within reports whether an address is of one of the networks; of none is every
// address.
func within(networks []netip.Prefix, source string) bool {
	if len(networks) == 0 {
		return true
	}
	ap, err := netip.ParseAddrPort(source)
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// announce checks the epochs and writes row and event, in one transaction: the
// event is durable before anything is dialled (P9).
func (m *Manager) announce(ctx context.Context, l *Live) error {
	return m.store.Update(ctx, func(tx Tx) error {
		var err error
		if l.row.Wide, _, err = tx.Wide(l.row.Reach()); err != nil {
			return err
		}
		if err := l.epochsHold(tx); err != nil {
			return err
		}
		if err := tx.PutSession(l.row); err != nil {
			return err
		}
		e := l.event(audit.SessionOpened)
		e.Detail = map[string]string{"client": l.row.Client, "node": l.row.Node, "until": stamp(l.row.Until), "abilities": joinAbilities(l.ent.Abilities)}
		return tx.Append(e)
	})
}

// again is the second look at the epochs, after the session is registered. A
// suspension that commits before this look is seen by it; one that commits
// after it finds the session in the registry when it sweeps.
func (m *Manager) again(ctx context.Context, l *Live) error {
	err := m.store.Update(ctx, func(tx Tx) error { return l.epochsHold(tx) })
	var ended *gateway.Ended
	switch {
	case err == nil && l.alive() == nil:
		return nil
	case err == nil:
		errors.As(context.Cause(l.ctx), &ended)
	case !errors.As(err, &ended):
		m.log.Error("second look at the epochs", "session", l.row.ID, "error", err)
		ended = &gateway.Ended{Reason: gateway.EndStore}
	}
	l.end(ended)
	<-l.done
	if err == nil {
		err = ended
	}
	return err
}

func (l *Live) epochsHold(tx Tx) error {
	if err := l.m.barred(l.row.Reach()); err != nil {
		return err
	}
	now, vendorActive, personActive, err := tx.Epochs(l.row.Vendor, l.row.Person)
	if err != nil {
		return err
	}
	if err := active(vendorActive, personActive); err != nil {
		return err
	}
	wide, open, err := tx.Wide(l.row.Reach())
	if err != nil {
		return err
	}
	if !open {
		return &gateway.Ended{Reason: gateway.EndSuspended}
	}
	if now != l.row.Epochs || !maps.Equal(wide, l.row.Wide) {
		return &gateway.Ended{Reason: gateway.EndSuspended, Detail: "the grant is from before the last suspension; ask anew"}
	}
	return nil
}

// refusal words any error of an opening for the person.
func (m *Manager) refusal(err error) *gateway.Error {
	var ended *gateway.Ended
	if errors.As(err, &ended) {
		return &gateway.Error{Code: gateway.CodeRefused, Rule: string(ended.Reason), Text: ended.Error()}
	}
	var e *gateway.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return gateway.Unavailable("store", err)
	}
	return gateway.Internal(err)
}

// Refusal is a connection that got no session.
type Refusal struct {
	Person, Vendor, Target, Account, Grant, Source, Rule, Sentence string
}

// Refuse writes the event of a connection that was refused. Only people who
// were proven by key are worth a durable line; a flood of strangers is not.
func (m *Manager) Refuse(ctx context.Context, r Refusal) { m.refused(ctx, "", r) }

func (m *Manager) refused(ctx context.Context, protocol gateway.TargetKind, r Refusal) {
	m.record(ctx, audit.Event{
		Name: audit.SessionRefused, Actor: r.Person, Vendor: r.Vendor, Person: r.Person, Target: r.Target, Account: r.Account, Grant: r.Grant,
		Source: r.Source, Protocol: protocol, Outcome: audit.Refused, Reason: r.Sentence, Rule: r.Rule,
	})
}
