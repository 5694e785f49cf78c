package status

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"herd/node/flood"
	"herd/node/line"
)

// stage is a node without links that work, for those who watch it.
type stage struct {
	Source
	*flood.Engine
	topology atomic.Pointer[flood.Topology]
	watch    *Watch // who watches
	follows  int    // how many follow
}

func newStage(t testing.TB) *stage {
	topology, err := flood.NewTopology([]line.NodeName{"A", "B", "C"}, [][2]line.NodeName{{"A", "B"}, {"B", "C"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Engine: flood.NewEngine(flood.Config{Name: "A", Topology: topology, Limit: 1})}
	s.topology.Store(topology)
	return s
}

func (s *stage) Health() Health { return Health{Node: "A"} }
func (s *stage) Herd() []Node {
	return []Node{{Name: "A", Self: true, Uptime: float64(time.Now().Unix())}}
}
func (s *stage) Registry() *flood.Registry { return s.Engine.Registry() }
func (s *stage) Topology() *flood.Topology { return s.topology.Load() }

func (s *stage) Watch(w Watch) (stop func()) {
	s.watch = &w
	return func() { s.watch = nil }
}

func (s *stage) Follow(limit int) (*flood.Queue, func()) {
	q, stop := s.Engine.Follow(limit)
	s.follows++
	return q, func() { s.follows--; stop() }
}

// heard makes a report that B took at the beginning of the year 2000, and has the stage hear it.
func (s *stage) heard(t testing.TB, client string, second int) line.Report {
	r := report(t, "B", client, second)
	if !s.Hear(r, "B") {
		t.Fatalf("%s at %d is not news", client, second)
	}
	return r
}

func report(t testing.TB, origin, client string, second int) line.Report {
	t.Helper()
	r, err := line.ParseReport(fmt.Sprintf("%s +1.000000000 %s +34.5-118.25 %d", origin, client, second))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
