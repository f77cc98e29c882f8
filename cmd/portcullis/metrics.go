package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are numbers without names of people, vendors or targets: a metric
// store is read by more people than the audit log is.
func (g *gatewayd) metrics() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portcullis_sessions_live", Help: "Sessions that are live on this node."},
		func() float64 { return float64(len(g.sessions.Live())) }))
	if g.serving != nil {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portcullis_certificate_until_seconds", Help: "When the web listener's certificate that ends first ends, in Unix seconds; 0 where none was served yet."}, func() float64 {
			s, ok := g.serving.Soonest()
			if !ok {
				return 0
			}
			return float64(s.Until.Unix())
		}))
	}
	if g.tunnels != nil {
		g.tunnelMetrics(reg)
	}
	return reg
}

// tunnelMetrics count tunnels, their flows and, by one of a few reasons, the
// packets that went no further.
func (g *gatewayd) tunnelMetrics(reg *prometheus.Registry) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portcullis_tunnels_live", Help: "WireGuard tunnels on this node."},
		func() float64 { return float64(g.tunnels.Stats().Tunnels) }))
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portcullis_tunnel_flows_open", Help: "Flows that are open in them."},
		func() float64 { return float64(g.tunnels.Stats().Flows) }))
	for why := range g.tunnels.Stats().Drops {
		opts := prometheus.CounterOpts{Name: "portcullis_tunnel_packets_dropped_total", Help: "Packets inside tunnels that went no further, by why.", ConstLabels: prometheus.Labels{"why": why}}
		reg.MustRegister(prometheus.NewCounterFunc(opts, func() float64 { return float64(g.tunnels.Stats().Drops[why]) }))
	}
}
