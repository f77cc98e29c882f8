package main

import "time"

// volume is how much is measured.
type volume struct {
	bulkMiB, bulkRounds       int // one way, over one route
	setupBatch, setupRounds   int // sessions one after the other over one route
	burst, burstRounds        int // sessions over one route, atOnce at once
	keys                      int
	idle, idleBase, outputMiB int // sessions through the gateway and over the baselines
	talk                      int // of these, those that have output
	tailRounds                int
	gate, stock               int // sessions that are ended
	cluster, others           int // and by one order on all nodes, while these go on
	back                      int // attempts to get in again
	webRounds, webAtOnce      int // small requests
	webWindow                 time.Duration
	pacedBlocks               int
	loadMiB, loadRounds       int
	sockets                   int
	streams, manyStreams      int // of consoles that are ended
	otherStreams              int // that go on
	visitors, returns         int // browsers, and their attempts to get in again
	flowRounds, handshakes    int
	quiet                     int // tunnels beside one that carries much
	idleTunnels, otherTunnels int
	tunnels, manyTunnels      int           // that are ended
	flowTime                  time.Duration // whole seconds
}

var (
	full = volume{
		bulkMiB: 256, bulkRounds: 3, setupBatch: 10, setupRounds: 4, burst: 48, burstRounds: 3, keys: 2000,
		idle: 500, idleBase: 50, talk: 100, outputMiB: 6, tailRounds: 10, gate: 500, stock: 200,
		cluster: 1000, others: 300, back: 10_000,
		webRounds: 3, webAtOnce: 16, webWindow: 1500 * time.Millisecond, pacedBlocks: 8, loadMiB: 1024, loadRounds: 3, sockets: 500,
		streams: 300, manyStreams: 2000, otherStreams: 50, visitors: 20, returns: 1000,
		flowRounds: 3, flowTime: 3 * time.Second, handshakes: 50, quiet: 20, idleTunnels: 1000, otherTunnels: 20, tunnels: 200, manyTunnels: 500,
	}
	small = volume{
		bulkMiB: 4, bulkRounds: 1, setupBatch: 2, setupRounds: 1, burst: 8, burstRounds: 1, keys: 20,
		idle: 10, idleBase: 4, talk: 4, outputMiB: 1, tailRounds: 1, gate: 10, stock: 6,
		cluster: 12, others: 6, back: 200,
		webRounds: 1, webAtOnce: 2, webWindow: 100 * time.Millisecond, pacedBlocks: 1, loadMiB: 16, loadRounds: 1, sockets: 10,
		streams: 12, manyStreams: 24, otherStreams: 4, visitors: 4, returns: 50,
		flowRounds: 1, flowTime: time.Second, handshakes: 3, quiet: 3, idleTunnels: 20, otherTunnels: 3, tunnels: 10, manyTunnels: 20,
	}
)

// atOnce is how many connections are made at the same time.
const atOnce = 8
