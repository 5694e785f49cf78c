package bus_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/subject"

	"github.com/nats-io/nats.go"
)

// A neighbour can put anything where stamps stand. That is a fault, and the message arrives all the same without a stamp; it takes no
// other way for that, and gives nobody a right.
func TestForgedStamps(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	hands := bustest.NewInbox()
	bustest.Dial(t, bustest.OnCampus(s.TCP("Hands"), "Hands"), hands)
	nc, err := nats.Connect(s.URL(), append(s.Dialer("Goloman").Options(), nats.NoReconnect())...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	forged := []string{
		"herd.propagate.Wilkes.Hands", "herd.sync.Hands.Goloman", "herd.>", "*", ">", "..", "1", "+", "|", "\x00\xff", strings.Repeat("x", 3000),
		bustest.SampleText + ".1", bustest.SampleText[:22] + ".0",
	}
	for _, stamp := range append(forged, bustest.SampleText) {
		if err := nc.PublishRequest("herd.propagate.Goloman.Hands", stamp, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, stamp := range forged {
		fault, ok := errors.AsType[*bus.StampError](<-hands.Faults)
		if m := <-hands.Messages; m.Stamp != (subject.Stamp{}) || bustest.Text(m) != "propagate from Goloman: x" || !ok || *fault != (bus.StampError{"Goloman", stamp}) {
			t.Errorf("stamp %.40q arrived as %v with %q, fault %v", stamp, m.Stamp, bustest.Text(m), fault)
		}
	}
	if m := <-hands.Messages; m.Stamp != bustest.SampleStamp || len(hands.Faults) > 0 {
		t.Errorf("a stamp of another program arrived as %v", m.Stamp)
	}
	// Welsh answers where it must not: no right to that came with the message.
	refused := make(chan error, 1)
	welsh, err := nats.Connect(s.URL(), append(s.Dialer("Welsh").Options(), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer welsh.Close()
	if _, err := welsh.Subscribe("herd.*.Holiday.Welsh", func(m *nats.Msg) { _ = m.Respond([]byte("forged")) }); err != nil {
		t.Fatal(err)
	}
	if err := welsh.FlushWithContext(bustest.Deadline(t)); err != nil {
		t.Fatal(err)
	}
	holiday := bustest.Dial(t, bustest.OnCampus(s.TCP("Holiday"), "Holiday"), bustest.NewInbox())
	if err := bus.Inner(holiday).PublishRequest("herd.propagate.Holiday.Welsh", "herd.propagate.Wilkes.Hands", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("an answer: %v", err)
	}
	if len(hands.Messages) > 0 {
		t.Errorf("Hands received %q", hands.Next())
	}
}

// What a stamp costs by each of the ways to send it, with one report of 120 bytes, to a neighbour or without a subscriber.
func BenchmarkStamp(b *testing.B) {
	payload := []byte(strings.Repeat("x", 120))
	const on = "herd.propagate.Goloman.Hands"
	ways := []struct {
		name string
		send func(nc *nats.Conn, stamp string) error
	}{
		{"none", func(nc *nats.Conn, _ string) error { return nc.Publish(on, payload) }},
		{"reply", func(nc *nats.Conn, stamp string) error { return nc.PublishRequest(on, stamp, payload) }},
		{"header", func(nc *nats.Conn, stamp string) error {
			return nc.PublishMsg(&nats.Msg{Subject: on, Header: nats.Header{"S": {stamp}}, Data: payload})
		}},
	}
	s := startServer(b, "127.0.0.1:0")
	for where, dialer := range map[string]func(string) *bus.NATS{"inprocess": s.Dialer, "tcp": s.TCP} {
		for _, to := range []string{"neighbour", "nobody"} {
			for _, way := range ways {
				b.Run(where+"/"+to+"/"+way.name, func(b *testing.B) {
					// A window keeps what waits below what a connection may have pending.
					window := make(chan struct{}, bus.MaxPending/2)
					if to == "neighbour" {
						hands, err := dialer("Hands").Dial(b.Context(), bustest.NewInbox())
						if err != nil {
							b.Fatal(err)
						}
						defer hands.Close()
						nc := bus.Inner(hands)
						if _, err := nc.Subscribe("herd.*.Goloman.Hands", func(m *nats.Msg) {
							if m.Reply == "" && way.name == "reply" || m.Header.Get("S") == "" && way.name == "header" {
								b.Error("no stamp")
							}
							<-window
						}); err != nil {
							b.Fatal(err)
						}
						if err := nc.Flush(); err != nil {
							b.Fatal(err)
						}
					}
					goloman, err := dialer("Goloman").Dial(b.Context(), bustest.NewInbox())
					if err != nil {
						b.Fatal(err)
					}
					defer goloman.Close()
					nc := bus.Inner(goloman)
					sequence := 0
					for b.Loop() {
						if to == "neighbour" {
							window <- struct{}{}
						}
						sequence++
						if err := way.send(nc, fmt.Sprint("q83vASNFZ4mrze8BI0VniQ.", sequence)); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
