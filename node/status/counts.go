package status

import (
	"github.com/prometheus/client_golang/prometheus"

	"herd/node/line"
)

// Counts is what a node has counted since its start that is not in its Health.
type Counts struct {
	Opened   uint64      // connections of clients that were accepted
	Commands []Command   // each outcome of each command
	Reasons  []string    // all for which something can be refused, see [Health]
	Lags     []Histogram // those of reports, and of each link
}

// Command counts the lines of clients with one command and one outcome.
type Command struct {
	Name    string // IAMAT, WHATSAT, or other for a line that was not understood
	Outcome string // of an IAMAT, admitted, stale or refused
	Times   uint64
}

// Histogram counts values by size, for /metrics. It is safe for concurrent use.
type Histogram = prometheus.Histogram

// lags are the bounds of lags, in seconds. A lag is below zero when two clocks differ by more than it.
var lags = []float64{-60, -1, -0.1, 0, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600}

// NewReportLag returns an empty histogram of a node's clock less the client's time, of reports from clients or neighbours.
func NewReportLag(node line.NodeName, from string) Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "herd_report_lag_seconds", Buckets: lags, ConstLabels: prometheus.Labels{"node": string(node), "from": from},
		Help: "The node's clock less the client's time, when a client or a neighbour brought a newer report: one report of each read or message. " +
			"Below 0 if the client's clock is ahead, so use the buckets, not the sum.",
	})
}

// NewLinkLag returns an empty histogram of a node's clock less the time of receipt at the origin, of reports from one neighbour.
func NewLinkLag(node, peer line.NodeName) Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "herd_link_lag_seconds", Buckets: lags, ConstLabels: prometheus.Labels{"node": string(node), "peer": string(peer)},
		Help: "The node's clock less the time of receipt at the origin, when the neighbour brought a newer report: the first of each message. " +
			"Below 0 if the origin's clock is ahead, so use the buckets, not the sum.",
	})
}
