package status

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// collector makes metrics of what a node says of itself, when it is asked. No label has a value that a client or a message can choose.
type collector struct{ source Source }

// Describe tells nothing: which metrics there are depends on links, store and providers. For [prometheus.Collector].
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect tells how the node is now. For [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	h, counts := c.source.Health(), c.source.Counts()
	for _, f := range nodeFigures {
		out <- f.metric(&h, h.Node)
	}
	counted(out, &h, &counts)
	for i := range h.Links {
		l := &h.Links[i]
		for _, f := range linkFigures {
			out <- f.metric(l, h.Node, l.Peer)
		}
		states(out, linkState, l.State, []string{"down", "catching up", "up"}, h.Node, l.Peer)
		if l.DigestComparedSeconds != nil && l.DigestEqual != nil {
			for _, f := range digestFigures {
				out <- f.metric(l, h.Node, l.Peer)
			}
		}
		if lag := counts.LinkLag[l.Peer]; lag != nil {
			out <- lag.metric(linkLag, h.Node, l.Peer)
		}
	}
	if h.Store != nil {
		for _, f := range storeFigures {
			out <- f.metric(h.Store, h.Node)
		}
		state := h.Store.State
		if state != "ok" && state != "behind" {
			state = "failing" // it says why, which is not for a label
		}
		states(out, storeState, state, []string{"ok", "behind", "failing"}, h.Node)
	}
	for name, p := range h.Places {
		provided(out, name, &p)
	}
}

// counted tells what clients did, and what was refused.
func counted(out chan<- prometheus.Metric, h *Health, c *Counts) {
	out <- counter(opened, c.Opened, h.Node)
	var of struct{ admitted, stale uint64 }
	for _, command := range c.Commands {
		out <- counter(commands, command.Times, h.Node, command.Name, command.Outcome)
		switch command.Outcome {
		case Admitted:
			of.admitted = command.Times
		case Stale:
			of.stale = command.Times
		}
	}
	out <- counter(received, of.admitted+of.stale, h.Node)
	out <- counter(admitted, of.admitted, h.Node)
	out <- counter(stale, of.stale, h.Node)
	out <- c.ClientLag.metric(reportLag, h.Node, "client")
	out <- c.NeighbourLag.metric(reportLag, h.Node, "neighbour")
	for _, reason := range c.Reasons {
		out <- counter(refused, h.Refused[reason], h.Node, reason)
	}
}

// provided tells how a provider of places does. It is the same for all nodes of the process.
func provided(out chan<- prometheus.Metric, name string, p *Provider) {
	for _, f := range placesFigures {
		out <- f.metric(p, name)
	}
	for _, status := range placesStatuses {
		out <- counter(placesCalls, p.Statuses[status], name, status)
	}
	if p.Breaker != "" {
		states(out, placesBreaker, p.Breaker, []string{"closed", "half-open", "open"}, name)
	}
}

// states tells which of its states something has: that is 1, the others are 0.
func states(out chan<- prometheus.Metric, d *prometheus.Desc, now string, all []string, labels ...string) {
	for _, state := range all {
		value := 0.0
		if state == now {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append(labels[:len(labels):len(labels)], strings.ReplaceAll(state, " ", "_"))...)
	}
}

func counter(d *prometheus.Desc, value uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}
