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
	return reg
}
