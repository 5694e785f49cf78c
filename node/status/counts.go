package status

import (
	"math"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Counts is what a node has counted since its start that is not in its Health.
type Counts struct {
	Opened       uint64                // connections of clients that were accepted
	Commands     []Command             // each outcome of each command
	Reasons      []string              // all for which something can be refused, see [Health]
	ClientLag    *Histogram            // the node's clock less the client's time, of reports of its own clients
	NeighbourLag *Histogram            // the node's clock less the client's time, of reports from neighbours
	LinkLag      map[string]*Histogram // the node's clock less the time of receipt at the origin, by neighbour
}

// Command counts the lines of clients with one command and one outcome.
type Command struct {
	Name    string // IAMAT, WHATSAT, or other for a line that was not understood
	Outcome string
	Times   uint64
}

// Outcomes of commands.
const (
	Admitted = "admitted" // IAMAT: the report is new
	Stale    = "stale"    // IAMAT: its time is not later than that of the report held
	Refused  = "refused"  // IAMAT: by a limit or a certificate
	Found    = "found"    // WHATSAT: with places
	Nothing  = "nothing"  // WHATSAT: with no places, or none requested
	Failed   = "failed"   // WHATSAT: the provider failed
	Unknown  = "unknown"  // WHATSAT: no report of the client is held
	Invalid  = "invalid"  // other: no command of the protocol
	TooLong  = "too_long" // other: the line exceeds the limit
)

// Histogram counts values by size, for /metrics. It is safe for concurrent use, without locks.
type Histogram struct {
	bounds []float64       // upper ones, ascending
	counts []atomic.Uint64 // of values up to each bound and above the one before it, and of those above all
	sum    atomic.Uint64   // of the values: the bits of a float64
}

// lags are the bounds of a Histogram of lags, in seconds. A lag is below zero when two clocks differ by more than it.
var lags = []float64{-60, -1, -0.1, 0, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600}

// NewLags returns an empty histogram of lags, in seconds.
func NewLags() *Histogram { return newHistogram(lags...) }

func newHistogram(bounds ...float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a value.
func (h *Histogram) Observe(value float64) {
	i, _ := slices.BinarySearch(h.bounds, value)
	for {
		before := h.sum.Load()
		if h.sum.CompareAndSwap(before, math.Float64bits(math.Float64frombits(before)+value)) {
			break
		}
	}
	h.counts[i].Add(1)
}

// metric returns the histogram in the form of Prometheus: for each bound, how many values are at most that.
func (h *Histogram) metric(d *prometheus.Desc, labels ...string) prometheus.Metric {
	upTo, all := make(map[float64]uint64, len(h.bounds)), uint64(0)
	for i := range h.counts {
		all += h.counts[i].Load()
		if i < len(h.bounds) {
			upTo[h.bounds[i]] = all
		}
	}
	return prometheus.MustNewConstHistogram(d, all, math.Float64frombits(h.sum.Load()), upTo, labels...)
}
