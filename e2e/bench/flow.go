package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/e2e/rig"
)

// The ways to the plant, in the order in which figures are told.
const (
	recorded  = iota // a tunnel of the gateway, flows recorded
	headers          // and the headers of every packet
	forwarded        // the baseline: wireguard-go, the kernel forwards
	plain            // no tunnel, the kernel forwards
	flowWays
)

// flowWay is one.
type flowWay struct {
	name, space, plant string
	pid                int // of the process that ends the tunnel; 0: none does
}

// flows measures what TCP carries over n connections at once, each way.
func flows(name string, n int) func(context.Context, *lab) error {
	return func(ctx context.Context, l *lab) error {
		for _, down := range []bool{false, true} {
			ways, err := l.flowWays(ctx)
			if err != nil {
				return err
			}
			if err := l.flow(ctx, name, ways, n, down); err != nil {
				return err
			}
		}
		return nil
	}
}

func (l *lab) flow(ctx context.Context, name string, ways []flowWay, n int, down bool) error {
	rate, cpu := make([][]float64, flowWays), make([][]float64, flowWays)
	for round := range l.volume.flowRounds + 1 {
		for i, w := range ways {
			r := route{name: w.name, pids: w.pids}
			before := r.cpu()
			mbit, bytes, err := l.network.iperf(ctx, w, n, l.volume.flowTime, down)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if round > 0 { // the first round warms up
				rate[i] = append(rate[i], mbit)
				cpu[i] = append(cpu[i], (r.cpu()-before).Seconds()/(bytes/(1<<30)))
			}
		}
	}
	name += map[bool]string{false: ".up", true: ".down"}[down]
	for i, suffix := range []string{recorded: "", headers: ".headers"} {
		l.print(name+suffix, median(rate[i]), "Mbit/s", median(rate[forwarded]), true)
		l.print(name+suffix+".plain", median(rate[i]), "Mbit/s", median(rate[plain]), true)
		l.print(name+suffix+".cpu", median(cpu[i]), "s/GiB", median(cpu[forwarded]), false)
	}
	return nil
}

func (w flowWay) pids() []int {
	if w.pid == 0 {
		return nil
	}
	return []int{w.pid}
}

// flowWays sets the ways up, once.
func (l *lab) flowWays(ctx context.Context) ([]flowWay, error) {
	n := l.network
	if n.ways != nil {
		return n.ways, nil
	}
	n.ways = make([]flowWay, flowWays)
	for i, target := range []string{recorded: flowsTarget, headers: headersTarget} {
		open, err := l.tunnels(ctx, "ana", target)
		if err != nil {
			return nil, err
		}
		p, err := open(ctx)
		if err != nil {
			return nil, err
		}
		space := []string{recorded: "tunnelled", headers: "headers"}[i]
		if n.ways[i], err = n.join(ctx, space, p, l.PID()); err != nil {
			return nil, err
		}
	}
	s, err := n.startForwarder(ctx, 1)
	if err != nil {
		return nil, err
	}
	n.ways[plain] = flowWay{"plain", "plain", plantRouted, 0}
	n.ways[forwarded], err = n.join(ctx, "routed", s.peers[0], s.cmd.Process.Pid)
	return n.ways, err
}

// join gives a namespace a tunnel.
func (n *network) join(ctx context.Context, space string, p peering, pid int) (flowWay, error) {
	dev := n.id + space[:1]
	if _, err := n.wireguard(ctx, dev, space, p.address.String()+"/32", p.conf()); err != nil {
		return flowWay{}, err
	}
	return flowWay{space, space, p.plant, pid}, rig.IP(fmt.Sprintf("-n %s route add %s dev %s", n.in(space), p.plant, dev))
}

// iperf has iperf3 send for that time, and returns what the receiver got:
// Mbit/s, and bytes.
func (n *network) iperf(ctx context.Context, w flowWay, connections int, d time.Duration, down bool) (rate, bytes float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+dialWithin)
	defer cancel()
	args := []string{"netns", "exec", n.in(w.space), "iperf3", "-J", "-c", w.plant, "-p", strconv.Itoa(flowPort), "-P", strconv.Itoa(connections), "-t", fmt.Sprint(int(d.Seconds()))}
	if down {
		args = append(args, "-R")
	}
	var got struct {
		Error string
		End   struct {
			Received struct {
				Bytes float64
				Rate  float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	// Its server is busy until it has told the last one.
	err = rig.Until(ctx, dialWithin, func() error {
		out, ended := exec.CommandContext(ctx, "ip", args...).Output()
		if err := json.Unmarshal(out, &got); err != nil {
			return fmt.Errorf("iperf3: %w: %.200s", ended, out)
		}
		if ended != nil || got.Error != "" {
			return fmt.Errorf("iperf3: %s", got.Error)
		}
		return nil
	})
	return got.End.Received.Rate / 1e6, got.End.Received.Bytes, err
}
