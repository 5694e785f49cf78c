package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/bustest"
	"herd/node/line"
)

// clients returns which clients a node knows, in order.
func (f *testNode) clients() string {
	synctest.Wait()
	var clients []string
	for r := range f.Registry().All() {
		clients = append(clients, string(r.Client()))
	}
	slices.Sort(clients)
	return strings.Join(clients, " ")
}

// Neighbours come and go while a client stays connected, and nothing is lost between those that stay.
func TestRelink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		nodes := make(map[line.NodeName]*testNode)
		for name, peers := range map[line.NodeName][]line.NodeName{"A": {"B"}, "B": {"A"}, "C": nil} {
			nodes[name] = startNode(t, name, peers, m.Dialer(string(name)), newBlockingFinder())
		}
		relink := func(name line.NodeName, peers ...line.NodeName) {
			nodes[name].Relink(starTopology(t, name, peers...))
		}
		check := func(when, a, b, c string) {
			t.Helper()
			if got, want := []string{nodes["A"].clients(), nodes["B"].clients(), nodes["C"].clients()}, []string{a, b, c}; !slices.Equal(got, want) {
				t.Errorf("%s, A, B and C know %q, want %q", when, got, want)
			}
		}
		client := nodes["A"].listener.Dial(t)
		iamat := func(who string) {
			t.Helper()
			go client.Send("IAMAT " + who + " " + place + " 1\n")
			if got := client.Line(); !strings.HasPrefix(got, "AT A ") || client.Line() != "\n" {
				t.Fatalf("answered %q", got)
			}
		}
		iamat("1")
		check("at first", "1", "1", "")

		relink("C", "A")
		relink("A", "B", "C")
		iamat("2")
		check("with C", "1 2", "1 2", "1 2")

		relink("A", "C")
		relink("B")
		iamat("3")
		check("without B", "1 2 3", "1 2", "1 2 3")

		// While the bus is away as well.
		m.Disconnect("A")
		synctest.Wait()
		relink("A", "B")
		relink("B", "A")
		relink("C")
		iamat("4")
		if got := nodes["A"].Health(); len(got.Links) != 1 || got.Links[0].Peer != "B" || got.Links[0].ReportsOwed != 1 {
			t.Errorf("links %+v", got.Links)
		}
		m.Reconnect("A")
		<-time.After(2 * time.Second)
		check("after the bus came back", "1 2 3 4", "1 2 3 4", "1 2 3")
		for name, n := range nodes {
			if refused := n.Health().Refused; len(refused) > 0 {
				t.Errorf("%s refused %v", name, refused)
			}
		}
		if got := nodes["A"].Health().Sessions; got != 1 {
			t.Errorf("%d sessions", got)
		}
	})
}

// Relinking under load loses nothing between neighbours that stay.
func TestRelinkUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		a := startNode(t, "A", []line.NodeName{"B"}, m.Dialer("A"), newBlockingFinder())
		b := startNode(t, "B", []line.NodeName{"A"}, m.Dialer("B"), newBlockingFinder())
		const n = 3000
		c := a.listener.Dial(t)
		go func() {
			for i := range n {
				c.Send(fmt.Sprintf("IAMAT c%d %s 1\n", i, place))
			}
		}()
		for i := range n {
			c.Line()
			c.Line()
			if i%100 == 0 {
				a.Relink(starTopology(t, "A", []line.NodeName{"X", "B"}[i/100%2:]...))
			}
		}
		synctest.Wait()
		if got := b.Registry().Len(); got != n || b.Health().Links[0].ReportsStale != 0 {
			t.Errorf("B knows %d of %d clients", got, n)
		}
	})
}

// restrictedDialer is a bus that does not permit a neighbour until it has read the topology.
type restrictedDialer struct {
	bus.Dialer
	unread atomic.Bool
}

type restrictedConn struct {
	bus.Conn
	bus *restrictedDialer
}

func (s *restrictedDialer) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	c, err := s.Dialer.Dial(ctx, h)
	return restrictedConn{c, s}, err
}

func (c restrictedConn) Subscribe(ctx context.Context, neighbours []string) error {
	if c.bus.unread.Load() {
		neighbours = slices.DeleteFunc(slices.Clone(neighbours), func(n string) bool { return n == "C" })
	}
	return c.Conn.Subscribe(ctx, neighbours)
}

// A neighbour whom the bus permits only after the node has subscribed is received all the same, without a new connection.
func TestPermittedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		s := &restrictedDialer{Dialer: m.Dialer("A")}
		a := startNode(t, "A", []line.NodeName{"B"}, s, newBlockingFinder())
		startNode(t, "B", []line.NodeName{"A"}, m.Dialer("B"), newBlockingFinder())
		c := startNode(t, "C", []line.NodeName{"A"}, m.Dialer("C"), newBlockingFinder())
		client := c.listener.Dial(t)
		iamat := func(who string) {
			go client.Send("IAMAT " + who + " " + place + " 1\n")
			client.Line()
			client.Line()
		}
		s.unread.Store(true)
		a.Relink(starTopology(t, "A", "B", "C"))
		iamat("1")
		if got := a.clients(); got != "" {
			t.Errorf("A knows %q of whom it may not hear", got)
		}
		s.unread.Store(false)
		<-time.After(subscribeTime)
		synctest.Wait()
		iamat("2")
		<-time.After(2 * time.Second) // what it could not receive is fetched after a heartbeat
		if got := a.clients(); got != "1 2" {
			t.Errorf("A knows %q", got)
		}
		if got := len(a.logged("bus connected")); got != 1 {
			t.Errorf("%d connections", got)
		}
	})
}
