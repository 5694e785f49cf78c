package simulate

import (
	"math"

	"herd/bus/subject"
	"herd/node/flood"
	"herd/node/line"
)

// Detail is what became of each report, in the order in which they were made, and of the queues.
type Detail struct {
	Messages  []int     // that carried it, over all links
	ToLast    []float64 // seconds until the last server knew it; NaN: a newer one of its client was everywhere first
	Every     float64   // seconds from one report to the next
	Hops      []int     // how many reports came to a server over so many links, by that number
	Conflated uint64    // reports that a newer one replaced while they waited in the queue of a link
}

func (l *load) withDetail() {
	l.detail = &Detail{Messages: make([]int, l.Reports), ToLast: make([]float64, l.Reports), Every: l.every.Seconds()}
	for i := range l.detail.ToLast {
		l.detail.ToLast[i] = math.NaN()
	}
	l.onSend = func(n *node, r line.Report) {
		a := &l.accounts[n.index]
		a.sentReports = append(a.sentReports, l.index(r))
	}
}

func (a *account) countHops(hops int) {
	for len(a.byHops) <= hops {
		a.byHops = append(a.byHops, 0)
	}
	a.byHops[hops]++
}

// collectSent evaluates which reports servers sent.
func (l *load) collectSent() {
	for i := range l.accounts {
		a := &l.accounts[i]
		for _, report := range a.sentReports {
			l.detail.Messages[report]++
		}
		a.sentReports = a.sentReports[:0]
	}
}

// sumDetail adds up what the servers counted.
func (l *load) sumDetail() {
	d := l.detail
	for _, a := range l.accounts {
		for hops, n := range a.byHops {
			for len(d.Hops) <= hops {
				d.Hops = append(d.Hops, 0)
			}
			d.Hops[hops] += n
		}
	}
	for _, n := range l.nodes {
		for _, link := range n.engine.Links() {
			d.Conflated += link.Queue.Counts().Conflated
		}
	}
}

// sentReports calls onSend for the reports of a message.
func (h *herd) sentReports(n *node, m *flood.Message) {
	if h.onSend == nil || m.Kind != subject.Propagate {
		return
	}
	for _, r := range m.Reports {
		h.onSend(n, r)
	}
}
