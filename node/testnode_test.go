package node

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus/bustest"
	"herd/node/session/sessiontest"
	"herd/node/topology"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"herd/bus"
	"herd/node/line"
	"herd/places"
)

// starTopology returns the topology of a node with these neighbours.
func starTopology(t testing.TB, name line.NodeName, peers ...line.NodeName) *topology.Topology {
	t.Helper()
	var links [][2]line.NodeName
	for _, peer := range peers {
		links = append(links, [2]line.NodeName{name, peer})
	}
	topo, err := topology.New(append([]line.NodeName{name}, peers...), links)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// testNode is a node in fake time, with what it needs.
type testNode struct {
	*Node
	listener *sessiontest.Listener
	logs     *observer.ObservedLogs
	stop     func()
}

// startNode runs a node in memory, which does not wait to catch up before it is ready. It is for within a bubble.
func startNode(t testing.TB, name line.NodeName, peers []line.NodeName, dialer bus.Dialer, finder places.Finder, adjust ...func(*Config)) *testNode {
	t.Helper()
	f := runNode(t, Config{Name: name, Topology: starTopology(t, name, peers...), Bus: dialer, Places: finder, Limits: defaultLimits}, adjust...)
	<-f.Ready()
	synctest.Wait() // it is on the bus as well, if there is one
	return f
}

// runNode runs a node with a listener and a log in memory.
func runNode(t testing.TB, c Config, adjust ...func(*Config)) *testNode {
	core, logs := observer.New(zapcore.InfoLevel)
	f := &testNode{listener: sessiontest.NewListener(), logs: logs}
	c.Listener, c.Log = f.listener, zap.New(core).Named(string(c.Name))
	for _, a := range adjust {
		a(&c)
	}
	f.Node = New(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s ended with %v", c.Name, err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

// startAlone runs a node without neighbours.
func startAlone(t testing.TB, finder places.Finder, adjust ...func(*Config)) *testNode {
	t.Helper()
	return startNode(t, "Goloman", nil, bustest.NewMemory().Dialer("Goloman"), finder, adjust...)
}

// entries returns what was logged, each as its event and the values of its fields.
func (f *testNode) entries() []string {
	var all []string
	for _, e := range f.logs.All() {
		var text strings.Builder
		text.WriteString(e.Message)
		for _, field := range e.Context {
			switch field.Type {
			case zapcore.StringType:
				text.WriteString(" | " + field.String)
			case zapcore.Int64Type:
				text.WriteString(" | " + time.Duration(field.Integer).String())
			}
		}
		all = append(all, text.String())
	}
	return all
}

// logged returns the entries that begin with one of these events.
func (f *testNode) logged(events ...string) []string {
	var some []string
	for _, e := range f.entries() {
		for _, event := range events {
			if strings.HasPrefix(e, event+" | ") || e == event {
				some = append(some, e)
			}
		}
	}
	return some
}

// blockingFinder is a Finder that answers when answer is closed.
type blockingFinder struct {
	queries chan places.Query
	answer  chan struct{} // one value lets one answer out; closing it lets out all
}

func newBlockingFinder() *blockingFinder {
	return &blockingFinder{queries: make(chan places.Query, 100), answer: make(chan struct{})}
}

func (f *blockingFinder) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	f.queries <- q
	select {
	case <-f.answer:
		return places.Answer{Results: []places.Place{{Name: "here", Geometry: places.Geometry{Location: q.At}}}}, nil
	case <-ctx.Done():
		return places.Answer{}, ctx.Err()
	}
}

const (
	place   = "+34.068930-118.445127"
	example = "IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n"
)
