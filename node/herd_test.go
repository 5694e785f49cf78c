package node

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"herd/bus/bustest"
	"herd/bus/subject"
	"herd/node/admit"
	"herd/node/flood"
	"herd/node/session"
	"herd/node/session/sessiontest"
	"herd/node/topology"

	"go.uber.org/zap"

	"herd/bus"
	"herd/node/line"
	"herd/places/gazetteer"
)

// world is the gazetteer that all tests share.
var world = sync.OnceValue(gazetteer.Open)

var defaultLimits = admit.Limits{
	Idle: time.Hour, Line: 30 * time.Second, Write: 30 * time.Second, Places: time.Minute, // the gazetteer may be slow to load
}

func newTopology(t testing.TB, links ...[2]line.NodeName) *topology.Topology {
	t.Helper()
	var nodes []line.NodeName
	seen := make(map[line.NodeName]bool)
	for _, l := range links {
		for _, n := range l {
			if !seen[n] {
				seen[n] = true
				nodes = append(nodes, n)
			}
		}
	}
	topo, err := topology.New(nodes, links)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func campus(t testing.TB) *topology.Topology {
	return newTopology(t, [][2]line.NodeName{
		{"Goloman", "Hands"},
		{"Goloman", "Holiday"},
		{"Goloman", "Wilkes"},
		{"Hands", "Wilkes"},
		{"Holiday", "Welsh"},
		{"Holiday", "Wilkes"},
	}...)
}

// herd is a set of running nodes. Every message that a node has received is signalled on activity.
type herd struct {
	t        testing.TB
	topo     *topology.Topology
	nodes    map[line.NodeName]*tcpNode
	mu       sync.Mutex
	messages int // taken in, by all nodes
	activity chan struct{}
}

type tcpNode struct {
	*Node
	address string
	trust   *tls.Config // of clients, if the node takes TLS
	stop    func()      // and wait
}

func newHerd(t testing.TB, topo *topology.Topology) *herd {
	return &herd{t: t, topo: topo, nodes: make(map[line.NodeName]*tcpNode), activity: make(chan struct{}, 1)}
}

// countingDialer is a Dialer that counts for the herd what its node has received.
type countingDialer struct {
	bus.Dialer
	herd *herd
}

func (d countingDialer) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	return d.Dialer.Dial(ctx, countingHandler{h, d.herd})
}

type countingHandler struct {
	bus.Handler
	herd *herd
}

func (h countingHandler) Receive(m bus.Message) {
	h.Handler.Receive(m)
	if m.Kind == subject.Propagate {
		h.herd.mu.Lock()
		h.herd.messages++
		h.herd.mu.Unlock()
	}
	select {
	case h.herd.activity <- struct{}{}:
	default:
	}
}

// await waits for a condition that becomes true by a message being taken in.
func (h *herd) await(what string, condition func() bool) {
	h.t.Helper()
	for !condition() {
		select {
		case <-h.activity:
		case <-time.After(time.Minute):
			h.t.Fatalf("not in a minute: %s", what)
		}
	}
}

// start runs a node.
func (h *herd) start(name line.NodeName, dialer bus.Dialer, adjust ...func(*Config)) *tcpNode {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	c := Config{
		Name: name, Topology: h.topo, Listener: l, Bus: countingDialer{dialer, h}, CatchUp: time.Minute,
		Places: world(), Limits: defaultLimits, Log: zap.NewNop(),
	}
	for _, a := range adjust {
		a(&c)
	}
	m := &tcpNode{Node: New(c), address: c.Listener.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("%s ended with %v", name, err)
		}
	})
	h.t.Cleanup(m.stop)
	h.nodes[name] = m
	return m
}

// startAll runs every node of the topology.
func (h *herd) startAll(dialer func(name string) bus.Dialer, adjust ...func(*Config)) *herd {
	h.t.Helper()
	for _, n := range h.topo.Nodes() {
		h.start(n, dialer(string(n)), adjust...)
	}
	for _, m := range h.nodes {
		<-m.Ready()
	}
	return h
}

// settle waits until every link is up and no sync runs. What is reported during a sync may be sent once more than it needs to be.
func (h *herd) settle() *herd {
	h.t.Helper()
	h.await("every link is up, and no sync runs", func() bool {
		for _, m := range h.nodes {
			for _, l := range m.Health().Links {
				if l.State != flood.Up.String() || l.Syncing {
					return false
				}
			}
		}
		return true
	})
	return h
}

// startTCP runs one node without neighbours.
func startTCP(t testing.TB, adjust ...func(*Config)) *tcpNode {
	t.Helper()
	topo, err := topology.New([]line.NodeName{"Goloman"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := newHerd(t, topo).start("Goloman", bustest.NewMemory().Dialer("Goloman"), adjust...)
	<-m.Ready()
	return m
}

// memory returns dialers of a new memory bus for a topology.
func memory(topo *topology.Topology) (*bustest.Memory, func(name string) bus.Dialer) {
	m := bustest.NewMemory()
	return m, func(name string) bus.Dialer { return m.Dialer(name) }
}

// dialBus connects a node that is none, for the test.
func dialBus(t testing.TB, d bus.Dialer, h bus.Handler, neighbours ...string) bus.Conn {
	t.Helper()
	c, err := d.Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Subscribe(t.Context(), neighbours); err != nil {
		t.Fatal(err)
	}
	return c
}

func neighbours(topo *topology.Topology) map[string][]string {
	all := make(map[string][]string)
	for _, n := range topo.Nodes() {
		all[string(n)] = nil
		for _, peer := range topo.Neighbours(n) {
			all[string(n)] = append(all[string(n)], string(peer))
		}
	}
	return all
}

// contents returns what a node knows, as text by client.
func (m *tcpNode) contents() map[line.ClientID]string {
	held := make(map[line.ClientID]string)
	for r := range m.Registry().All() {
		held[r.Client()] = r.String()
	}
	return held
}

// awaitContents waits until the named nodes, or all, hold just these reports.
func (h *herd) awaitContents(want map[line.ClientID]string, names ...line.NodeName) {
	h.t.Helper()
	if len(names) == 0 {
		names = h.topo.Nodes()
	}
	for _, n := range names {
		h.await(string(n)+" knows all", func() bool { return maps.Equal(h.nodes[n].contents(), want) })
	}
}

// dial connects to the node in the way it wants.
func (m *tcpNode) dial(t testing.TB) *sessiontest.Client {
	t.Helper()
	if m.trust != nil {
		c, err := sessiontest.DialTLS(t, m.address, m.trust)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return sessiontest.Dial(t, m.address)
}

// iamat has a node take a report, and returns it as the node sends it.
func (m *tcpNode) iamat(t testing.TB, operands string) string {
	t.Helper()
	c := m.dial(t)
	defer func() { _ = c.Conn.Close() }()
	c.Send("IAMAT " + operands + "\n")
	reply := c.Paragraph()
	text, ok := strings.CutPrefix(strings.TrimSuffix(reply, "\n\n"), "AT ")
	if !ok {
		t.Fatalf("reply %q", reply)
	}
	return text
}

// serverTLS returns TLS with a certificate of a CA, which requires clients' certificates of another, or none.
func serverTLS(t testing.TB, server *sessiontest.CA, clients ...*sessiontest.CA) *session.TLS {
	t.Helper()
	var f session.TLSFiles
	f.Cert, f.Key, f.CA = server.Files(t, clients...)
	loaded, err := session.LoadTLS(f)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}
