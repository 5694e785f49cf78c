package status

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const maxScrapes = 4 // at a time

// metrics adds /metrics: what the node's Health and Counts tell, and what Go and the system know of the process. All of it is looked up when
// somebody asks, and not before.
func (s *Server) metrics() {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{s.Source}, buildInfo(s.Version), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
}

// buildInfo returns a metric that says what the program was made of.
func buildInfo(version string) prometheus.Collector {
	labels := prometheus.Labels{"version": version, "revision": "", "go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				labels["revision"] = setting.Value
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "herd_build_info", Help: "What the program was made of; always 1.", ConstLabels: labels})
	g.Set(1)
	return g
}
