// Package cluster is how nodes hear of each other's orders.
//
// A Bus carries the order to close and brings the answers back. It is a hint,
// never the truth: the order is durable in the store before it is on the bus,
// every node reads the store each second whatever the bus says, and a node
// that hears from neither ends everything at the end of its lease. So a bus
// that loses, repeats, delays or reorders takes nothing away from a suspension
// but speed, and whoever writes to the bus can end sessions and open none.
//
// A Tally counts what is done on all nodes, and a Share holds each name to a
// limit by it. A tally is a hint too: it makes the limits that each node has
// by itself stricter, down to the node's part of the limit and no further.
//
// The drivers in this package join the nodes of one process. Other drivers
// pass bustest.Run and bustest.RunTally.
package cluster
