package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
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

// startFar starts a proxy before a server: a connection is there after a round trip, and what is sent arrives after half of one.
func startFar(t *testing.T, server string, roundTrip time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
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
	tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				_ = c.Close()
				continue
			}
			pass(c, s)
			pass(s, c)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		tasks.Wait()
	})
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		select {
		case <-time.After(roundTrip):
			return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// A node joins over round trips of more than a second, with TLS and without, and needs one round trip to subscribe to all its neighbours.
func TestFarServer(t *testing.T) {
	const joined = 10 * time.Second
	links := map[string][]string{"Goloman": nil}
	for i := range 30 {
		peer := fmt.Sprint("N", i)
		links["Goloman"] = append(links["Goloman"], peer)
		links[peer] = []string{"Goloman"}
	}
	for _, test := range []struct {
		name      string
		roundTrip time.Duration
		adjust    func(*keys.Plan)
	}{
		{"plain", 600 * time.Millisecond, bustest.Private},
		{"plain", 1200 * time.Millisecond, bustest.Private},
		{"TLS", 400 * time.Millisecond, bustest.Encrypted},
		{"TLS", 1200 * time.Millisecond, bustest.Encrypted},
	} {
		t.Run(fmt.Sprint(test.name, test.roundTrip), func(t *testing.T) {
			t.Parallel()
			k := bustest.MakeKeys(t, bustest.Plan(test.adjust, func(p *keys.Plan) { p.Neighbours = links }))
			s := startFrom(t, filepath.Join(string(k), "servers", "nats", "nats-server.conf"))
			node := func(name string) *bus.NATS {
				c, err := k.Node(name)
				if err != nil {
					t.Fatal(err)
				}
				d := &bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: name}
				d.Identify(c)
				return d
			}
			near := bustest.Dial(t, bustest.Subscribed(node("N29"), "Goloman"), bustest.NewInbox())
			d := node("Goloman")
			d.Over(d.URL, startFar(t, s.Addr().String(), test.roundTrip))
			inbox := bustest.NewInbox()
			began := time.Now()
			c, err := d.Dial(t.Context(), inbox)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			dialled := time.Since(began)
			if err := c.Subscribe(t.Context(), links["Goloman"]); err != nil {
				t.Fatal(err)
			}
			subscribed := time.Since(began) - dialled
			bustest.Publish(t, near, subject.Propagate, "Goloman", "1")
			if got := inbox.Next(); got != "propagate from N29: 1" {
				t.Errorf("received %q", got)
			}
			took := time.Since(began)
			t.Logf("dialled in %s, subscribed in %s, joined in %s", dialled, subscribed, took)
			if took > joined || subscribed > 2*test.roundTrip {
				t.Errorf("joined after %s, subscribed in %s", took, subscribed)
			}
			if n := s.NumClients(); n != 2 {
				t.Errorf("the server has %d connections of two nodes", n)
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

// Of several servers one is taken that answers.
func TestSeveralServers(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	connect := func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "192.0.2.") { // where nobody answers
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	for range 6 {
		d := s.TCP("Hands")
		d.Over(fmt.Sprintf("nats://%s, %s,nats://192.0.2.1:4222,nats://%s", mute.Addr(), s.URL(), gone.Addr()), connect)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // each server that does not answer takes one
		c, err := d.Dial(ctx, bustest.NewInbox())
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}
