package watch

import (
	"bytes"
	"context"
	"slices"
	"time"

	"herd/cmd/herd/internal/terminal"
	"herd/node/line"
	"herd/node/topology"
)

const (
	quiet       = time.Second // without a message, after which a flood is over
	maxFloods   = 256         // floods that are followed at a time; one more finishes the oldest
	maxMessages = 4096        // messages of a flood, if the topology does not say how many
)

// follower shows the flood of each report of one client as a tree when it is over: when all its messages were observed, or none for a
// quiet moment. Times are when this program observed a message, which is not when its receiver did.
type follower struct {
	topology *topology.Topology
	ink      terminal.Ink
	print    func(text []byte)
	messages chan message
	done     chan struct{} // closed when run has ended

	floods []*observedFlood // that are not over, by their first message; only run uses it
}

// message is the sending of a report from one node to another.
type message struct {
	at       time.Time
	from, to string
	report   line.Report
}

// observedFlood is what was observed of the flood of one report.
type observedFlood struct {
	report   line.Report
	messages []message          // in the order in which they were observed
	topology *topology.Topology // nil: a node of the flood is missing in that of the configuration
}

func newFollower(t *topology.Topology, i terminal.Ink, print func(text []byte)) *follower {
	return &follower{topology: t, ink: i, print: print, messages: make(chan message), done: make(chan struct{})}
}

// add hands a message to run.
func (f *follower) add(m message) {
	select {
	case f.messages <- m:
	case <-f.done:
	}
}

// run follows floods until ctx ends, and then shows those that are not over.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case m := <-f.messages:
			f.apply(m)
		case <-timer.C:
		case <-ctx.Done():
			for len(f.floods) > 0 {
				f.finish(0)
			}
			return
		}
		timer.Reset(f.sweep(time.Now()))
	}
}

// apply adds a message to the flood of its report, and finishes the flood if it is complete.
func (f *follower) apply(m message) {
	at := slices.IndexFunc(f.floods, func(o *observedFlood) bool { return o.report.Compare(m.report) == 0 })
	if at < 0 {
		if len(f.floods) == maxFloods {
			f.finish(0)
		}
		at = len(f.floods)
		f.floods = append(f.floods, &observedFlood{report: m.report, topology: f.topology})
	}
	s := f.floods[at]
	s.messages = append(s.messages, m)
	if s.topology != nil && !(s.topology.Has(line.NodeName(m.from)) && s.topology.Has(line.NodeName(m.to))) {
		s.topology = nil
	}
	if len(s.messages) >= s.most() {
		f.finish(at)
	}
}

// most returns the number of messages after which the flood is over.
func (s *observedFlood) most() int {
	if s.topology == nil {
		return maxMessages
	}
	return max(1, s.topology.FloodCost())
}

// finish shows a flood and removes it.
func (f *follower) finish(at int) {
	s := f.floods[at]
	f.floods = slices.Delete(f.floods, at, at+1)
	var text bytes.Buffer
	s.show(&text, f.ink)
	f.print(text.Bytes())
}

// sweep finishes the floods that have been quiet, and returns the time until the next one may be.
func (f *follower) sweep(now time.Time) time.Duration {
	next := quiet
	for i := 0; i < len(f.floods); {
		s := f.floods[i]
		if left := s.messages[len(s.messages)-1].at.Add(quiet).Sub(now); left > 0 {
			next = min(next, left)
			i++
			continue
		}
		f.finish(i)
	}
	return next
}
