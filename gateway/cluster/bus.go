package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/portcullis/portcullis/gateway"
)

// Order says that a scope is closed as of an epoch. It carries no authority:
// a node that hears it closes, at worst, what the store would let live.
type Order struct {
	Suspension string        `json:"suspension"`
	Scope      gateway.Scope `json:"scope"`
	Epoch      uint64        `json:"epoch"`
	gateway.Closing
	Ordered time.Time `json:"ordered"`
}

// Handler carries an order out on one node and answers with what it measured.
type Handler func(ctx context.Context, o Order) gateway.NodeReport

// ErrNodeName is the answer to a node joining under a name that is taken.
var ErrNodeName = errors.New("cluster: a node of this name is on the bus already")

// Bus carries orders between nodes.
type Bus interface {
	// Join puts a node on the bus until leave is called; h may be called from
	// many goroutines, and leave waits for the calls under way.
	Join(node string, h Handler) (leave func(), err error)
	// Publish brings o to every node but from, and returns one report for
	// each, in the order of their names. A node that has not answered when ctx
	// is done is reported as not answered, with the end of its lease.
	Publish(ctx context.Context, from string, o Order) ([]gateway.NodeReport, error)
}
