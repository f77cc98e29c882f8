// Package redis carries orders between the nodes of a cluster over Redis:
// one server, a master that Sentinel watches, or Redis Cluster.
//
// It owns the channel of orders, each node's channel of answers and the roll
// of who is there. It decides nothing: the store does, and every node reads
// the store each second whatever Redis says.
//
//	PREFIX:orders         pub/sub   a signed order, to all nodes
//	PREFIX:answers:BOOT   pub/sub   signed answers, to the node that asked
//	PREFIX:nodes          hash      NAME -> the node's last signed beat
//	PREFIX:tally:HASH:N   count     of what one name did in window N, on all nodes
//
// Redis is not trusted. Whoever can write to it can keep orders and answers
// from arriving, and no more than that:
//
//   - Orders, answers and beats are signed by a machine key among the roots of
//     the configuration. Anything else is dropped and counted.
//   - An answer names the nonce of the order that it answers, so that an
//     answer of before is worth nothing. An order is carried out once, and not
//     at all when it is older than MaxOrderAge.
//   - Who must answer is read from Redis, from this node's own memory of Redis
//     and from the store (cluster.Members), and is the union of the three. A
//     wiped Redis makes a report PENDING, never PASS.
//   - A count is no more than a hint (cluster.Share): it can slow somebody down
//     to a stated part of a limit, and keep nobody out.
//   - What Redis says is bounded while it is read, before it is stored.
//
// When Redis is away: Publish asks again until its context is done, returns
// every node that must answer as not answered, and an error if nothing was
// carried. The subscription is taken up again with a bounded pause, a server
// that hangs is noticed within two HealthEvery, and Wake fires after each
// subscription, because what was published meanwhile is lost.
package redis
