package cluster

import (
	"context"
	"time"
)

// Member is a node as the store knows it.
type Member struct {
	Name    string
	Seen    time.Time     // its last beat in the store
	Lease   time.Duration // how long it serves without the store and the bus
	Leaving bool          // it drains before a restart; until it is gone it answers as the others do
}

// Members lists the nodes that the store knows. A driver of the bus asks it
// who must answer an order, because the bus alone can be made to forget.
type Members interface {
	Members(ctx context.Context) ([]Member, error)
}
