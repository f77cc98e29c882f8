package session

import (
	"context"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// provenFor holds what the machine states of a service account to the opening.
func provenFor(o Opening, s *statement.ServiceOpen) error {
	switch {
	case s.Grant != o.Grant || s.Person != o.Person || s.Source != o.Source:
		return gateway.Refused("touch", "connect again", "the proof is for another grant, another account or another connection")
	case o.Ticket || o.Protocol != gateway.KindHTTPS:
		return gateway.Refused("protocol", "reach it by https", "a service account reaches a console, and nothing else")
	}
	return nil
}

// alone ends the session of a service account that has another one under the
// same grant on another node: its rate and volume are counted in one place. Of
// two that open at once each may see the other, and both are refused.
func (m *Manager) alone(ctx context.Context, l *Live) error {
	if l.ent.Person.Service == nil {
		return nil
	}
	rows, err := m.store.Sessions(ctx, Filter{Grant: l.row.Grant, Live: true})
	if err != nil {
		l.end(&gateway.Ended{Reason: gateway.EndStore})
		<-l.done
		return err
	}
	for _, r := range rows {
		if r.ID != l.row.ID && r.Node != m.node {
			l.end(&gateway.Ended{Reason: gateway.EndClientLeft, Detail: "another node carries this service account"})
			<-l.done
			no := gateway.Conflict("elsewhere", "node %s carries this service account under this grant", r.Node)
			no.Next = "reach that node, or wait until the session there has ended"
			return no
		}
	}
	return nil
}
