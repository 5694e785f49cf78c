package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/topology"

	"herd/node/flood"
	"herd/node/line"
)

// others are what nobody asks a stage for.
type others struct{ Source }

// stage is a node without links that work, for those who watch it.
type stage struct {
	others
	*flood.Engine
	topology atomic.Pointer[topology.Topology]
	watch    *Watch // who watches
	follows  int    // how many follow
}

func newStage(t testing.TB) *stage {
	topology, err := topology.New([]line.NodeName{"A", "B", "C"}, [][2]line.NodeName{{"A", "B"}, {"B", "C"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Engine: flood.NewEngine(flood.Config{Name: "A", Topology: topology, QueueLimit: 1})}
	s.topology.Store(topology)
	return s
}

func (s *stage) Health() Health { return Health{Node: "A"} }
func (s *stage) Herd() []Node {
	return []Node{{Name: "A", Self: true, UptimeSeconds: float64(time.Now().Unix())}}
}
func (s *stage) Topology() *topology.Topology { return s.topology.Load() }

func (s *stage) Watch(w Watch) (stop func()) {
	s.watch = &w
	return func() { s.watch = nil }
}

func (s *stage) Subscribe(limit int) (*flood.Queue, func()) {
	q, stop := s.Engine.Subscribe(limit)
	s.follows++
	return q, func() { s.follows--; stop() }
}

// heard makes a report that B took at the beginning of the year 2000, and has the stage hear it.
func (s *stage) heard(t testing.TB, client string, second int) line.Report {
	r := report(t, "B", client, second)
	if !s.Apply(r, "B") {
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

// event is one event of a stream.
type event struct{ name, data string }

// parse takes whole events apart.
func parse(t testing.TB, parts [][]byte) (events []event) {
	t.Helper()
	for each := range strings.SplitSeq(strings.TrimSuffix(string(bytes.Join(parts, nil)), "\n\n"), "\n\n") {
		name, data, ok := strings.Cut(strings.TrimPrefix(each, "event: "), "\ndata: ")
		if !ok || strings.Contains(data, "\n") || !json.Valid([]byte(data)) {
			t.Fatalf("not an event: %q", each)
		}
		events = append(events, event{name, data})
	}
	return events
}

// next returns what the viewer is told at the next tick.
func (v *viewer) next(t testing.TB) []event {
	t.Helper()
	time.Sleep(tick)
	synctest.Wait()
	select {
	case parts := <-v.chunks:
		return parse(t, parts)
	default:
		return nil
	}
}

const epoch = 946684800 // when fake time begins

func expect(t testing.TB, what string, got []event, want ...event) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

func decode(t testing.TB, e event, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.data), into); err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
}
