package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/subject"
	"herd/node/line"
	"herd/node/session/sessiontest"
)

var zapNop = zap.NewNop()

// unreachableBus is a bus that is always away.
type unreachableBus struct{}

func (unreachableBus) Dial(context.Context, bus.Handler) (bus.Conn, error) {
	return nil, errors.New("nobody there")
}

// withCatchUp has a node try to catch up before it is ready.
func withCatchUp(c *Config) { c.CatchUp = time.Minute }

// A node whose bus is away is ready after a while, answers, and joins when the bus appears: what it took in meanwhile is pulled.
func TestBusAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		m.Disconnect("Goloman")
		began := time.Now()
		n := startNode(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), newBlockingFinder(), withCatchUp)
		if got := time.Since(began); got != readyTime {
			t.Errorf("ready after %s", got)
		}
		hands := startNode(t, "Hands", []line.NodeName{"Goloman"}, m.Dialer("Hands"), newBlockingFinder())
		c := n.listener.Dial(t)
		go c.Send("IAMAT k " + place + " 1\n")
		if got := c.Line(); !strings.HasPrefix(got, "AT Goloman ") {
			t.Errorf("cut off it answers %q", got)
		}
		if h := n.Health(); !h.Ready || h.Bus != "connect Goloman: disconnected" || h.Links[0].ReportsOwed != 1 {
			t.Errorf("health %+v", h)
		}
		<-time.After(time.Minute)
		if got := n.logged("bus away"); len(got) != 1 {
			t.Errorf("in a minute %d entries about one cause", len(got))
		}
		m.Reconnect("Goloman")
		<-time.After(time.Second)
		synctest.Wait()
		if h := n.Health(); hands.Registry().Len() != 1 || h.Bus != "connected" || h.Links[0].ReportsOwed != 0 {
			t.Errorf("health %+v", h)
		}
	})
}

// What a node waits for before it is ready begins when it runs, not before: to read its disk may have taken longer.
func TestReadyAfterLongLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{
			Name: "Goloman", Topology: starTopology(t, "Goloman", "Hands"), Listener: sessiontest.NewListener(), Bus: bustest.NewMemory().Dialer("Goloman"),
			Places: newBlockingFinder(), Limits: defaultLimits, Log: zap.NewNop(),
		}
		withCatchUp(&c)
		n := New(c)
		time.Sleep(2 * c.CatchUp)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- n.Run(ctx) }()
		<-n.Ready()
		if got, want := time.Since(began), 3500*time.Millisecond; got != want { // when nothing of Hands was received for so long
			t.Errorf("ready after %s, want %s", got, want)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// What a neighbour sends is merged line by line if it is well formed, whatever its origin; all else is counted and dropped.
func TestBadMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		n := startNode(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), newBlockingFinder())
		hands := dialBus(t, m.Dialer("Hands"), new(messageRecorder), "Goloman")
		good := "PROPAGATE Hands Nowhere +1.000000000 k +1-1 1"
		for _, msg := range []struct {
			kind    subject.Kind
			payload string
		}{
			{subject.Propagate, "\nPROPAGATE Hands Hands +1.0 k +1-1 1\n" + good + "\nPROPAGATE Wilkes Hands +1.000000000 k +1-1 2\n"},
			{subject.Propagate, ""},
			{subject.Propagate, strings.Repeat(good+"\n", maxMessage/len(good)+1)},
			{"nonsense", good},
			{subject.Propagate, good},
		} {
			if err := hands.Publish("Goloman", bus.Message{Kind: msg.kind, Payload: []byte(msg.payload)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		want := map[string]uint64{"malformed report": 3, "message too large": 1, "message in another's name": 1, "message of unknown kind": 1}
		h := n.Health()
		if !maps.Equal(h.Refused, want) || h.Clients != 1 || h.Links[0].ReportsReceived != 2 || h.Links[0].ReportsStale != 1 {
			t.Errorf("counted %v, health %+v, want %v", h.Refused, h, want)
		}
		if r, ok := n.Registry().Get("k"); !ok || r.String() != "Nowhere +1.000000000 k +1-1 1" {
			t.Errorf("holds %q", r)
		}
		n.Fault(fmt.Errorf("x: %w", bus.ErrOverrun))
		n.Fault(fmt.Errorf("x: %w", bus.ErrRefused))
		n.Fault(&bus.StampError{From: "Hands", Text: "_R_.x"})
		n.Receive(bus.Message{Kind: subject.Propagate, From: "Stranger", Payload: []byte(good)})
		want["messages came too fast"], want["not permitted by the bus"], want["malformed message"] = 1, 1, 1
		want["message in another's name"]++
		if got := n.Health().Refused; !maps.Equal(got, want) {
			t.Errorf("counted %v, want %v", got, want)
		}
	})
}

// messageRecorder is a Handler that keeps what it gets.
type messageRecorder struct{ messages []bus.Message }

func (k *messageRecorder) Receive(m bus.Message) { k.messages = append(k.messages, m) }
func (k *messageRecorder) Fault(error)           {}

// acknowledger is a neighbour that acknowledges every message at once, and keeps what it gets.
type acknowledger struct {
	messageRecorder
	conn bus.Conn
}

func (a *acknowledger) Receive(m bus.Message) {
	a.messageRecorder.Receive(m)
	if m.Stamp.Number > 0 {
		heartbeat := fmt.Sprintf("HEARTBEAT/1 %s 0 1 %s:1:%d - 0 0 - 0000000000000000", subject.Incarnation{7}, m.Stamp.Incarnation, m.Stamp.Number)
		_ = a.conn.Publish(m.From, bus.Message{Kind: subject.Heartbeat, Payload: []byte(heartbeat)})
	}
}

// What has piled up leaves in messages of at most 256 reports and 32 KiB, that is lines and nothing else, larger ones as acknowledgements come.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		gate := make(chan struct{})
		n := startNode(t, "Goloman", []line.NodeName{"Hands"}, gatedDialer{m.Dialer("Goloman"), gate}, newBlockingFinder())
		c := n.listener.Dial(t)
		var lines strings.Builder
		for i := range 600 {
			fmt.Fprintf(&lines, "IAMAT c%d %s 1\n", i, place)
		}
		for i := range 100 {
			fmt.Fprintf(&lines, "IAMAT long%d%s %s 1\n", i, strings.Repeat("x", 1000), place)
		}
		go c.Send(lines.String())
		for range 2 * 700 {
			c.Line()
		}
		var k acknowledger
		hands := dialBus(t, m.Dialer("Hands"), &k, "Goloman")
		k.conn = hands
		close(gate)
		<-time.After(2 * time.Second)
		hands.Close()
		sizes, came := []int{}, make(map[string]bool)
		for _, msg := range k.messages {
			if msg.Kind != subject.Propagate {
				continue
			}
			if len(msg.Payload) > 32<<10 {
				t.Errorf("a message of %d bytes", len(msg.Payload))
			}
			for i, l := range strings.Split(string(msg.Payload), "\n") {
				from, r, err := line.ParsePropagate(l)
				if err != nil || from != "Goloman" {
					t.Fatalf("line %d: %q, %v", i, l, err)
				}
				if id := string(r.Client()); came[id] {
					t.Fatalf("%.20q came twice", id)
				} else {
					came[id] = true
				}
			}
			sizes = append(sizes, strings.Count(string(msg.Payload), "\n")+1)
		}
		if len(came) != 700 || slices.Max(sizes) < 32 || slices.Max(sizes) > 256 || len(sizes) > 100 {
			t.Errorf("%d reports in messages of %v", len(came), sizes)
		}
		if h := n.Health().Links[0]; h.ReportsSent != 700 || h.MessagesSent != uint64(len(sizes)) {
			t.Errorf("health %+v", h)
		}
	})
}

// A node that stops sends its neighbours what is queued before it leaves the bus, but does not wait for them for long.
func TestStopDrainsQueues(t *testing.T) {
	for _, opens := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := bustest.NewMemory()
			gate := make(chan struct{})
			n := startNode(t, "Goloman", []line.NodeName{"Hands"}, gatedDialer{m.Dialer("Goloman"), gate}, newBlockingFinder())
			hands := startNode(t, "Hands", []line.NodeName{"Goloman"}, m.Dialer("Hands"), newBlockingFinder())
			c := n.listener.Dial(t)
			for _, client := range []string{"first", "last"} {
				go c.Send("IAMAT " + client + " " + place + " 1\n")
				c.Line()
				c.Line()
				synctest.Wait() // the first is about to be published, the last waits behind it
			}
			began := time.Now()
			stopped := make(chan struct{})
			go func() {
				n.stop()
				close(stopped)
			}()
			synctest.Wait()
			if opens {
				close(gate)
				<-stopped
				synctest.Wait()
				if _, ok := hands.Registry().Get("last"); !ok || time.Since(began) != 0 {
					t.Errorf("after %s Hands knows the last report: %v", time.Since(began), ok)
				}
				return
			}
			time.Sleep(drainTime)
			synctest.Wait() // the node's time is up at this instant as well: the gate opens when it has noticed
			close(gate)
			<-stopped
			if got := n.logged("stopping with reports not sent"); len(got) != 1 || time.Since(began) != drainTime {
				t.Errorf("after %s: %q", time.Since(began), got)
			}
		})
	}
}

// failingDialer is a Dialer whose first connection publishes nothing, and does not end by itself either.
type failingDialer struct {
	bus.Dialer
	dials int
}

type failingConn struct{ bus.Conn }

func (failingConn) Publish(string, bus.Message) error { return errors.New("broken") }

func (d *failingDialer) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	c, err := d.Dialer.Dial(ctx, h)
	if d.dials++; err == nil && d.dials == 1 {
		c = failingConn{c}
	}
	return c, err
}

// What could not be published is sent on the next connection.
func TestPublishFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bustest.NewMemory()
		d := &failingDialer{Dialer: m.Dialer("Goloman")}
		hands := startNode(t, "Hands", []line.NodeName{"Goloman"}, m.Dialer("Hands"), newBlockingFinder())
		n := startNode(t, "Goloman", []line.NodeName{"Hands"}, d, newBlockingFinder())
		c := n.listener.Dial(t)
		go c.Send("IAMAT k " + place + " 1\n")
		c.Line()
		c.Line()
		<-time.After(time.Second)
		synctest.Wait()
		if _, ok := hands.Registry().Get("k"); !ok || d.dials != 2 || len(n.logged("not published")) != 1 || len(n.logged("bus away")) != 1 {
			t.Errorf("Hands knows it: %v, after %d dials; log %q", ok, d.dials, n.entries())
		}
	})
}
