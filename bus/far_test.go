package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/keys"
	"herd/bus/subject"

	"github.com/nats-io/nats-server/v2/server"
)

// delayed is what arrived at a way that takes its time.
type delayed struct {
	bytes []byte
	due   time.Time
}

// far returns how to connect to a distant server: a connection is there after a round trip, and what is sent arrives after half of one.
func far(t *testing.T, roundTrip time.Duration, connect func() (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	t.Helper()
	var tasks sync.WaitGroup
	pass := func(to, from net.Conn) {
		way := make(chan delayed, 10_000)
		tasks.Go(func() {
			defer to.Close()
			for d := range way {
				<-time.After(time.Until(d.due))
				if _, err := to.Write(d.bytes); err != nil {
					_ = from.Close()
				}
			}
		})
		tasks.Go(func() {
			defer close(way)
			for buffer := make([]byte, 32<<10); ; {
				n, err := from.Read(buffer)
				if err != nil {
					return
				}
				way <- delayed{append([]byte(nil), buffer[:n]...), time.Now().Add(roundTrip / 2)}
			}
		})
	}
	t.Cleanup(tasks.Wait)
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case <-time.After(roundTrip):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		s, err := connect()
		if err != nil {
			return nil, err
		}
		here, there := net.Pipe()
		pass(there, s)
		pass(s, there)
		return here, nil
	}
}

// joinFar has a node with 30 neighbours join over a distance, and returns how long it took to dial and to subscribe to them.
func joinFar(t *testing.T, roundTrip time.Duration, adjust func(*keys.Plan), listen bool) (dialled, subscribed time.Duration, s *server.Server) {
	t.Helper()
	links := map[string][]string{"Goloman": nil}
	for i := range 30 {
		peer := fmt.Sprint("N", i)
		links["Goloman"] = append(links["Goloman"], peer)
		links[peer] = []string{"Goloman"}
	}
	k := bustest.MakeKeys(t, bustest.Plan(adjust, func(p *keys.Plan) { p.Neighbours = links }))
	s = startFrom(t, filepath.Join(string(k), "servers", "nats", "nats-server.conf"), func(o *server.Options) { o.DontListen = !listen })
	connect := s.InProcessConn
	if listen {
		connect = func() (net.Conn, error) { return net.Dial("tcp", s.Addr().String()) }
	}
	dial := func(name string, roundTrip time.Duration, h bus.Handler) bus.Conn {
		c, err := k.Node(name)
		if err != nil {
			t.Fatal(err)
		}
		d := &bus.NATS{Herd: "herd", Node: name}
		d.Identify(c)
		d.Over("nats://127.0.0.1:4222", far(t, roundTrip, connect))
		return bustest.Dial(t, d, h)
	}
	subscribe := func(c bus.Conn, node string) {
		if err := c.Subscribe(bustest.Deadline(t), links[node]); err != nil {
			t.Fatal(err)
		}
	}
	near := dial("N29", 0, bustest.NewInbox())
	subscribe(near, "N29")
	inbox := bustest.NewInbox()
	began := time.Now()
	c := dial("Goloman", roundTrip, inbox)
	dialled = time.Since(began)
	subscribe(c, "Goloman")
	subscribed = time.Since(began) - dialled
	bustest.Publish(t, near, subject.Propagate, "Goloman", "1")
	if got := inbox.Next(); got != "propagate from N29: 1" {
		t.Errorf("received %q", got)
	}
	return dialled, subscribed, s
}

// A node joins over round trips of more than a second: it needs one for the connection and one and a half for the handshake, on a single
// connection, and one round trip to subscribe to all its neighbours.
func TestFarServer(t *testing.T) {
	for _, roundTrip := range []time.Duration{600 * time.Millisecond, 1200 * time.Millisecond} {
		t.Run(roundTrip.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dialled, subscribed, s := joinFar(t, roundTrip, bustest.Private, false)
				if dialled != roundTrip*5/2 || subscribed != roundTrip || s.NumClients() != 2 {
					t.Errorf("dialled in %s, subscribed in %s; the server has %d connections of two nodes", dialled, subscribed, s.NumClients())
				}
			})
		})
	}
}

// So it does with TLS, which synctest cannot have on this server: a busy machine may take its time, but less than if the node subscribed to
// one neighbour after the other.
func TestFarServerTLS(t *testing.T) {
	for _, roundTrip := range []time.Duration{400 * time.Millisecond, 1200 * time.Millisecond} {
		t.Run(roundTrip.String(), func(t *testing.T) {
			t.Parallel()
			dialled, subscribed, _ := joinFar(t, roundTrip, bustest.Encrypted, true)
			t.Logf("dialled in %s, subscribed in %s", dialled, subscribed)
			if subscribed > 15*roundTrip {
				t.Errorf("subscribed to 30 neighbours in %s", subscribed)
			}
		})
	}
}

// startLimited starts a server that permits everything, within limits.
func startLimited(t *testing.T, limit func(*server.Options)) *server.Server {
	t.Helper()
	options := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true}
	limit(options)
	return start(t, options)
}

// A subscription that exceeds the limit of the server is reported with its subject, each time that it is tried; the others stay.
func TestMaxSubscriptions(t *testing.T) {
	s := startLimited(t, func(o *server.Options) { o.MaxSubs = 2 })
	h := bustest.NewInbox()
	c := bustest.Dial(t, &bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Goloman"}, h)
	refused := func() {
		t.Helper()
		if err := c.Subscribe(bustest.Deadline(t), bustest.Campus["Goloman"]); err != nil {
			t.Error(err)
		}
		const want = "bus: error of the NATS server: nats: server maximum subscriptions exceeded: nothing is received on herd.*.Wilkes.Goloman"
		if err := <-h.Faults; !errors.Is(err, bus.ErrServer) || err.Error() != want {
			t.Errorf("fault %v", err)
		}
	}
	refused()
	refused()
	holiday := bustest.Dial(t, &bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Holiday"}, bustest.NewInbox())
	bustest.Publish(t, holiday, subject.Propagate, "Goloman", "1")
	if got := h.Next(); got != "propagate from Holiday: 1" {
		t.Errorf("received %q", got)
	}
	if err := c.Subscribe(bustest.Deadline(t), []string{"Holiday", "Wilkes"}); err != nil { // now there is room
		t.Error(err)
	}
	wilkes := bustest.Dial(t, &bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Wilkes"}, bustest.NewInbox())
	bustest.Publish(t, wilkes, subject.Propagate, "Goloman", "2")
	if got := h.Next(); got != "propagate from Wilkes: 2" || len(h.Faults) > 0 || c.Err() != nil {
		t.Errorf("received %q, %d faults, ended for %v", got, len(h.Faults), c.Err())
	}
}

// A connection knows how much the server takes. A message that is larger is reported and does not end it, a trace is left out, and a server
// that takes too little is refused by name.
func TestMaxPayload(t *testing.T) {
	s := startLimited(t, func(o *server.Options) { o.MaxPayload = 4096 })
	h, hands := bustest.NewInbox(), bustest.NewInbox()
	c := bustest.Dial(t, &bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Goloman"}, h)
	bustest.Dial(t, bustest.OnCampus(&bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Hands"}, "Hands"), hands)
	if got := c.MaxPayload(); got != 4096 {
		t.Errorf("the limit is %d", got)
	}
	bustest.Publish(t, c, subject.Propagate, "Hands", strings.Repeat("x", 4097))
	if err := <-h.Faults; !errors.Is(err, bus.ErrServer) || !strings.Contains(err.Error(), "4097 bytes to Hands is not sent: the server's max_payload is 4096") {
		t.Errorf("fault %v", err)
	}
	for _, size := range []int{4096, 4096 - 20, 100} {
		if err := c.Publish("Hands", bus.Message{Kind: subject.Propagate, Payload: make([]byte, size), Trace: "trace"}); err != nil {
			t.Fatal(err)
		}
		if m := <-hands.Messages; len(m.Payload) != size || (m.Trace == "trace") != (size == 100) {
			t.Errorf("of %d bytes %d arrived, with the trace %q", size, len(m.Payload), m.Trace)
		}
	}
	small := startLimited(t, func(o *server.Options) { o.MaxPayload = 4095 })
	_, err := (&bus.NATS{URL: small.ClientURL(), Herd: "herd", Node: "Goloman"}).Dial(t.Context(), h)
	want := fmt.Sprintf("bus: error of the NATS server: %s takes messages of at most 4095 bytes, and herd needs 4096: raise its max_payload", small.ClientURL())
	if !errors.Is(err, bus.ErrServer) || err.Error() != want {
		t.Errorf("error %v", err)
	}
}

// Other errors of the server have its text, before a connection is there and after.
func TestServerErrors(t *testing.T) {
	s := startLimited(t, func(o *server.Options) { o.MaxConn = 1 })
	c := bustest.Dial(t, bustest.OnCampus(&bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Hands"}, "Hands"), bustest.NewInbox())
	_, err := (&bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Goloman"}).Dial(t.Context(), bustest.NewInbox())
	if !errors.Is(err, bus.ErrServer) || !strings.Contains(err.Error(), "maximum connections exceeded") {
		t.Errorf("a second connection: %v", err)
	}
	bus.Send(c, "NONSENSE\r\n")
	<-c.Done()
	if err := c.Err(); !errors.Is(err, bus.ErrServer) || !strings.Contains(err.Error(), "Unknown Protocol Operation") {
		t.Errorf("ended for %v", err)
	}
}

// Of several servers one is taken that answers, after those which do not were waited for, for a second each; one that refuses is noticed
// a quarter of a second later while another is waited for.
func TestSeveralServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, "")
		dial := func(ctx context.Context, _, address string) (net.Conn, error) {
			switch address {
			case "mute:4222":
				here, there := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, there) }()
				return here, nil
			case "nobody:4222":
				<-ctx.Done()
				return nil, ctx.Err()
			case "refuses:4222":
				return nil, syscall.ECONNREFUSED
			}
			return s.Inner().InProcessConn()
		}
		longest := longestDial(t, 100, func() bus.Dialer {
			d := s.Dialer("Hands") // which dials the servers in any order
			d.Over("nats://mute:4222, nats://server:4222,nats://nobody:4222,nats://refuses:4222", dial)
			return d
		})
		if longest != 2250*time.Millisecond {
			t.Errorf("of 100 dials the longest took %s", longest)
		}
	})
}

// longestDial returns how long the longest of some dials took, each with a dialer of its own.
func longestDial(t *testing.T, times int, dialer func() bus.Dialer) (longest time.Duration) {
	t.Helper()
	for range times {
		d, began := dialer(), time.Now()
		c, err := d.Dial(t.Context(), bustest.NewInbox())
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(began))
		c.Close()
	}
	return longest
}
