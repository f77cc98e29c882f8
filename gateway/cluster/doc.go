// Package cluster is how nodes hear of each other's orders.
//
// A Bus carries the order to close and brings the answers back. It is a hint,
// never the truth: the order is durable in the store before it is on the bus,
// every node reads the store each second whatever the bus says, and a node
// that hears from neither ends everything at the end of its lease. So a bus
// that loses, repeats, delays or reorders takes nothing away from a suspension
// but speed, and whoever writes to the bus can end sessions and open none.
//
// The driver in this package joins the nodes of one process. Another driver
// passes bustest.Run.
package cluster
