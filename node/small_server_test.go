package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"herd/bus"
	"herd/bus/bustest"
	"herd/node/flood"
	"herd/node/line"
)

// Over a NATS server that takes small messages alone, a node gets 20,000 clients that its neighbour had before and those that come then,
// and no connection is lost.
func TestSmallServer(t *testing.T) {
	for _, maxPayload := range []int32{4096, 16384} {
		t.Run(fmt.Sprint(maxPayload), func(t *testing.T) {
			s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: maxPayload})
			if err != nil {
				t.Fatal(err)
			}
			s.Start()
			t.Cleanup(func() {
				s.Shutdown()
				s.WaitForShutdown()
			})
			h := newHerd(t, newTopology(t, [2]line.NodeName{"Goloman", "Hands"}))
			core, logs := observer.New(zapcore.WarnLevel)
			start := func(name line.NodeName) *tcpNode {
				return h.start(name, &bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: string(name)}, func(c *Config) { c.Log = zap.New(core) })
			}
			goloman := start("Goloman")
			apply := func(from, to int) {
				var reports []line.Report
				for i := from; i < to; i++ {
					r, err := line.ParseReport(fmt.Sprintf("Goloman +1.500000000 %s%d +34.068930-118.445127 1520023934.918963997", strings.Repeat("client", 10), i))
					if err != nil {
						t.Fatal(err)
					}
					reports = append(reports, r)
				}
				goloman.engine.ApplyBatch(reports, flood.Local, nil)
			}
			apply(0, 20_000)
			hands := start("Hands")
			apply(20_000, 25_000)
			h.await("Hands knows all", func() bool { return hands.Registry().Len() == 25_000 })
			for _, e := range logs.All() {
				if !strings.HasPrefix(e.Message, "nothing received") {
					t.Errorf("logged %s %v", e.Message, e.ContextMap())
				}
			}
			if v, err := s.Varz(nil); err != nil || v.TotalConnections != 2 {
				t.Errorf("%d connections were made: %v", v.TotalConnections, err)
			}
		})
	}
}

// What the NATS server refuses is counted and logged with its text, also when a node connects; a silent connection shows in the state of
// the bus, until it speaks again.
func TestBusErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, "Goloman", nil, bustest.NewMemory().Dialer("Goloman"), newBlockingFinder())
		n.Fault(fmt.Errorf("%w: limit", bus.ErrServer))
		n.Fault(&bus.VersionError{Version: "1.4"})
		<-time.After(2 * time.Second) // until an entry about the bus has no earlier one beside it
		state := func(err error) string {
			n.lost(err)
			return n.Health().Bus
		}
		got := []string{
			state(bus.ErrSilent), state(nil), state(nil), state(fmt.Errorf("%w: no room", bus.ErrServer)), state(bus.ErrSilent), state(nil),
		}
		away := "error of the NATS server: no room"
		if want := []string{"silent", "connected", "connected", away, away, away}; !slices.Equal(got, want) {
			t.Errorf("states %q, want %q", got, want)
		}
		if refused := n.Health().Refused; !maps.Equal(refused, map[string]uint64{"error of the bus": 2}) {
			t.Errorf("counted %v", refused)
		}
		for event, want := range map[string][]string{
			"refused": {"refused | bus | error of the bus", "refused | bus | error of the bus"},
			"NATS server is older than herd supports": {"NATS server is older than herd supports | 1.4 | " + bus.OldestServer},
			"bus silent, dialling another connection": {"bus silent, dialling another connection"},
			"bus no longer silent":                    {"bus no longer silent"},
		} {
			if got := n.logged(event); !slices.Equal(got, want) {
				t.Errorf("logged %q, want %q", got, want)
			}
		}
	})
}
