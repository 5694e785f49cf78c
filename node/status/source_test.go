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

// otherMethods are those that no test calls.
type otherMethods struct{ Source }

// engineSource is a node that is an engine alone, to which tests apply reports.
type engineSource struct {
	otherMethods
	*flood.Engine
	topology      atomic.Pointer[topology.Topology]
	watch         *Watch // nil: none
	subscriptions int    // subscriptions
	mostChanged   int    // clients that may have changed before a subscriber reads the registry anew; 0: as many as it wants
}

func newEngineSource(t testing.TB) *engineSource {
	topology, err := topology.New([]line.NodeName{"A", "B", "C"}, [][2]line.NodeName{{"A", "B"}, {"B", "C"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &engineSource{Engine: flood.NewEngine(flood.Config{Name: "A", Topology: topology})}
	s.topology.Store(topology)
	return s
}

func (s *engineSource) Health() Health { return Health{Node: "A"} }
func (s *engineSource) Herd() []Node {
	return []Node{{Name: "A", Self: true, UptimeSeconds: float64(time.Now().Unix())}}
}
func (s *engineSource) Topology() *topology.Topology { return s.topology.Load() }

func (s *engineSource) Watch(w Watch) (stop func()) {
	s.watch = &w
	return func() { s.watch = nil }
}

func (s *engineSource) Subscribe(limit int) (*flood.Queue, func()) {
	if s.mostChanged > 0 {
		limit = s.mostChanged
	}
	q, stop := s.Engine.Subscribe(limit)
	s.subscriptions++
	return q, func() { s.subscriptions--; stop() }
}

// apply makes a report that B received in the year 2000, and applies it.
func (s *engineSource) apply(t testing.TB, client string, second int) line.Report {
	r := report(t, "B", client, second)
	if !s.Apply(r, "B") {
		t.Fatalf("%s at %d is not new", client, second)
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

// next returns the events of the next tick.
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

func equal(t testing.TB, what string, got []event, want ...event) {
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
