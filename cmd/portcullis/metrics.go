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
	return reg
}
