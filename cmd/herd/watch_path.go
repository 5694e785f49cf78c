package main

import (
	"bytes"
	"context"
	"slices"
	"time"

	"herd/node/line"
	"herd/node/topology"
)

const (
	quiet      = time.Second // without a message, after which a flood is over
	maxSpreads = 256         // floods of one client that are followed at a time; beyond it the oldest is over
	maxHops    = 4096        // messages of a flood, if the topology does not say how many
)

// follower shows the floods of one client's reports, each as a tree when it is over: when all messages that it takes were seen, or none came
// for a quiet moment. Times are when the observer saw a message, which is not when its neighbour did.
type follower struct {
	topology *topology.Topology
	ink      ink
	print    func(text []byte)
	seen     chan hop
	done     chan struct{} // closed when nobody follows any more

	// Of the goroutine that runs.
	underWay []*spread // in the order in which they were first seen
}

// hop is a message with the report: one server tells another.
type hop struct {
	at       time.Time
	from, to string
	report   line.Report
}

// spread is what was seen of the flood of one report.
type spread struct {
	report   line.Report
	hops     []hop              // in the order in which they were seen
	topology *topology.Topology // nil: it is another than that of the configuration
}

func newFollower(t *topology.Topology, i ink, print func(text []byte)) *follower {
	return &follower{topology: t, ink: i, print: print, seen: make(chan hop), done: make(chan struct{})}
}

// see hands over a hop.
func (f *follower) see(h hop) {
	select {
	case f.seen <- h:
	case <-f.done:
	}
}

// run follows until ctx ends, and shows what was seen of the last floods then.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case h := <-f.seen:
			f.take(h)
		case <-timer.C:
		case <-ctx.Done():
			for len(f.underWay) > 0 {
				f.end(0)
			}
			return
		}
		timer.Reset(f.sweep(time.Now()))
	}
}

// take adds a hop to the flood of its report, and ends that if it is complete.
func (f *follower) take(h hop) {
	at := slices.IndexFunc(f.underWay, func(s *spread) bool { return s.report.Compare(h.report) == 0 })
	if at < 0 {
		if len(f.underWay) == maxSpreads {
			f.end(0)
		}
		at = len(f.underWay)
		f.underWay = append(f.underWay, &spread{report: h.report, topology: f.topology})
	}
	s := f.underWay[at]
	s.hops = append(s.hops, h)
	if s.topology != nil && !(s.topology.Has(line.NodeName(h.from)) && s.topology.Has(line.NodeName(h.to))) {
		s.topology = nil
	}
	if len(s.hops) >= s.most() {
		f.end(at)
	}
}

// most returns after how many messages a flood is over.
func (s *spread) most() int {
	if s.topology == nil {
		return maxHops
	}
	return max(1, s.topology.FloodCost())
}

// end shows a flood.
func (f *follower) end(at int) {
	s := f.underWay[at]
	f.underWay = slices.Delete(f.underWay, at, at+1)
	var text bytes.Buffer
	s.show(&text, f.ink)
	f.print(text.Bytes())
}

// sweep ends what has been quiet, and returns how long it is until there is more.
func (f *follower) sweep(now time.Time) time.Duration {
	next := quiet
	for i := 0; i < len(f.underWay); {
		s := f.underWay[i]
		if left := s.hops[len(s.hops)-1].at.Add(quiet).Sub(now); left > 0 {
			next = min(next, left)
			i++
			continue
		}
		f.end(i)
	}
	return next
}
