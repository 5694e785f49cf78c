package bus

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"herd/bus/subject"

	"github.com/nats-io/nats.go"
)

const sampleText = "q83vASNFZ4mrze8BI0VniQ.1234567"

var sample = subject.Stamp{
	Incarnation: subject.Incarnation{0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89}, Number: 1234567,
}

// A stamp arrives as it was sent, and none as none, with a trace and without.
func TestStamps(t *testing.T) {
	everyBus(t, func(t *testing.T, dialer func(string) Dialer) {
		hands := newInbox()
		dial(t, dialer("Hands"), hands)
		goloman := dial(t, dialer("Goloman"), newInbox())
		for _, stamp := range []subject.Stamp{{}, sample, {}, {Number: 1}, {Incarnation: sample.Incarnation, Number: math.MaxUint64}} {
			for _, trace := range []string{"", "0 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"} {
				if err := goloman.Publish("Hands", Message{Kind: subject.Repair, Stamp: stamp, Payload: []byte("x"), Trace: trace}); err != nil {
					t.Fatal(err)
				}
				if m := <-hands.messages; m.Stamp != stamp || m.Trace != trace || m.String() != "repair from Goloman: x" {
					t.Errorf("stamp %v arrived as %v with %q and trace %q", stamp, m.Stamp, m, m.Trace)
				}
			}
		}
		if len(hands.troubles) > 0 {
			t.Error(<-hands.troubles)
		}
	})
}

// A neighbour can put anything where stamps stand. That is a fault, and the message arrives all the same without a stamp; it takes no
// other way for that, and gives nobody a right.
func TestForgedStamps(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	hands := newInbox()
	dial(t, hearing{s.tcp("Hands"), campus["Hands"]}, hands)
	nc, err := nats.Connect(s.URL(), append(s.Dialer("Goloman").credentials.Load().options(), nats.NoReconnect())...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	forged := []string{
		"herd.propagate.Wilkes.Hands", "herd.repair.Hands.Goloman", "herd.>", "*", ">", "..", "1", "+", "|", "\x00\xff", strings.Repeat("x", 3000),
		sampleText + ".1", sampleText[:22] + ".0",
	}
	for _, stamp := range append(forged, sampleText) {
		if err := nc.PublishRequest("herd.propagate.Goloman.Hands", stamp, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, stamp := range forged {
		fault, ok := errors.AsType[*StampError](<-hands.troubles)
		if m := <-hands.messages; m.Stamp != (subject.Stamp{}) || m.String() != "propagate from Goloman: x" || !ok || *fault != (StampError{"Goloman", stamp}) {
			t.Errorf("stamp %.40q arrived as %v with %q, fault %v", stamp, m.Stamp, m, fault)
		}
	}
	if m := <-hands.messages; m.Stamp != sample || len(hands.troubles) > 0 {
		t.Errorf("a stamp of another program arrived as %v", m.Stamp)
	}
	// Welsh answers where it must not: no right to that came with the message.
	refused := make(chan error, 1)
	welsh, err := nats.Connect(s.URL(), append(s.Dialer("Welsh").credentials.Load().options(), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer welsh.Close()
	if _, err := welsh.Subscribe("herd.*.Holiday.Welsh", func(m *nats.Msg) { _ = m.Respond([]byte("forged")) }); err != nil {
		t.Fatal(err)
	}
	if err := welsh.FlushWithContext(deadline(t)); err != nil {
		t.Fatal(err)
	}
	holiday := dial(t, hearing{s.tcp("Holiday"), campus["Holiday"]}, newInbox())
	if err := holiday.(*natsConn).nc.PublishRequest("herd.propagate.Holiday.Welsh", "herd.propagate.Wilkes.Hands", nil); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("an answer: %v", err)
	}
	if len(hands.messages) > 0 {
		t.Errorf("Hands heard %q", <-hands.messages)
	}
}

// What a stamp costs by each of the ways to send it, with one report of 120 bytes to a neighbour, or to nobody.
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
	for where, dialer := range map[string]func(string) *NATS{"inprocess": s.Dialer, "tcp": s.tcp} {
		for _, to := range []string{"neighbour", "nobody"} {
			for _, way := range ways {
				b.Run(where+"/"+to+"/"+way.name, func(b *testing.B) {
					// A window keeps what waits below what a connection may have pending.
					window := make(chan struct{}, pendingMessages/2)
					if to == "neighbour" {
						hands, err := dialer("Hands").Dial(b.Context(), newInbox())
						if err != nil {
							b.Fatal(err)
						}
						defer hands.Close()
						nc := hands.(*natsConn).nc
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
					goloman, err := dialer("Goloman").Dial(b.Context(), newInbox())
					if err != nil {
						b.Fatal(err)
					}
					defer goloman.Close()
					nc := goloman.(*natsConn).nc
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
