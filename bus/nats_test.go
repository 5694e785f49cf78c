package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/subject"

	"github.com/nats-io/nats.go"
)

// An observer of herd.> receives everything but syncs.
func TestObserver(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	goloman := bustest.Dial(t, bustest.OnCampus(s.Dialer("Goloman"), "Goloman"), bustest.NewInbox())
	nc, err := nats.Connect(s.URL(), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	all := make(chan *nats.Msg, 10)
	if _, err := nc.ChanSubscribe("herd.>", all); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushWithContext(bustest.Deadline(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, seen, ended := make(chan struct{}), make(chan bus.Observed, 10), make(chan error)
	o := &bus.Observer{
		URL: s.URL(), Herd: "herd", Kind: subject.Propagate, From: "Goloman",
		Ready: func() { close(ready) }, Receive: func(s bus.Observed) { seen <- s }, Fault: func(err error) { t.Error(err) },
	}
	go func() { ended <- o.Run(ctx) }()
	<-ready
	bustest.Publish(t, goloman, subject.Sync, "Hands", "secret")
	bustest.Publish(t, goloman, subject.Propagate, "Hands", "open")
	if m := <-all; m.Subject != "herd.propagate.Goloman.Hands" || string(m.Data) != "open" {
		t.Errorf("an observer saw %q on %s", m.Data, m.Subject)
	}
	if m := <-seen; m.Subject != "herd.propagate.Goloman.Hands" || m.From != "Goloman" || m.To != "Hands" || string(m.Payload) != "open" {
		t.Errorf("observed %+v", m)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("observing ended with %v", err)
	}
}

// A node that takes what is not its own, or comes without a key, is refused when it dials.
func TestDialRefused(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	wrong := s.TCP("Welsh")
	wrong.Node = "Hands"
	keyless := bustest.OnCampus(&bus.NATS{URL: s.URL(), Herd: "herd", Node: "Hands"}, "Hands")
	if _, err := bustest.OnCampus(wrong, "Hands").Dial(t.Context(), bustest.NewInbox()); !errors.Is(err, bus.ErrRefused) {
		t.Errorf("a node with another's key: %v", err)
	}
	// An observer may subscribe, so a node without a key connects; what it publishes is refused.
	h := bustest.NewInbox()
	c := bustest.Dial(t, keyless, h)
	bustest.Publish(t, c, subject.Propagate, "Goloman", "forged")
	if err := <-h.Faults; !errors.Is(err, bus.ErrRefused) {
		t.Errorf("a node without a key: %v", err)
	}
}

// A message on its way to the Handler is dropped when the connection is closed.
func TestClosedBefore(t *testing.T) {
	s := startServer(t, "")
	inbox := bustest.NewInbox()
	hands := bustest.Dial(t, bustest.OnCampus(s.Dialer("Hands"), "Hands"), inbox)
	goloman := bustest.Dial(t, bustest.OnCampus(s.Dialer("Goloman"), "Goloman"), bustest.NewInbox())
	bus.CloseBefore(t, hands, "Goloman", func() { bustest.Publish(t, goloman, subject.Propagate, "Hands", "late") })
	hands.Close() // waits for the Handler
	select {
	case m := <-inbox.Messages:
		t.Errorf("received after the end: %s", bustest.Text(m))
	default:
	}
}

// An observer that is too slow has a fault, and one that is not permitted an error.
func TestObserverFaults(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	ready, block, fault, ended := make(chan struct{}), make(chan struct{}), make(chan error, 100), make(chan error)
	o := &bus.Observer{
		URL: s.URL(), Herd: "herd", Kind: subject.Propagate,
		Ready: func() { close(ready) }, Receive: func(bus.Observed) { <-block }, Fault: func(err error) { fault <- err },
	}
	go func() { ended <- o.Run(ctx) }()
	<-ready
	goloman := bustest.Dial(t, bustest.OnCampus(s.Dialer("Goloman"), "Goloman"), bustest.NewInbox())
	for range bus.MaxPending + 10 {
		bustest.Publish(t, goloman, subject.Propagate, "Hands", "x")
	}
	if err := <-fault; !errors.Is(err, bus.ErrOverrun) {
		t.Errorf("fault %v", err)
	}
	cancel()
	close(block)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	refused := *o
	refused.URL = strings.Replace(s.URL(), "nats://", "nats://user:secret@", 1)
	if err := refused.Run(t.Context()); !errors.Is(err, bus.ErrRefused) || strings.Contains(err.Error(), "secret") {
		t.Errorf("with a wrong password: %v", err)
	}
}

func TestServerPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	_, err = bus.StartServer(bus.ServerConfig{Herd: "herd", Neighbours: bustest.Campus, Listen: address, Log: bustest.SilentLog{}})
	if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error %v", err)
	}
}

func TestDialNobody(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "nats://user:secret@" + gone.Addr().String()
	gone.Close()
	_, err = (&bus.NATS{URL: url, Herd: "herd", Node: "Hands"}).Dial(t.Context(), bustest.NewInbox())
	if err == nil || !strings.Contains(err.Error(), gone.Addr().String()) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

// An observer that never reads must not hold up the nodes: every message between two of them arrives, and the server drops
// the observer.
func TestSlowObserver(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	observer, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer observer.Close()
	if err := observer.(*net.TCPConn).SetReadBuffer(1 << 16); err != nil { // else the system takes it all
		t.Fatal(err)
	}
	if _, err := io.WriteString(observer, "CONNECT {\"verbose\":false}\r\nSUB herd.> 1\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	for received := []byte{}; !bytes.Contains(received, []byte("PONG")); {
		b := make([]byte, 4096)
		n, err := observer.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		received = append(received, b[:n]...)
	}
	hands := bustest.NewInbox()
	bustest.Dial(t, bustest.OnCampus(s.TCP("Hands"), "Hands"), hands)
	goloman := bustest.Dial(t, bustest.OnCampus(s.TCP("Goloman"), "Goloman"), bustest.NewInbox())
	payload := strings.Repeat("x", 32<<10)
	for i := 0; s.Inner().NumSlowConsumers() == 0; i++ { // until it holds 16 MB for the observer, or waits 2 s for it
		bustest.Publish(t, goloman, subject.Propagate, "Hands", fmt.Sprint(i, payload))
		if got := <-hands.Messages; !strings.HasPrefix(string(got.Payload), fmt.Sprint(i, "x")) {
			t.Fatalf("message %d is %.20q", i, got.Payload)
		}
	}
	conns, err := s.Inner().Connz(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range conns.Conns {
		if c.Stalls != 0 {
			t.Errorf("%s was stalled %d times for the observer's sake", c.Name, c.Stalls)
		}
	}
}
