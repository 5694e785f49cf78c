//go:build page

package page_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"herd/bus/bustest"
	"herd/node/admit"
	"herd/node/topology"

	"go.uber.org/zap"

	"herd/bus"
	"herd/node"
	"herd/node/line"
	"herd/node/status"
	"herd/places/gazetteer"
)

// herd is a set of nodes on an embedded NATS server, as herd up runs them, with links that can be cut.
type herd struct {
	*testing.T
	topology *topology.Topology
	server   *bus.Server
	seen     *status.Observer
	nodes    map[string]*runningNode

	mu   sync.Mutex
	cuts map[[2]string]bool // from and to: nothing gets through
}

type runningNode struct {
	*node.Node
	address string // for clients
	url     string // of the page
	stop    func() // and wait
}

// campus is what herd up runs.
func campus(t *testing.T) *topology.Topology {
	t.Helper()
	topology, err := topology.New([]line.NodeName{"Goloman", "Hands", "Holiday", "Welsh", "Wilkes"}, [][2]line.NodeName{
		{"Goloman", "Hands"}, {"Goloman", "Holiday"}, {"Goloman", "Wilkes"}, {"Hands", "Wilkes"}, {"Holiday", "Welsh"}, {"Holiday", "Wilkes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

// newHerd runs all nodes of a topology. Some of what they are made of may be other than usual.
func newHerd(t *testing.T, topology *topology.Topology, adjust ...func(*node.Config)) *herd {
	t.Helper()
	neighbours := make(map[string][]string)
	for _, n := range topology.Nodes() {
		neighbours[string(n)] = nil
		for _, peer := range topology.Neighbours(n) {
			neighbours[string(n)] = append(neighbours[string(n)], string(peer))
		}
	}
	server, err := bus.StartServer(bus.ServerConfig{Herd: "herd", Neighbours: neighbours, Log: bustest.SilentLog{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	h := &herd{T: t, topology: topology, server: server, nodes: make(map[string]*runningNode), cuts: make(map[[2]string]bool)}
	h.seen = status.NewObserver(func(ctx context.Context, to status.Sink) {
		o := server.Observer()
		o.Ready, o.Fault, o.Receive = to.Ready, to.Behind, func(m bus.Observed) { to.Message(m.From, m.To, m.Payload) }
		_ = o.Keep(ctx, time.Second, func(why error, _ bool) error {
			to.Lost(why)
			return nil
		})
	})
	for _, n := range topology.Nodes() {
		h.start(string(n), adjust...)
	}
	for _, m := range h.nodes {
		<-m.Ready()
	}
	return h
}

func (h *herd) start(name string, adjust ...func(*node.Config)) {
	h.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			h.Fatal(err)
		}
		return l
	}
	c := node.Config{
		HerdName: "herd", Name: line.NodeName(name), Topology: h.topology, Listener: listen(), HTTP: listen(), Bus: wire{h.server.Dialer(name), h, name},
		Status: status.Config{Observer: h.seen}, Places: gazetteer.Open(), CatchUp: time.Minute, Log: zap.NewNop(), Version: "v1.0.0",
		Limits: admit.Limits{Idle: time.Hour, Line: time.Minute, Write: time.Minute, Places: 5 * time.Second},
	}
	for _, a := range adjust {
		a(&c)
	}
	m := &runningNode{Node: node.New(c), address: c.Listener.Addr().String(), url: "http://" + c.HTTP.Addr().String() + "/"}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.Errorf("%s ended with %v", name, err)
		}
	})
	h.Cleanup(m.stop)
	h.nodes[name] = m
}

// cut has nothing get through between two nodes, heal has all of it.
func (h *herd) cut(a, b string)  { h.setCut(a, b, true) }
func (h *herd) heal(a, b string) { h.setCut(a, b, false) }

func (h *herd) setCut(a, b string, yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cuts[[2]string{a, b}], h.cuts[[2]string{b, a}] = yes, yes
}

// wire is a Dialer whose links can be cut.
type wire struct {
	bus.Dialer
	herd *herd
	name string
}

func (w wire) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	c, err := w.Dialer.Dial(ctx, h)
	if err != nil {
		return nil, err
	}
	return wireConn{c, w}, nil
}

type wireConn struct {
	bus.Conn
	wire wire
}

func (c wireConn) Publish(to string, m bus.Message) error {
	c.wire.herd.mu.Lock()
	cut := c.wire.herd.cuts[[2]string{c.wire.name, to}]
	c.wire.herd.mu.Unlock()
	if cut {
		return nil
	}
	return c.Conn.Publish(to, m)
}

// device is a client connected by TCP.
type device struct {
	*testing.T
	net.Conn
	replies *bufio.Reader
}

func (h *herd) device(name string) *device {
	h.Helper()
	c, err := net.Dial("tcp", h.nodes[name].address)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = c.Close() })
	return &device{h.T, c, bufio.NewReader(c)}
}

// report says where a client is, and waits for the reply.
func (d *device) report(id string, lat, lon float64, when string) {
	d.Helper()
	if _, err := fmt.Fprintf(d, "IAMAT %s %+.6f%+.6f %s\n", id, lat, lon, when); err != nil {
		d.Fatal(err)
	}
	for _, want := range []string{"AT ", "\n"} {
		got, err := d.replies.ReadString('\n')
		if err != nil || len(got) < len(want) || got[:len(want)] != want {
			d.Fatalf("%q is answered %q, %v", id, got, err)
		}
	}
}

// stamp is a moment as a client writes it.
func stamp(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }
