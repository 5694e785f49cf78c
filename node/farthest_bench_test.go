package node

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/line"
)

// overseen is a Dialer whose node reports when it has received what is propagated to it.
type overseen struct {
	bus.Dialer
	taken func(payload []byte, at time.Time)
}

func (d overseen) Dial(ctx context.Context, h bus.Handler) (bus.Conn, error) {
	return d.Dialer.Dial(ctx, overseer{h, d.taken})
}

type overseer struct {
	bus.Handler
	taken func(payload []byte, at time.Time)
}

func (w overseer) Receive(m bus.Message) {
	w.Handler.Receive(m)
	if m.Kind == subject.Propagate {
		w.taken(m.Payload, time.Now())
	}
}

// relay passes on to another node what it receives, and does nothing else.
type relay struct {
	conn bus.Conn
	to   string
}

func (r *relay) Receive(m bus.Message) {
	if m.Kind == subject.Propagate {
		_ = r.conn.Publish(r.to, bus.Message{Kind: subject.Propagate, Payload: m.Payload}) // what is lost is missed at the end
	}
}

func (*relay) Fault(error) {}

// journey is when numbered reports left, were acknowledged, and were at the end of their way.
type journey struct {
	left, known, there []time.Time
	away               sync.WaitGroup
}

func newJourney(reports int) *journey {
	j := &journey{left: make([]time.Time, reports), known: make([]time.Time, reports), there: make([]time.Time, reports)}
	j.away.Add(reports)
	return j
}

// arrive notes the reports of a message; the last field of each is its number.
func (j *journey) arrive(payload []byte, at time.Time) {
	for one := range bytes.SplitSeq(payload, []byte{'\n'}) {
		n, err := strconv.Atoi(string(one[bytes.LastIndexByte(one, ' ')+1:]))
		if n %= len(j.there); err == nil && j.there[n].IsZero() {
			j.there[n] = at
			j.away.Done()
		}
	}
}

// since returns the median and the 99th percentile of the times to the arrival.
func (j *journey) since(from []time.Time) (half, most time.Duration) {
	took := make([]time.Duration, len(from))
	for n := range from {
		took[n] = max(0, j.there[n].Sub(from[n]))
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

// openLoop calls send with each number at its time, whatever became of those before.
func openLoop(reports int, every time.Duration, send func(n int)) {
	began := time.Now()
	for n := range reports {
		time.Sleep(time.Until(began.Add(time.Duration(n) * every)))
		send(n)
	}
}

// farthest is the longest of the shortest ways in the campus.
var farthest = []string{"Hands", "Goloman", "Holiday", "Welsh"}

// relays connects bare relays that stand along the way, and returns where it begins.
func relays(b *testing.B, s *bus.Server, taken func(payload []byte, at time.Time)) bus.Conn {
	last := len(farthest) - 1
	for i := 1; i < last; i++ {
		r := &relay{to: farthest[i+1]}
		conn, err := s.Dialer(farthest[i]).Dial(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(conn.Close)
		r.conn = conn
		if err := conn.Subscribe(b.Context(), farthest[i-1:i]); err != nil {
			b.Fatal(err)
		}
	}
	dialBus(b, overseen{s.Dialer(farthest[last]), taken}, deaf{}, farthest[last-1])
	return dialBus(b, s.Dialer(farthest[0]), deaf{})
}

// BenchmarkFarthest is the way of a report over three links of the campus in one process, from its acknowledgement until the farthest
// node has taken it, at 1,000 reports a second, against three messages over bare connections to such a server, from when the first was published. An
// operation is a second of each; figures are medians of these. The ratios with "sent" are from when the client wrote the report.
func BenchmarkFarthest(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))) // as herd up does
	const reports, every = 1000, time.Millisecond
	log, topo := warnings(b), campus(b)
	var herd, bare *journey
	s := startServer(b, topo)
	h := newHerd(b, topo).startAll(func(name string) bus.Dialer {
		if name == farthest[len(farthest)-1] {
			return overseen{s.Dialer(name), func(payload []byte, at time.Time) { herd.arrive(payload, at) }}
		}
		return s.Dialer(name)
	}, func(c *Config) { c.Log = log })
	client, err := net.Dial("tcp", h.nodes[line.NodeName(farthest[0])].address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Close() })
	first := relays(b, startServer(b, topo), func(payload []byte, at time.Time) { bare.arrive(payload, at) })

	figures := make(map[string][]float64)
	for number := 0; b.Loop(); number += reports {
		text := func(n int) []byte {
			return fmt.Appendf(nil, "IAMAT client-%03d.example +34.068930-118.445127 %d\n", n, number+n)
		}
		bare = newJourney(reports)
		openLoop(reports, every, func(n int) {
			message := bytes.TrimSuffix(text(n), []byte("\n"))
			if err := first.Publish(farthest[1], bus.Message{Kind: subject.Propagate, Payload: message}); err != nil {
				b.Error(err)
			}
			bare.known[n] = time.Now()
		})
		bare.away.Wait()

		herd = newJourney(reports)
		var replies sync.WaitGroup
		replies.Go(func() {
			in := make([]byte, 64<<10)
			for ends := 0; ends < 2*reports; {
				size, err := client.Read(in)
				if err != nil {
					b.Error(err)
					return
				}
				at := time.Now()
				for range bytes.Count(in[:size], []byte("\n")) {
					herd.known[ends/2] = at // in the end by the blank line
					ends++
				}
			}
		})
		openLoop(reports, every, func(n int) {
			herd.left[n] = time.Now()
			if _, err := client.Write(text(n)); err != nil {
				b.Error(err)
			}
		})
		replies.Wait()
		herd.away.Wait()

		half, most := bare.since(bare.known)
		for of, from := range map[string][]time.Time{"known": herd.known, "sent": herd.left} {
			h, m := herd.since(from)
			figures[of+"-p50/bare"] = append(figures[of+"-p50/bare"], h.Seconds()/half.Seconds())
			figures[of+"-p99/bare"] = append(figures[of+"-p99/bare"], m.Seconds()/most.Seconds())
			figures[of+"-p50-µs"] = append(figures[of+"-p50-µs"], 1e6*h.Seconds())
		}
		figures["bare-p50-µs"] = append(figures["bare-p50-µs"], 1e6*half.Seconds())
	}
	for name, all := range figures {
		b.ReportMetric(median(all), name)
	}
}
