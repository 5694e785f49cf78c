package node

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"herd/bus/bustest"
	"herd/bus/subject"
	"herd/node/session/sessiontest"
	"herd/node/topology"

	"github.com/nats-io/nats.go"

	"herd/bus"
	"herd/node/line"
)

// These tests run nodes as they are used: clients over TCP, the embedded NATS server between the nodes.

// startServer runs an embedded NATS server for a topology, on a free port.
func startServer(t testing.TB, topo *topology.Topology) *bus.Server {
	t.Helper()
	s, err := bus.StartServer(bus.ServerConfig{
		Herd: "herd", Neighbours: neighbours(topo), Listen: "127.0.0.1:0", Log: bustest.SilentLog{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func campusOverNATS(t testing.TB, adjust ...func(*Config)) (*herd, *bus.Server) {
	t.Helper()
	topo := campus(t)
	s := startServer(t, topo)
	return newHerd(t, topo).startAll(func(name string) bus.Dialer { return s.Dialer(name) }, adjust...).settle(), s
}

// known is what nodes hold that know these reports.
func known(t testing.TB, reports ...string) map[line.ClientID]string {
	t.Helper()
	held := make(map[line.ClientID]string)
	for _, text := range reports {
		r, err := line.ParseReport(text)
		if err != nil {
			t.Fatal(err)
		}
		held[r.Client()] = text
	}
	return held
}

// awaitMessages waits until the nodes have taken so many messages.
func (h *herd) awaitMessages(messages int) {
	h.t.Helper()
	h.await(fmt.Sprint(messages, " messages"), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.messages >= messages
	})
}

// stop ends all nodes, which sends everything that is queued.
func (h *herd) stop() {
	for _, m := range h.nodes {
		m.stop()
	}
}

// A report at any node reaches all others, also over three links, for eight messages, and every node answers clients the same.
func TestAllConverge(t *testing.T) {
	h, _ := campusOverNATS(t)
	const operands = "kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997"
	report := h.nodes["Hands"].iamat(t, operands)
	if !strings.HasPrefix(report, "Hands +") || h.topo.Distance("Hands", "Welsh") != 3 {
		t.Fatalf("report %q", report)
	}
	h.awaitContents(known(t, report))
	h.awaitMessages(8)
	for _, n := range h.topo.Nodes() {
		c := sessiontest.Dial(t, h.nodes[n].address)
		c.Send("WHATSAT kiwi.cs.ucla.edu 10 5\n")
		at, places, _ := strings.Cut(c.Paragraph(), "\n")
		if at != "AT "+report {
			t.Errorf("%s says %q, want %q", n, at, report)
		}
		if !strings.Contains(places, `"name": "University of California, Los Angeles"`) || strings.Count(places, `"place_id"`) != 5 {
			t.Errorf("%s names the places %s", n, places)
		}
	}
	// An older one, and one with the same time, are answered and change nothing anywhere.
	for _, older := range []string{"kiwi.cs.ucla.edu +1-1 1520023934.918963996999", "kiwi.cs.ucla.edu +1-1 1520023934.9189639970"} {
		for _, n := range h.topo.Nodes() {
			if got := h.nodes[n].iamat(t, older); !strings.HasSuffix(got, older) {
				t.Errorf("%s answers %q to an older report", n, got)
			}
		}
	}
	h.stop()
	if h.messages != 8 {
		t.Errorf("%d messages between nodes, want 8", h.messages)
	}
	h.awaitContents(known(t, report))
}

// An observer without credentials sees each of the eight hops, on its link's subject.
func TestObserverSeesFlood(t *testing.T) {
	h, s := campusOverNATS(t)
	nc, err := nats.Connect(s.URL(), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	seen := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe("herd.propagate.>", seen); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	report := h.nodes["Goloman"].iamat(t, "kiwi +34.068930-118.445127 1520023934")
	h.awaitContents(known(t, report))
	h.awaitMessages(8)
	h.stop()
	flush(t, nc)
	hops := make(map[string]string)
	for range len(seen) {
		m := <-seen
		hops[m.Subject] = string(m.Data)
		from := strings.Split(m.Subject, ".")[2]
		if want := "PROPAGATE " + from + " " + report; string(m.Data) != want {
			t.Errorf("on %s %q, want %q", m.Subject, m.Data, want)
		}
	}
	if len(hops) != 8 || hops["herd.propagate.Holiday.Welsh"] == "" || hops["herd.propagate.Welsh.Holiday"] != "" {
		t.Errorf("%d hops: %v", len(hops), hops)
	}
}

func flush(t testing.TB, nc *nats.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
}

// What an observer and a node that speaks for another publish changes nothing at any node.
func TestForgeriesAreRefused(t *testing.T) {
	h, s := campusOverNATS(t)
	forged := "PROPAGATE Hands Hands +0.000000000 forged +1-1 9000000000"
	refused := make(chan error, 10)
	nc, err := nats.Connect(s.URL(), nats.NoReconnect(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		refused <- err
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.Publish("herd.propagate.Hands.Goloman", []byte(forged)); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !strings.Contains(err.Error(), `Permissions Violation for Publish to "herd.propagate.Hands.Goloman"`) {
		t.Errorf("the observer is told %v", err)
	}
	// Welsh, with its own key, speaks to one that is not its neighbour, and in another's name to one that is.
	h.nodes["Welsh"].stop()
	k := &faultRecorder{make(chan error, 10)}
	welsh := dialBus(t, s.Dialer("Welsh"), k, "Holiday")
	for _, to := range []string{"Goloman", "Holiday"} {
		if err := welsh.Publish(to, bus.Message{Kind: subject.Propagate, Payload: []byte(forged)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-k.troubles; !strings.Contains(err.Error(), "herd.propagate.Welsh.Goloman") {
		t.Errorf("Welsh is told %v", err)
	}
	h.await("Holiday refuses", func() bool { return h.nodes["Holiday"].Health().Refused["message in another's name"] == 1 })
	for n, m := range h.nodes {
		if m.Registry().Len() != 0 {
			t.Errorf("%s believes a forger: %v", n, m.contents())
		}
	}
}

// faultRecorder is a Handler that passes troubles on.
type faultRecorder struct{ troubles chan error }

func (*faultRecorder) Receive(bus.Message) {}
func (w *faultRecorder) Fault(err error)   { w.troubles <- err }

// partitionedDialer is a Dialer whose messages some other nodes do not receive while a wall stands.
type partitionedDialer struct {
	bus.Dialer
	stands func(to string) bool
}

type partitionedConn struct {
	bus.Conn
	stands func(to string) bool
}

func (d partitionedDialer) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	c, err := d.Dialer.Dial(ctx, h)
	return partitionedConn{c, d.stands}, err
}

func (c partitionedConn) Publish(to string, m bus.Message) error {
	if c.stands(to) {
		return nil
	}
	return c.Conn.Publish(to, m)
}

// A pair of nodes that is cut off keeps its old record, and shares what it learns itself.
func TestCutOffPair(t *testing.T) {
	topo := campus(t)
	s := startServer(t, topo)
	pair := map[string]bool{"Holiday": true, "Welsh": true}
	wall := make(chan struct{}) // closed when it stands
	h := newHerd(t, topo).startAll(func(name string) bus.Dialer {
		return partitionedDialer{s.Dialer(name), func(to string) bool {
			select {
			case <-wall:
				return pair[name] != pair[to]
			default:
				return false
			}
		}}
	})
	old := h.nodes["Welsh"].iamat(t, "kiwi +1.0-1.0 1000")
	h.awaitContents(known(t, old))
	close(wall)
	newer := h.nodes["Goloman"].iamat(t, "kiwi +2.0-2.0 2000")
	h.awaitContents(known(t, newer), "Goloman", "Hands", "Wilkes")
	other := h.nodes["Welsh"].iamat(t, "emu +3.0-3.0 3000")
	h.awaitContents(known(t, old, other), "Welsh", "Holiday")
	h.stop()
	h.awaitContents(known(t, newer), "Goloman", "Hands", "Wilkes")
	h.awaitContents(known(t, old, other), "Welsh", "Holiday")
}

// The others do without a node that has ended: they learn what the topology lets them.
func TestNodeStops(t *testing.T) {
	h, _ := campusOverNATS(t)
	before := h.nodes["Goloman"].iamat(t, "kiwi +1.0-1.0 1000")
	h.awaitContents(known(t, before))
	h.nodes["Holiday"].stop() // behind it Welsh is alone
	after := h.nodes["Wilkes"].iamat(t, "kiwi +2.0-2.0 2000")
	h.awaitContents(known(t, after), "Goloman", "Hands", "Wilkes")
	h.stop()
	h.awaitContents(known(t, before), "Holiday", "Welsh")
	h.awaitContents(known(t, after), "Goloman", "Hands", "Wilkes")
}

// gatedDialer is a Dialer whose node publishes nothing before a gate opens.
type gatedDialer struct {
	bus.Dialer
	gate <-chan struct{}
}

type gatedConn struct {
	bus.Conn
	gate <-chan struct{}
}

func (d gatedDialer) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	c, err := d.Dialer.Dial(ctx, h)
	return gatedConn{c, d.gate}, err
}

func (c gatedConn) Publish(to string, m bus.Message) error {
	<-c.gate
	return c.Conn.Publish(to, m)
}

// Two servers that admit different reports with the same time end equal, and so do all others: with the greater one.
func TestSameTimeAtTwoServers(t *testing.T) {
	topo := campus(t)
	s := startServer(t, topo)
	gate := make(chan struct{})
	h := newHerd(t, topo).startAll(func(name string) bus.Dialer { return gatedDialer{s.Dialer(name), gate} })
	var greater []string
	for i := range 50 {
		client := fmt.Sprint("twin", i)
		a := h.nodes["Welsh"].iamat(t, client+" +1.0-1.0 1000.0")
		b := h.nodes["Hands"].iamat(t, client+" +2.0-2.0 1000")
		greater = append(greater, a) // of the same time, that of the greater origin
		if h.nodes["Hands"].contents()[line.ClientID(client)] != b || h.nodes["Welsh"].contents()[line.ClientID(client)] != a {
			t.Fatal("not both were admitted")
		}
	}
	close(gate)
	h.awaitContents(known(t, greater...))
	h.stop()
	h.awaitContents(known(t, greater...))
}
